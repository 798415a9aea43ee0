package gtid

import (
	"fmt"
	"slices"
	"sort"

	"github.com/rowmesh/rowmesh/services/config"
)

// interval holds the numbers first..last, both included.
type interval struct{ first, last uint64 }

// source is what a set holds of one sid.
//
// Invariant (MySQL): intervals are sorted, not empty, and neither overlap nor touch.
// Invariant (MariaDB): there is one interval {1, seq}, and sid names the server that wrote seq.
type source struct {
	sid       string
	group     string // the uuid, or the domain number
	tag       string // MySQL; empty without
	domain    uint32 // MariaDB
	intervals []interval

	// text is the rendering, valid unless stale. MySQL: ":1-5:8" with ":tag" before it where there is one. MariaDB: all of it.
	text  []byte
	stale bool
}

func (s *source) last() uint64 { return s.intervals[len(s.intervals)-1].last }

// Set is a set of GTIDs. The zero value is of no use: New and Parse make sets.
type Set struct {
	flavor config.Flavor
	// Invariant: sorted by compareSources; MariaDB: one per domain.
	sources []*source
	// recent is the source that Add touched last: transactions of one source come in runs.
	recent *source
}

// New returns an empty set.
func New(flavor config.Flavor) *Set { return &Set{flavor: flavor} }

// Flavor returns the family of servers whose GTIDs the set holds.
func (s *Set) Flavor() config.Flavor { return s.flavor }

// Empty says that nothing is in the set.
func (s *Set) Empty() bool { return len(s.sources) == 0 }

// compareSources orders as the servers print: by uuid then tag, the untagged first; by number of the domain.
func (s *Set) compareSources(a, b *source) int {
	if s.flavor == config.MariaDB {
		switch {
		case a.domain < b.domain:
			return -1
		case a.domain > b.domain:
			return 1
		}
		return 0
	}
	if a.group != b.group {
		if a.group < b.group {
			return -1
		}
		return 1
	}
	switch {
	case a.tag < b.tag:
		return -1
	case a.tag > b.tag:
		return 1
	}
	return 0
}

// find returns the source that holds key's transactions (MariaDB: those of its domain), or nil.
func (s *Set) find(key *source) *source {
	i, ok := slices.BinarySearchFunc(s.sources, key, s.compareSources)
	if !ok {
		return nil
	}
	return s.sources[i]
}

// insert puts a source that find did not find in its place.
func (s *Set) insert(src *source) {
	i, _ := slices.BinarySearchFunc(s.sources, src, s.compareSources)
	s.sources = slices.Insert(s.sources, i, src)
}

// Add puts one transaction into the set. MySQL: in any order. MariaDB: in the order of the log; the last one added to a domain is the domain's
// position, also where its number is lower than the one before (a server without gtid_strict_mode allows that).
//
// It fails on a sid that is not of the flavor and on a number that no server assigns.
func (s *Set) Add(sid string, gno uint64) error {
	if gno == 0 || s.flavor != config.MariaDB && gno > maxGNO {
		return fmt.Errorf("GTID %s:%d: no server assigns that number", sid, gno)
	}
	src := s.recent
	if src == nil || src.sid != sid {
		var err error
		if src, err = s.sourceOf(sid); err != nil {
			return err
		}
		s.recent = src
	}
	if s.flavor == config.MariaDB {
		src.intervals = append(src.intervals[:0], interval{1, gno})
		src.stale = true
		return nil
	}
	src.add(interval{gno, gno})
	return nil
}

// sourceOf returns the source for a sid, adding it if it is new. A MariaDB source takes the sid's server.
func (s *Set) sourceOf(sid string) (*source, error) {
	if src := s.exact(sid); src != nil {
		return src, nil
	}
	key, err := parseSID(s.flavor, sid)
	if err != nil {
		return nil, err
	}
	if src := s.find(key); src != nil {
		if src.sid != key.sid {
			src.sid, src.stale = key.sid, true
		}
		return src, nil
	}
	s.insert(key)
	return key, nil
}

// exact returns the source spelled sid, or nil. A walk: sets have a handful of sources, and it spares a parse.
func (s *Set) exact(sid string) *source {
	if s.recent != nil && s.recent.sid == sid {
		return s.recent
	}
	for _, src := range s.sources {
		if src.sid == sid {
			return src
		}
	}
	return nil
}

// add merges an interval.
func (s *source) add(v interval) {
	n := len(s.intervals)
	if n > 0 {
		if t := &s.intervals[n-1]; v.first > t.first {
			// At or behind the end: the way of every transaction that commits in order.
			if v.first <= t.last+1 {
				if v.last > t.last {
					t.last, s.stale = v.last, true
				}
				return
			}
			s.intervals, s.stale = append(s.intervals, v), true
			return
		}
	}
	s.stale = true
	// i is the first interval that v can touch, j the first behind v.
	i := sort.Search(n, func(k int) bool { return s.intervals[k].last+1 >= v.first })
	j := i
	for j < n && s.intervals[j].first <= v.last+1 {
		v.first, v.last = min(v.first, s.intervals[j].first), max(v.last, s.intervals[j].last)
		j++
	}
	s.intervals = slices.Replace(s.intervals, i, j, v)
}

// has says whether all of v is there.
func (s *source) has(v interval) bool {
	i := sort.Search(len(s.intervals), func(k int) bool { return s.intervals[k].last >= v.first })
	return i < len(s.intervals) && s.intervals[i].first <= v.first && s.intervals[i].last >= v.last
}

// ContainsGTID says whether one transaction is in the set. A sid that is not of the flavor is not.
func (s *Set) ContainsGTID(sid string, gno uint64) bool {
	src := s.exact(sid)
	if src == nil {
		key, err := parseSID(s.flavor, sid)
		if err != nil {
			return false
		}
		if src = s.find(key); src == nil {
			return false
		}
	}
	return gno > 0 && src.has(interval{gno, gno})
}

// Clone returns an independent copy.
func (s *Set) Clone() *Set {
	c := &Set{flavor: s.flavor, sources: make([]*source, len(s.sources))}
	for i, src := range s.sources {
		c.sources[i] = src.clone()
	}
	return c
}

func (s *source) clone() *source {
	c := *s
	c.intervals = slices.Clone(s.intervals)
	c.text = slices.Clone(s.text)
	return &c
}

// Range calls f for each run of transactions, in the order of the text, until f returns false. MariaDB: first is 1 and sid names the server
// that wrote last.
func (s *Set) Range(f func(sid string, first, last uint64) bool) {
	for _, src := range s.sources {
		for _, v := range src.intervals {
			if !f(src.sid, v.first, v.last) {
				return
			}
		}
	}
}
