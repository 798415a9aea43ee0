// Package check judges what a mesh wrote to Kafka against what a workload committed.
package check

import (
	"encoding/json"
	"fmt"
	"sort"

	"github.com/rowmesh/rowmesh/integration/traffic"
)

// Violation is one broken promise.
type Violation struct {
	Promise string // lost, duplicate, order, phantom, corrupt
	Text    string
}

func (v Violation) String() string { return v.Promise + ": " + v.Text }

// Seen is the register events of one table as a consumer reads them, per key in order. The first may be a snapshot's ('r').
type Seen map[int64][]traffic.Change

// Add adds a Debezium event of a registers table; tombstones (nil value) are passed over.
func (s Seen) Add(value []byte) error {
	if value == nil {
		return nil
	}
	var e struct {
		Op            string
		Before, After *struct{ K, Version int64 }
		Payload       json.RawMessage
	}
	if err := json.Unmarshal(value, &e); err != nil {
		return fmt.Errorf("event %.200s: %w", value, err)
	}
	if e.Op == "" && e.Payload != nil {
		return s.Add(e.Payload)
	}
	row, extra := e.After, int64(0)
	if e.Op == "d" {
		row, extra = e.Before, 1 // a delete shows the version before it
	}
	if row == nil || len(e.Op) != 1 {
		return fmt.Errorf("event without a row: %.200s", value)
	}
	s[row.K] = append(s[row.K], traffic.Change{Op: e.Op[0], Version: row.Version + extra})
	return nil
}

// Registers compares what was committed with what was seen: each change once and in order, after at most one snapshot row a key.
func Registers(table string, committed map[int64][]traffic.Change, seen Seen) []Violation {
	var out []Violation
	keys := map[int64]bool{}
	for k := range committed {
		keys[k] = true
	}
	for k := range seen {
		keys[k] = true
	}
	sorted := make([]int64, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	for _, k := range sorted {
		if v := register(committed[k], seen[k]); v != nil {
			v.Text = fmt.Sprintf("%s key %d: %s", table, k, v.Text)
			out = append(out, *v)
		}
	}
	return out
}

// register judges one key. Requires: the versions of want are consecutive.
func register(want, got []traffic.Change) *Violation {
	next := int64(1)
	for i, c := range got {
		switch {
		case c.Op == 'r' && i == 0:
			next = c.Version
		case c.Op == 'r':
			return &Violation{"duplicate", fmt.Sprintf("snapshot row of version %d after version %d", c.Version, next-1)}
		case i == 0 && c.Version > next && c.Op == 'c':
			next = c.Version // deleted when the snapshot was taken
		}
		if c.Version < next {
			return &Violation{"duplicate", fmt.Sprintf("version %d comes again after %d (event %d of %d)", c.Version, next-1, i+1, len(got))}
		}
		if c.Version > next {
			kind := "lost"
			for _, later := range got[i:] {
				if later.Version == next {
					kind = "order"
				}
			}
			return &Violation{kind, fmt.Sprintf("version %d comes after %d (event %d of %d)", c.Version, next-1, i+1, len(got))}
		}
		if c.Version > int64(len(want)) {
			return &Violation{"phantom", fmt.Sprintf("version %d was never committed, the last is %d", c.Version, len(want))}
		}
		if w := want[c.Version-1]; c.Op != 'r' && c.Op != w.Op {
			return &Violation{"corrupt", fmt.Sprintf("version %d is %c, want %c", c.Version, c.Op, w.Op)}
		}
		next++
	}
	// A key that was deleted for good before the snapshot is rightly never seen.
	if len(got) == 0 && len(want) > 0 && want[len(want)-1].Op == 'd' {
		return nil
	}
	if last := int64(len(want)); next-1 != last {
		return &Violation{"lost", fmt.Sprintf("ends with version %d, want %d", next-1, last)}
	}
	return nil
}
