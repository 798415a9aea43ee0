package config

import "testing"

func TestLiteral(t *testing.T) {
	for list, want := range map[string]string{`db.t.c`: "db.t.c", `db\.t\.c`: "db.t.c", `db.t-1`: "db.t-1", `db.t$`: "", `db.*`: "", `db.t\d`: "", `db.(a|b)`: "", "": "", `\Qa.b\E`: "a.b"} {
		patterns, err := Patterns(list)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(patterns) > 0 {
			got, _ = Literal(patterns[0])
		}
		if got != want {
			t.Errorf("%s: %q, want %q", list, got, want)
		}
	}
}
