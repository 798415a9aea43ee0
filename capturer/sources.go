package capturer

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
)

// sources chooses the sources of GTIDs whose transactions count for a place (gtid.source.includes and .excludes). A server that is looked at after a failover may lack
// what another one wrote for itself, or have purged what its own users wrote: where the subscriber has said that those sources are none of his, that is no gap.
type sources struct{ include, exclude []*regexp.Regexp }

// newSources returns nil where all sources count.
func newSources(m *capturev1.GtidSources) (*sources, error) {
	if len(m.GetInclude()) == 0 && len(m.GetExclude()) == 0 {
		return nil, nil
	}
	compile := func(list []string) (out []*regexp.Regexp, err error) {
		for _, x := range list {
			re, err := regexp.Compile(`(?i)^(?:` + x + `)$`)
			if err != nil {
				return nil, errs.E(errs.Invalid, "open.start.gtid_sources: %q is no regular expression: %w", x, err)
			}
			out = append(out, re)
		}
		return out, nil
	}
	f := &sources{}
	var err error
	if f.include, err = compile(m.Include); err == nil {
		f.exclude, err = compile(m.Exclude)
	}
	return f, err
}

// foreign reports that the transactions of a sid do not count. A tag is none of its source's name.
func (f *sources) foreign(sid string) bool {
	source, _, _ := strings.Cut(sid, ":")
	matches := func(re *regexp.Regexp) bool { return re.MatchString(source) }
	return len(f.include) > 0 && !slices.ContainsFunc(f.include, matches) || slices.ContainsFunc(f.exclude, matches)
}

// adapt makes a set of seen transactions one that a server can go on from, as far as foreign sources are concerned: what the server never executed of them is
// as unseen, and what is gone from its log as seen.
func (f *sources) adapt(seen, executed, purged *gtid.Set) {
	missing := seen.Clone()
	missing.Subtract(executed)
	missing = missing.Of(f.foreign)
	seen.Subtract(missing)
	if seen.Flavor() == config.MariaDB { // whose sets are a position in each domain: without one the server would begin at its beginning
		domains := map[string]bool{}
		missing.Range(func(sid string, _, _ uint64) bool {
			domains[domainOf(sid)] = true
			return true
		})
		seen.Union(executed.Of(func(sid string) bool { return domains[domainOf(sid)] }))
	}
	gone := purged.Clone()
	gone.Subtract(seen)
	seen.Union(gone.Of(f.foreign))
}

// domainOf is the domain of a sid of MariaDB.
func domainOf(sid string) string {
	domain, _, _ := strings.Cut(sid, "-")
	return domain
}

// adopt adapts a place to the server, where the subscriber has said which sources count.
func (s *dbSource) adopt(ctx context.Context, session Session, at *place, m *capturev1.GtidSources) error {
	f, err := newSources(m)
	if f == nil || err != nil || at.gtids == nil || !session.Info().HasGTIDs() {
		return err
	}
	for tries := executedTries; ; tries-- {
		executed, purged, _, err := s.serverGTIDs(ctx, session)
		if err != nil {
			return err
		}
		if tries == 0 || executed.Contains(at.gtids) { // what the log has counts as executed a moment later
			f.adapt(at.gtids, executed, purged)
			return nil
		}
		select {
		case <-time.After(executedDelay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
