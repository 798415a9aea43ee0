package transform

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/publisher/transform/foreign"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Transform changes records one by one.
type Transform interface {
	// Apply changes r, whose memory comes from slab. keep is false where the record is dropped. After an error r is undefined.
	Apply(slab *record.Slab, r *record.Record) (keep bool, err error)
}

// Predicate says whether a transform applies to a record.
type Predicate interface {
	Test(r *record.Record) bool
}

// Env is what transforms need beside their options.
type Env struct {
	// Log takes what Kafka Connect logs: records that are dropped for being unexpected, once per cause.
	Log *slog.Logger
	// Now is the current time, for the offsets of zones that change.
	Now func() time.Time
	// Connector and Task are the lane that the transforms are for.
	Connector string
	Task      uint32
	// Dial connects to servers of foreign transforms.
	Dial func(address string) (*grpc.ClientConn, error)
}

// Chain is a connector's transforms in order. One goroutine uses it.
type Chain struct {
	links []link
}

// link is a transform with its condition.
type link struct {
	alias, class string
	transform    Transform       // nil: foreign is set
	foreign      *foreign.Client // takes many records at once
	predicate    Predicate       // nil: always
	negate       bool
	shares       bool // a sharer
}

// Error is an error of a transform on one record. Its kind is errs.Invalid.
type Error struct {
	Alias, Class string
	Err          error
}

func (e *Error) Error() string {
	return fmt.Sprintf("transform %s (%s): %v", e.Alias, e.Class, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Configured reports whether a config, as services/config parsed it, has transforms.
func Configured(raw map[string]string) bool { return strings.TrimSpace(raw["transforms"]) != "" }

// New builds the chain that a config describes. Errors, of kind Invalid or Unsupported, name the option.
func New(raw map[string]string, env Env) (*Chain, error) {
	predicates := map[string]Predicate{}
	for _, alias := range splitList(raw["predicates"]) {
		o, err := optionsOf(raw, "predicates."+alias+".")
		if err != nil {
			return nil, err
		}
		p, err := newPredicate(o)
		if err != nil {
			return nil, fmt.Errorf("predicate %s: %w", alias, err)
		}
		predicates[alias] = p
	}
	c := &Chain{}
	for _, alias := range splitList(raw["transforms"]) {
		l, err := newLink(raw, alias, predicates, env)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.links = append(c.links, l)
	}
	return c, nil
}

func newLink(raw map[string]string, alias string, predicates map[string]Predicate, env Env) (link, error) {
	o, err := optionsOf(raw, "transforms."+alias+".")
	if err != nil {
		return link{}, err
	}
	o.env = env
	if o.plugin.Class == config.ForeignTransform {
		l := link{alias: alias, class: o.plugin.Class}
		if l, err = l.conditional(raw, o.prefix, predicates); err == nil {
			l.foreign, err = newForeign(o)
		}
		return l, err
	}
	build := constructor(o.plugin.Class)
	if build == nil || o.plugin.Use == config.Refused {
		next := o.plugin.Next
		if next == "" {
			next = "take it out of transforms"
		}
		return link{}, errs.E(errs.Unsupported, "transforms.%s.type: %s is not supported: %s", alias, o.plugin.Class, next)
	}
	l := link{alias: alias, class: o.plugin.Class}
	if l.transform, err = build(o); err != nil {
		return link{}, fmt.Errorf("transform %s (%s): %w", alias, l.class, err)
	}
	_, l.shares = l.transform.(sharer)
	return l.conditional(raw, o.prefix, predicates)
}

// conditional gives a link the predicate that its options name.
func (l link) conditional(raw map[string]string, prefix string, predicates map[string]Predicate) (link, error) {
	name := strings.TrimSpace(raw[prefix+"predicate"])
	if name == "" {
		return l, nil
	}
	p, ok := predicates[name]
	if !ok {
		return link{}, errs.E(errs.Invalid, "%spredicate: there is no predicate %q; list it in the option predicates", prefix, name)
	}
	l.predicate, l.negate = p, strings.EqualFold(strings.TrimSpace(raw[prefix+"negate"]), "true")
	return l, nil
}

// Close ends what the transforms hold: connections to servers.
func (c *Chain) Close() error {
	var err error
	for i := range c.links {
		if f := c.links[i].foreign; f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// Apply runs the transforms over a record until one drops it. An error is an *Error. Chains that are Batched have ApplyAll instead.
func (c *Chain) Apply(slab *record.Slab, r *record.Record) (keep bool, err error) {
	return apply(c.links, slab, r)
}

func apply(links []link, slab *record.Slab, r *record.Record) (keep bool, err error) {
	for i := range links {
		l := &links[i]
		if l.predicate != nil && l.predicate.Test(r) == l.negate {
			continue
		}
		keep, err := l.transform.Apply(slab, r)
		if err != nil {
			return false, &Error{l.alias, l.class, err}
		}
		if !keep {
			return false, nil
		}
		if !l.shares {
			r.SharesHeaders = false
		}
	}
	return true, nil
}
