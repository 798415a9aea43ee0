package command

import (
	"encoding/json"
	"testing"
)

func TestBehind(t *testing.T) {
	for _, c := range []struct{ name, offsets, want string }{
		{"one task", `[{"partition":{"server":"s"},"offset":{"file":"b.000001","pos":4}}]`, ""},
		{"none yet", `[{"partition":{"server":"s","task":"1"},"offset":{"file":"b.000001","pos":4}}]`, "the place of its first task, which is not written yet"},
		{"behind in the file", `[{"partition":{"server":"s"},"offset":{"file":"b.000001","pos":4}},{"partition":{"server":"s","task":"1"},"offset":{"file":"b.000001","pos":5}}]`, "b.000001:5"},
		{"behind by a file", `[{"partition":{"server":"s","task":"2"},"offset":{"file":"b.1000000","pos":5}},{"partition":{"server":"s"},"offset":{"file":"b.999999","pos":400}}]`, "b.1000000:5"},
		{"there", `[{"partition":{"server":"s"},"offset":{"file":"b.000002","pos":4}},{"partition":{"server":"s","task":"1"},"offset":{"file":"b.000001","pos":500}},{"partition":{"server":"s","task":"2"},"offset":{"file":"b.000002","pos":4}}]`, ""},
	} {
		var l offsetList
		if err := json.Unmarshal([]byte(`{"offsets":`+c.offsets+`}`), &l); err != nil {
			t.Fatal(err)
		}
		if got, err := l.behind(); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}
