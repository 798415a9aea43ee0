package capturer

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/services/registry"
)

const (
	// storeForgets is how long after a failure the store counts as one that fails: whoever needs it tries again within minutes.
	storeForgets = 5 * time.Minute
	// deferredBatch is how many versions are written at once: some milliseconds of the store's time.
	deferredBatch = 500
	// deferredWait is the longest pause between tries to write them; nobody waits for it.
	deferredWait = 30 * time.Second
	// deferredLast bounds the last try when a source ends.
	deferredLast = time.Second
)

// deferred is the version of a table that no subscriber wants. It is stored in the background: the store may be away or full, which must not hold up rows of other
// tables. The latest version of a table stands for those before it, and what was made and dropped meanwhile needs none, so there are no more of them than tables on
// the server and in the store. Until it is stored it counts as known in this process; before rows that need it go out it is put.
type deferred struct {
	version registry.TableVersion
	tried   bool // one of the table may be in the store
}

// later takes versions to be stored in the background.
func (h *history) later(versions ...registry.TableVersion) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range versions {
		key := [2]string{v.Database, v.Table}
		list, d := h.versions[key], h.deferred[key]
		if i := slices.IndexFunc(list, sameKey(v)); i >= 0 && proto.Equal(list[i].Shape, v.Shape) {
			continue
		}
		switch {
		case d == nil && v.Shape == nil && len(list) == 0:
			// Nobody knew it.
		case d == nil:
			h.deferred[key] = &deferred{version: v}
		case newer(d.version, v):
			// From a reader that is ahead of the one that brings v.
		case v.Shape == nil && len(list) == 0 && !d.tried:
			delete(h.deferred, key)
		default:
			d.version = v
		}
	}
	select {
	case h.behind <- struct{}{}:
	default:
	}
}

// newer says whether a comes after b in the log of one server.
func newer(a, b registry.TableVersion) bool {
	return a.ValidFrom.GetServerUuid() == b.ValidFrom.GetServerUuid() &&
		comparePositions(a.ValidFrom.GetFile(), a.ValidFrom.GetPos(), b.ValidFrom.GetFile(), b.ValidFrom.GetPos()) > 0
}

// unstored returns the version of a table that is still to be stored.
func (h *history) unstored(database, table string) (registry.TableVersion, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.deferred[[2]string{database, table}]
	if d == nil {
		return registry.TableVersion{}, false
	}
	return d.version, true
}

// list returns what is known of a table. Requires: mu.
func (h *history) list(key [2]string) []registry.TableVersion {
	list := h.versions[key]
	if d := h.deferred[key]; d != nil {
		list = append(slices.Clip(list), d.version)
	}
	return list
}

// stored notes that a version is in the store. Requires: mu.
func (h *history) stored(v registry.TableVersion) {
	h.add(v)
	key := [2]string{v.Database, v.Table}
	if d := h.deferred[key]; d != nil && sameKey(v)(d.version) && d.version.Shape == v.Shape {
		delete(h.deferred, key)
	}
}

// writeBehind stores deferred versions until ctx ends, and then what is left, if the store takes it at once.
func (h *history) writeBehind(ctx context.Context, logger *slog.Logger) {
	var wait time.Duration
	for ctx.Err() == nil {
		behind, again := h.behind, (<-chan time.Time)(nil)
		if wait > 0 { // the store is away: more to write does not bring it back
			behind, again = nil, time.After(wait)
		}
		select {
		case <-ctx.Done():
			continue
		case <-behind:
		case <-again:
		}
		err := h.writeDeferred(ctx)
		if err == nil {
			wait = 0
			continue
		}
		wait = min(max(2*wait, storeRetry), deferredWait)
		logger.Warn("versions of tables that nobody wants are not stored yet", "retry_in", wait, "error", err)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), deferredLast)
	defer cancel()
	if err := h.writeDeferred(last); err != nil {
		logger.Warn("versions of tables that nobody wants are not stored; subscriptions that begin with them read them anew", "error", err)
	}
}

// writeDeferred stores all deferred versions.
func (h *history) writeDeferred(ctx context.Context) error {
	for {
		h.mu.Lock()
		var versions []registry.TableVersion
		for _, d := range h.deferred {
			if len(versions) == deferredBatch {
				break
			}
			d.tried = true
			versions = append(versions, d.version)
		}
		h.mu.Unlock()
		if len(versions) == 0 {
			return nil
		}
		if err := h.store.Put(ctx, h.source, versions...); err != nil {
			return err
		}
		h.mu.Lock()
		for _, v := range versions {
			h.stored(v)
		}
		h.mu.Unlock()
	}
}
