package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// producers judges partitions as read_uncommitted has them: I10, and of I14 that no transaction hangs.
type producers struct {
	j        *Judge
	parts    map[string]map[int64]*writes
	timeline []Commit // for the report
}

// writes is what one producer does in one partition.
type writes struct {
	open      int   // records without a marker yet
	first     int64 // offset of the first of them
	epoch     int16 // of them
	committed int16 // newest epoch that was committed; -1: none
	fenced    int16 // newest epoch seen, in markers too
}

// Commit is a committed transaction in a partition, for the timeline.
type Commit struct {
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
	Producer  int64  `json:"producer"`
	Epoch     int16  `json:"epoch"`
	Records   int    `json:"records"`
}

// maxCommits and maxPoints bound what a report shows: beyond them the older half is thinned out.
const maxCommits, maxPoints = 2000, 4000

// halved keeps every second of a list.
func halved[T any](all []T) []T {
	half := all[:0]
	for i := 0; i < len(all); i += 2 {
		half = append(half, all[i])
	}
	return half
}

func (p *producers) init() { p.parts = map[string]map[int64]*writes{} }

func (p *producers) take(r *Raw) {
	if r.Producer < 0 {
		return
	}
	name := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
	part := p.parts[name]
	if part == nil {
		part = map[int64]*writes{}
		p.parts[name] = part
	}
	w := part[r.Producer]
	if w == nil {
		w = &writes{committed: -1, fenced: -1}
		part[r.Producer] = w
	}
	record := fmt.Sprintf("%s@%d", name, r.Offset)
	if r.Marker == 0 {
		if r.Epoch < w.fenced {
			p.j.fail("I10", record, "a record of producer %d epoch %d behind epoch %d", r.Producer, r.Epoch, w.fenced)
		}
		if w.open == 0 {
			w.first = r.Offset
		}
		w.open++
		w.epoch, w.fenced = r.Epoch, max(w.fenced, r.Epoch)
		return
	}
	if r.Marker == 'c' && w.open > 0 {
		if w.epoch < w.committed {
			p.j.fail("I10", record, "epoch %d of producer %d is committed after epoch %d", w.epoch, r.Producer, w.committed)
		}
		w.committed = max(w.committed, w.epoch)
		if p.timeline = append(p.timeline, Commit{name, r.Offset, r.Producer, w.epoch, w.open}); len(p.timeline) > maxCommits {
			p.timeline = halved(p.timeline)
		}
	}
	w.open, w.fenced = 0, max(w.fenced, r.Epoch)
}

func (p *producers) finish() {
	for _, name := range slices.Sorted(maps.Keys(p.parts)) {
		for _, id := range slices.Sorted(maps.Keys(p.parts[name])) {
			if w := p.parts[name][id]; w.open > 0 && !strings.HasPrefix(name, "__") {
				p.j.fail("I14", fmt.Sprintf("%s@%d", name, w.first), "a transaction of producer %d epoch %d with %d records has no end", id, w.epoch, w.open)
			}
		}
	}
}
