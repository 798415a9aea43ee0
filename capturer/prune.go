package capturer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/registry"
)

// Versions of tables are kept for whoever may still start at a place where they hold, and nobody can start before the oldest transaction that the server's log has: a lane's
// checkpoint, a snapshot's cut and the token of any other subscriber are all refused there (Gap). So what holds only before the beginning of the log is of no use, and
// that is what bounds the store: the statements of the time for which the log is kept.
//
// Not at once, though: a lane that was too late is sometimes taken to another server of the same lineage, whose log goes further back. What it needs there is kept for
// pruneGrace after it had left the first one's log. (Beyond that the schema history has it.)
const (
	// pruneEvery is how often the beginning of the log is looked at. It moves with the files of the log, a few times a day.
	pruneEvery = 15 * time.Minute
	// pruneGrace is how long a version stays that no place in the log needs any more: a night, and the morning in which somebody looks.
	pruneGrace = 24 * time.Hour
)

// beginning is where the log of the server began at a time.
type beginning struct {
	at     place
	seen   time.Time
	server string // its uuid and server_id, as far as known: files of another server are another log
}

// prunes says when versions are taken away; the fields are those of a source, so that tests need not wait.
type prunes struct{ every, grace time.Duration }

// prune takes versions away that nobody can need any more, until ctx ends.
func (s *dbSource) prune(ctx context.Context) {
	var seen []beginning // oldest first; one that is as old as the grace, and those after it
	tick := time.NewTicker(s.prunes.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b, flavor, err := s.logBeginning(ctx)
		if err != nil {
			s.logger.Debug("beginning of the log not known; no versions of tables are taken away", "error", err)
			continue
		}
		if n := len(seen); n > 0 && seen[n-1].server != b.server {
			seen = nil
		}
		seen = append(seen, b)
		for len(seen) > 1 && b.seen.Sub(seen[1].seen) >= s.prunes.grace {
			seen = seen[1:]
		}
		if b.seen.Sub(seen[0].seen) < s.prunes.grace {
			continue
		}
		n, err := s.history.prune(ctx, flavor, &seen[0].at)
		if err != nil {
			s.logger.Warn("versions of tables not taken away; trying again", "error", err)
		} else if n > 0 {
			s.metrics.pruned.WithLabelValues(string(s.id)).Add(float64(n))
			s.logger.Info("versions of tables taken away that no place in the log needs", "versions", n, "file", seen[0].at.file)
		}
	}
}

func (s *dbSource) logBeginning(ctx context.Context) (b beginning, flavor config.Flavor, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	session, err := s.access().Connect(ctx)
	if err != nil {
		return b, "", err
	}
	defer session.Close()
	info := session.Info()
	oldest, err := session.Oldest(ctx)
	if err != nil {
		return b, "", err
	}
	at, err := newPlace(info.Flavor, oldest)
	if err != nil {
		return b, "", err
	}
	at.uuid, at.server = info.ServerUUID, info.ServerID
	return beginning{at: at, seen: time.Now(), server: fmt.Sprint(info.ServerUUID, "/", info.ServerID)}, info.Flavor, nil
}

// prune takes away the versions that nobody needs who starts at a place or behind it, from the store first.
func (h *history) prune(ctx context.Context, flavor config.Flavor, at *place) (int, error) {
	h.mu.Lock()
	if !h.loaded {
		h.mu.Unlock()
		return 0, nil
	}
	bounds := []place{*at}
	if at.gtids != nil { // somebody may start by file and position alone
		byPosition := *at
		byPosition.gtids = nil
		bounds = append(bounds, byPosition)
	}
	var out []registry.TableVersion
	sets := make(map[string]*gtid.Set)
	for key, list := range h.versions {
		if h.deferred[key] == nil { // else the next version is not in the store yet
			out = append(out, needless(list, flavor, bounds, sets)...)
		}
	}
	h.mu.Unlock()
	if len(out) == 0 {
		return 0, nil
	}
	if err := h.store.Delete(ctx, h.source, out...); err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range out {
		key := [2]string{v.Database, v.Table}
		if h.versions[key] = slices.DeleteFunc(slices.Clone(h.versions[key]), sameKey(v)); len(h.versions[key]) == 0 {
			delete(h.versions, key)
		}
	}
	return len(out), nil
}

// needless returns those versions of a table that hold at no place that is at all the bounds or behind: a later version is valid at each of them. That a table is gone need
// not be remembered where nothing else is known of it.
func needless(list []registry.TableVersion, flavor config.Flavor, bounds []place, sets map[string]*gtid.Set) []registry.TableVersion {
	var out []registry.TableVersion
	for i := range list {
		if superseded(list, i, flavor, bounds, sets) {
			out = append(out, list[i])
		}
	}
	if len(out) == len(list)-1 {
		last := slices.IndexFunc(list, func(v registry.TableVersion) bool { return !slices.ContainsFunc(out, sameKey(v)) })
		if v := &list[last]; v.Shape == nil && validAtAll(v, flavor, bounds, sets) {
			out = append(out, *v)
		}
	}
	return out
}

// superseded says whether another version comes after the i-th and is valid at all bounds.
func superseded(list []registry.TableVersion, i int, flavor config.Flavor, bounds []place, sets map[string]*gtid.Set) bool {
	v := &list[i]
	return slices.ContainsFunc(list, func(w registry.TableVersion) bool {
		return validAtAll(&w, flavor, bounds, sets) && validAtPosition(flavor, v.ValidFrom, w.ValidFrom, sets) && !validAtPosition(flavor, w.ValidFrom, v.ValidFrom, sets)
	})
}

func validAtAll(v *registry.TableVersion, flavor config.Flavor, bounds []place, sets map[string]*gtid.Set) bool {
	for i := range bounds {
		if !validAt(flavor, v.ValidFrom, &bounds[i], sets) {
			return false
		}
	}
	return true
}
