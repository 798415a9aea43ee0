package transform

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/publisher/transform/foreign"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Item is one of the records that go through a chain together.
type Item struct {
	Record record.Record
	// Follows says that this is the tombstone of the item before it, which has the headers in common that it shares.
	Follows bool
	// Keep is false where the record was dropped, or where Err, an *Error, says why it could not be transformed.
	Keep bool
	Err  error
}

// Batched reports whether a transform of the chain takes many records at once.
func (c *Chain) Batched() bool {
	return slices.ContainsFunc(c.links, func(l link) bool { return l.foreign != nil })
}

// ApplyAll runs the transforms over records, each transform over all before the next where one takes many at once. An error is one of no record, such as a server
// that does not answer; nothing is decided about any then.
func (c *Chain) ApplyAll(ctx context.Context, slab *record.Slab, items []Item) error {
	for i := range items {
		items[i].Keep, items[i].Err = true, nil
	}
	for rest, first := c.links, true; ; first = false {
		n := slices.IndexFunc(rest, func(l link) bool { return l.foreign != nil })
		single := rest
		if n >= 0 {
			single = rest[:n]
		}
		for i := range items {
			it := &items[i]
			if first && it.Follows && i > 0 {
				it.Record.Headers = append(it.Record.Headers, items[i-1].Record.Shared...)
			}
			if it.Keep {
				it.Keep, it.Err = apply(single, slab, &it.Record)
			}
		}
		if n < 0 {
			return nil
		}
		if err := rest[n].applyAll(ctx, slab, items); err != nil {
			return err
		}
		rest = rest[n+1:]
	}
}

// applyAll runs a foreign transform over the records that it is for.
func (l *link) applyAll(ctx context.Context, slab *record.Slab, items []Item) error {
	var of []*Item
	var rs []*record.Record
	for i := range items {
		it := &items[i]
		if it.Keep && (l.predicate == nil || l.predicate.Test(&it.Record) != l.negate) {
			of, rs = append(of, it), append(rs, &it.Record)
		}
	}
	if len(rs) == 0 {
		return nil
	}
	outcomes, err := l.foreign.Apply(ctx, slab, rs)
	if err != nil {
		return &Error{l.alias, l.class, err}
	}
	for i, it := range of {
		it.Record.SharesHeaders = false
		if it.Keep = outcomes[i].Keep; outcomes[i].Err != nil {
			it.Err = &Error{l.alias, l.class, outcomes[i].Err}
		}
	}
	return nil
}

// Bounds of a foreign transform's options. A lane calls with a Kafka transaction open, which the broker ends after a minute: a call and the wait for a server that is
// not there must be over well before that.
const (
	maxForeignTimeout  = 20 * time.Second
	minForeignPatience = 3 * time.Second // a server that is started again is not noticed
	maxForeignPatience = 20 * time.Second
)

// newForeign makes the client of a transform that runs elsewhere.
func newForeign(o options) (*foreign.Client, error) {
	if o.env.Dial == nil {
		return nil, errs.E(errs.Unsupported, "%stype: %s needs a publisher that connects to its server", o.prefix, o.plugin.Class)
	}
	cfg := foreign.Config{
		Address: strings.TrimSpace(o.text("address")), Connector: o.env.Connector, Task: o.env.Task, Options: map[string]string{},
		Dial: o.env.Dial, Log: o.env.Log.With("transform", strings.TrimSuffix(strings.TrimPrefix(o.prefix, "transforms."), ".")),
		Patience: minForeignPatience, MaxWait: time.Minute,
	}
	cfg.RawNulls = strings.EqualFold(strings.TrimSpace(o.raw["value.converter.replace.null.with.default"]), "false")
	if ms, err := strconv.Atoi(strings.TrimSpace(o.raw["errors.retry.timeout"])); err == nil && ms > 0 {
		cfg.Patience = min(time.Duration(ms)*time.Millisecond, maxForeignPatience)
	}
	if ms, err := strconv.Atoi(strings.TrimSpace(o.raw["errors.retry.delay.max.ms"])); err == nil && ms > 0 {
		cfg.MaxWait = time.Duration(ms) * time.Millisecond
	}
	timeout := 0
	for _, n := range []struct {
		name string
		to   *int
		most int
	}{{"timeout.ms", &timeout, int(maxForeignTimeout.Milliseconds())}, {"batch.records", &cfg.MaxRecords, 10_000}, {"batch.bytes", &cfg.MaxBytes, 16 << 20}} {
		v, given, err := o.number(n.name)
		if err != nil {
			return nil, err
		}
		if !given || v < 1 || v > n.most {
			return nil, errs.E(errs.Invalid, "%s%s: %d is not between 1 and %d", o.prefix, n.name, v, n.most)
		}
		*n.to = v
	}
	cfg.Timeout = time.Duration(timeout) * time.Millisecond
	for _, key := range slices.Sorted(maps.Keys(o.raw)) {
		if name, ok := strings.CutPrefix(key, o.prefix+"options."); ok {
			cfg.Options[name] = o.raw[key]
		}
	}
	c, err := foreign.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%saddress: %w", o.prefix, err)
	}
	return c, nil
}
