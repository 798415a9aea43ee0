package check

import (
	"testing"

	"github.com/rowmesh/rowmesh/integration/traffic"
)

func changes(s string) (out []traffic.Change) {
	for i := range s {
		out = append(out, traffic.Change{Op: s[i], Version: int64(i + 1)})
	}
	return out
}

func TestRegistersFindsEachKindOfViolation(t *testing.T) {
	want := changes("cuudcu")
	at := func(i ...int) (out []traffic.Change) {
		for _, n := range i {
			out = append(out, want[n-1])
		}
		return out
	}
	snap := func(v int64, rest ...traffic.Change) []traffic.Change {
		return append([]traffic.Change{{Op: 'r', Version: v}}, rest...)
	}
	for _, c := range []struct {
		name, promise string
		seen          []traffic.Change
	}{
		{"good", "", at(1, 2, 3, 4, 5, 6)},
		{"good after a snapshot", "", snap(2, at(3, 4, 5, 6)...)},
		{"good, snapshot while deleted", "", at(5, 6)},
		{"first lost", "lost", at(2, 3, 4, 5, 6)},
		{"middle lost", "lost", at(1, 2, 4, 5, 6)},
		{"last lost", "lost", at(1, 2, 3, 4, 5)},
		{"all lost", "lost", nil},
		{"twice", "duplicate", at(1, 2, 2, 3, 4, 5, 6)},
		{"replay", "duplicate", at(1, 2, 3, 1, 2, 3, 4, 5, 6)},
		{"snapshot twice", "duplicate", snap(2, snap(2, at(3, 4, 5, 6)...)...)},
		{"swapped", "order", at(1, 3, 2, 4, 5, 6)},
		{"phantom", "phantom", append(at(1, 2, 3, 4, 5, 6), traffic.Change{Op: 'u', Version: 7})},
		{"other operation", "corrupt", append(at(1, 2, 3), traffic.Change{Op: 'u', Version: 4})},
	} {
		got := ""
		if v := Registers("r0", map[int64][]traffic.Change{1: want}, Seen{1: c.seen}); len(v) > 0 {
			got = v[0].Promise
		}
		if got != c.promise {
			t.Errorf("%s: got %q, want %q", c.name, got, c.promise)
		}
	}
}

func TestSeenReadsEventsWithAndWithoutSchemas(t *testing.T) {
	s := Seen{}
	for _, v := range []string{
		`{"before":null,"after":{"k":1,"version":1,"writer":0,"pad":"x"},"op":"c"}`,
		`{"schema":{},"payload":{"before":{"k":1,"version":1},"after":null,"op":"d"}}`,
	} {
		if err := s.Add([]byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add(nil); err != nil {
		t.Fatal(err)
	}
	if v := Registers("r0", map[int64][]traffic.Change{1: changes("cd")}, s); len(v) > 0 {
		t.Fatal(v)
	}
	if s.Add([]byte(`{"op":"c"}`)) == nil {
		t.Fatal("an event without a row counts")
	}
}
