package config

import "testing"

func TestMasked(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"database.password", "dbz", Hidden}, {"database.password", "${file:/run/db.properties:password}", "${file:/run/db.properties:password}"},
		{"database.password", "${env:P}", "${env:P}"}, {"database.password", "x${env:P}", Hidden}, {"database.password", "${env:P}${env:Q}", Hidden}, {"database.password", "", ""},
		{"value.converter.basic.auth.user.info", "u:p", Hidden}, {"database.user", "dbz", "dbz"},
	} {
		if got := Masked(c.name, c.value); got != c.want {
			t.Errorf("%s=%s is shown as %s, want %s", c.name, c.value, got, c.want)
		}
	}
}
