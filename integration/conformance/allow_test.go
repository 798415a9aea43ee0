package conformance

import (
	"strings"
	"testing"
)

func TestExceptions(t *testing.T) {
	rec := func(v string) string { return "key=k\nvalue=" + v + "\nheaders=" }
	recording := func() stream { return stream{"t/0": {rec(`{"a":1}`), rec(`{"a":1,"b":2}`), rec(`{"b":3}`)}} }
	all := []Exception{
		{Case: "c", Topic: "t", Theirs: `"a":1`, Ours: `"a":0`},
		{Case: "c", Topic: "t", Records: []int{2}, Drop: true},
		{Case: "c", Topic: "t", More: [][]string{{`"b":4`, "headers"}}},
		{Case: "other", Topic: "t", Theirs: "nowhere"},
		{Case: "c", Engine: "mariadb", Topic: "t", Theirs: "nowhere"},
	}
	want := recording()
	if err := except(all, "c", "mysql", want); err != nil {
		t.Fatal(err)
	}
	got := stream{"t/0": {rec(`{"a":0}`), rec(`{"a":0,"b":2}`), rec(`{"b":4}`)}}
	if _, d := compare(want, got, 9); len(d) > 0 {
		t.Errorf("differs: %v", d)
	}
	got["t/0"][2] = rec(`{"b":5}`)
	if _, d := compare(want, got, 9); len(d) != 1 || !strings.Contains(d[0], "#2 is to hold") {
		t.Errorf("a record that is not the one expected: %v", d)
	}
	if err := except(all, "c", "mariadb", recording()); err == nil {
		t.Error("an exception that fits nothing is no error")
	}
}

func TestPaths(t *testing.T) {
	got := paths(`value={"schema":{"fields":[{"type":"int32","field":"x"}]},"payload":{"x":1,"pos":#}}`, `value={"schema":{"fields":[{"type":"int64","field":"x"}]},"payload":{"x":2,"pos":#}}`, 9)
	want := "\n    payload.x: 2, want 1\n    schema.fields.x.type: \"int64\", want \"int32\""
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := paths(`value={"a":1,"b":2}`, `value={"b":2,"a":1}`, 9); got != "" {
		t.Errorf("fields in another order: %q", got)
	}
}

func TestRecordsThatMayCome(t *testing.T) {
	all := []Exception{{Case: "c", Topic: "t", Maybe: [][]string{{`"a":1`, "headers"}, {`"never"`}}}}
	got := stream{"t/0": {"value={\"a\":1}\nheaders=", "value={\"a\":1,\"b\":2}\nheaders="}}
	unsure(all, "c", "mysql", got)
	if len(got["t/0"]) != 1 || !strings.Contains(got["t/0"][0], `"b":2`) {
		t.Errorf("left: %q", got["t/0"])
	}
	unsure(all, "other", "mysql", got)
	if len(got["t/0"]) != 1 {
		t.Error("another case's exception was applied")
	}
}
