package capturer

import (
	"hash/fnv"
	"regexp"
	"slices"
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// cacheEntries bounds the answers that a filter remembers. Servers with more tables than this exist; their filters forget and ask again.
const cacheEntries = 1 << 14

// patterns is a list of anchored, case-insensitive regular expressions.
type patterns []*regexp.Regexp

func compilePatterns(field string, exprs []string) (patterns, error) {
	var p patterns
	for _, e := range exprs {
		re, err := regexp.Compile("(?is)^(?:" + e + ")$")
		if err != nil {
			return nil, errs.E(errs.Invalid, "%s: regular expression %q: %w", field, e, err)
		}
		p = append(p, re)
	}
	return p, nil
}

func (p patterns) match(s string) bool {
	for _, re := range p {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}

// filter decides which tables a subscription wants. It remembers its answers, so that an expression runs once per table. One goroutine uses it.
type filter struct {
	includeDBs, excludeDBs       patterns
	includeTables, excludeTables patterns
	withinTables                 patterns
	builtin                      bool
	shard                        *capturev1.Shard
	cache                        map[[2]string]answer
}

// answer is what a filter says of a table.
type answer uint8

const (
	selected answer = 1 << iota // by include and exclude lists
	wanted                      // and by the shard
)

func newFilter(f *capturev1.TableFilter) (*filter, error) {
	out := &filter{builtin: f.GetBuiltin(), shard: f.GetShard(), cache: make(map[[2]string]answer)}
	if s := out.shard; s != nil && (s.Count == 0 || s.Index >= s.Count) {
		return nil, errs.E(errs.Invalid, "tables.shard %d of %d: index runs from 0 to count-1", s.Index, s.Count)
	}
	for _, l := range []struct {
		to    *patterns
		field string
		exprs []string
	}{
		{&out.includeDBs, "tables.include_databases", f.GetIncludeDatabases()}, {&out.excludeDBs, "tables.exclude_databases", f.GetExcludeDatabases()},
		{&out.includeTables, "tables.include_tables", f.GetIncludeTables()}, {&out.excludeTables, "tables.exclude_tables", f.GetExcludeTables()},
		{&out.withinTables, "tables.within_tables", f.GetWithinTables()},
	} {
		var err error
		if *l.to, err = compilePatterns(l.field, l.exprs); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// database says whether a database is selected.
func (f *filter) database(db string) bool {
	if !f.builtin && builtinDatabase(db) {
		return false
	}
	if len(f.includeDBs) > 0 && !f.includeDBs.match(db) {
		return false
	}
	return !f.excludeDBs.match(db)
}

// table says what becomes of a table.
func (f *filter) table(db, table string) answer {
	key := [2]string{db, table}
	if a, ok := f.cache[key]; ok {
		return a
	}
	if len(f.cache) >= cacheEntries {
		clear(f.cache)
	}
	a := f.decide(db, table)
	f.cache[key] = a
	return a
}

func (f *filter) decide(db, table string) answer {
	name := db + "." + table
	if !f.database(db) || len(f.includeTables) > 0 && !f.includeTables.match(name) || f.excludeTables.match(name) ||
		len(f.withinTables) > 0 && !f.withinTables.match(name) {
		return 0
	}
	if f.shard != nil && shardOf(f.shard, name) != f.shard.Index && !slices.Contains(f.shard.Everywhere, name) {
		return selected
	}
	return selected | wanted
}

// shardOf returns the shard that a table belongs to.
func shardOf(s *capturev1.Shard, name string) uint32 {
	if i, ok := s.Pins[name]; ok {
		return i
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return uint32(h.Sum64() % uint64(s.Count))
}

// builtinDatabase says whether db is the server's own.
func builtinDatabase(db string) bool {
	switch strings.ToLower(db) {
	case "mysql", "sys", "information_schema", "performance_schema":
		return true
	}
	return false
}
