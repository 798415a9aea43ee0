package command

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
)

// several reports whether a connector may have more than one task.
func several(cfg map[string]string) bool { return cfg["tasks.max"] != "" && cfg["tasks.max"] != "1" }

// gather makes a connector with several tasks one with a single task, and waits until that has come as far as each of them was: Debezium knows one place in the log, and
// up to there everything must have been written. A connector that is paused or stopped cannot come any further; its error says so.
func (m *migration) gather(ctx context.Context, here *api, name string, cfg map[string]string) error {
	var was connectorStatus
	if err := here.get(ctx, connectorPath(name, "status"), &was); err != nil {
		return err
	}
	if len(was.Tasks) == 1 && was.is("RUNNING") {
		return nil
	}
	if s := was.Connector.State; s != "RUNNING" {
		return errs.E(errs.Invalid, "it has tasks.max=%s and is %s, so that its tasks cannot come to one place in the log: resume it first", cfg["tasks.max"], s)
	}
	m.say(name, "bringing its %d tasks to one place in the log", len(was.Tasks))
	one := maps.Clone(cfg)
	one["tasks.max"] = "1"
	if err := m.put(ctx, here, name, one); err != nil {
		return err
	}
	if err := m.await(ctx, here, name, func(s connectorStatus) bool { return len(s.Tasks) == 1 && s.is("RUNNING") }); err != nil {
		return m.scattered(ctx, here, name, cfg, err)
	}
	for end := time.Now().Add(m.timeout); ; {
		var all offsetList
		if err := here.get(ctx, connectorPath(name, "offsets"), &all); err != nil {
			return m.scattered(ctx, here, name, cfg, err)
		}
		behind, err := all.behind()
		if err == nil && behind == "" {
			return nil
		}
		if err == nil && time.Now().After(end) {
			err = errs.E(errs.Busy, "after %s its task is still behind %s", m.timeout, behind)
		}
		if err == nil {
			err = pause(ctx)
		}
		if err != nil {
			return m.scattered(ctx, here, name, cfg, err)
		}
	}
}

// scattered gives a connector that could not be gathered its config again.
func (m *migration) scattered(ctx context.Context, here *api, name string, cfg map[string]string, why error) error {
	if err := m.put(context.WithoutCancel(ctx), here, name, cfg); err != nil {
		return fmt.Errorf("%w; and its config here still has tasks.max=1: %w", why, err)
	}
	return fmt.Errorf("%w; it goes on here as it was", why)
}

// binlogPlace is a place in a log, of the offset of one task.
type binlogPlace struct {
	File string `json:"file"`
	Pos  uint64 `json:"pos"`
}

// before orders places of one server; log files are numbered, in digits that may become more.
func (p binlogPlace) before(o binlogPlace) bool {
	if p.File == o.File {
		return p.Pos < o.Pos
	}
	if len(p.File) != len(o.File) {
		return len(p.File) < len(o.File)
	}
	return p.File < o.File
}

// behind returns the place of a task, one of earlier ones, that the only task of a connector has not reached; empty if there is none.
func (l offsetList) behind() (string, error) {
	var own *binlogPlace
	var others []binlogPlace
	for _, e := range l.Offsets {
		var partition map[string]any
		var at binlogPlace
		if err := json.Unmarshal(e.Partition, &partition); err != nil {
			return "", errs.E(errs.Corrupt, "its offsets: %w", err)
		}
		if err := json.Unmarshal(e.Offset, &at); err != nil || at.File == "" {
			continue
		}
		if len(partition) == 1 && partition["server"] != nil {
			own = &at
		} else {
			others = append(others, at)
		}
	}
	if own == nil {
		return "the place of its first task, which is not written yet", nil
	}
	for _, o := range others {
		if own.before(o) {
			return fmt.Sprintf("%s:%d", o.File, o.Pos), nil
		}
	}
	return "", nil
}
