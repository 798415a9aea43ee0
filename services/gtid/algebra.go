package gtid

import "github.com/rowmesh/rowmesh/services/config"

// Contains says whether all of other is in the set (GTID_SUBSET(other, s) of MySQL). MariaDB: no domain of other is ahead.
// Sets of different flavors contain each other only where they are empty.
func (s *Set) Contains(other *Set) bool {
	if other.Empty() {
		return true
	}
	if s.flavor != other.flavor {
		return false
	}
	for _, o := range other.sources {
		src := s.find(o)
		if src == nil {
			return false
		}
		for _, v := range o.intervals {
			if !src.has(v) {
				return false
			}
		}
	}
	return true
}

// Equal says whether both hold the same. MariaDB: the server that wrote the last transaction of a domain counts too.
func (s *Set) Equal(other *Set) bool {
	if len(s.sources) != len(other.sources) || (s.flavor != other.flavor && !s.Empty()) {
		return false
	}
	for i, a := range s.sources {
		b := other.sources[i]
		if a.sid != b.sid || len(a.intervals) != len(b.intervals) {
			return false
		}
		for k, v := range a.intervals {
			if v != b.intervals[k] {
				return false
			}
		}
	}
	return true
}

// Union puts all of other into the set. MariaDB: of two positions in a domain the one with the higher number stays.
// Requires: the flavors are the same, or other is empty.
func (s *Set) Union(other *Set) {
	s.mustMatch(other)
	for _, o := range other.sources {
		src := s.find(o)
		switch {
		case src == nil:
			s.insert(o.clone())
		case s.flavor == config.MariaDB:
			if o.last() > src.last() {
				src.sid, src.intervals[0], src.stale = o.sid, o.intervals[0], true
			}
		default:
			for _, v := range o.intervals {
				src.add(v)
			}
		}
	}
}

// Subtract takes all of other out of the set (GTID_SUBTRACT(s, other) of MySQL). MariaDB: the domains stay in which the set is ahead of
// other, with their position; the text cannot say where the rest begins.
// Requires: the flavors are the same, or one is empty.
func (s *Set) Subtract(other *Set) {
	if s.Empty() || other.Empty() {
		return
	}
	s.mustMatch(other)
	kept := s.sources[:0:0]
	for _, src := range s.sources {
		if o := other.find(src); o != nil {
			if s.flavor == config.MariaDB {
				if o.last() >= src.last() {
					continue
				}
			} else {
				src.intervals = subtract(src.intervals, o.intervals)
				src.stale = true
				if len(src.intervals) == 0 {
					continue
				}
			}
		}
		kept = append(kept, src)
	}
	s.sources, s.recent = kept, nil
}

// Of returns the part of the set whose sources keep takes, by their sid.
func (s *Set) Of(keep func(sid string) bool) *Set {
	out := New(s.flavor)
	for _, src := range s.sources {
		if keep(src.sid) {
			out.sources = append(out.sources, src.clone())
		}
	}
	return out
}

// subtract returns a without b; both sorted and disjoint.
func subtract(a, b []interval) []interval {
	var out []interval
	k := 0
	for _, v := range a {
		for k < len(b) && b[k].last < v.first {
			k++
		}
		gone := false
		for m := k; m < len(b) && b[m].first <= v.last; m++ {
			if b[m].first > v.first {
				out = append(out, interval{v.first, b[m].first - 1})
			}
			if b[m].last >= v.last {
				gone = true
				break
			}
			v.first = b[m].last + 1
		}
		if !gone {
			out = append(out, v)
		}
	}
	return out
}

// mustMatch panics on a mix of flavors: only a defect of ours can ask for it.
func (s *Set) mustMatch(other *Set) {
	if s.flavor != other.flavor && !other.Empty() {
		panic("gtid: sets of " + string(s.flavor) + " and " + string(other.flavor))
	}
}
