package transform

import (
	"regexp"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

func newPredicate(o options) (Predicate, error) {
	switch strings.TrimPrefix(o.plugin.Class, kafkaPackage+"predicates.") {
	case "HasHeaderKey":
		return hasHeader(o.text("name")), nil
	case "RecordIsTombstone":
		return tombstone{}, nil
	case "TopicNameMatches":
		whole, _, err := o.pattern("pattern")
		return topicMatches{whole}, err
	}
	return nil, errs.E(errs.Invalid, "%stype: %s is no predicate", o.prefix, o.plugin.Class)
}

// hasHeader is HasHeaderKey.
type hasHeader string

func (h hasHeader) Test(r *record.Record) bool {
	_, ok := r.Header(string(h))
	return ok
}

// tombstone is RecordIsTombstone.
type tombstone struct{}

func (tombstone) Test(r *record.Record) bool { return r.Tombstone() }

// topicMatches is TopicNameMatches.
type topicMatches struct{ pattern *regexp.Regexp }

func (t topicMatches) Test(r *record.Record) bool { return t.pattern.MatchString(r.Topic) }
