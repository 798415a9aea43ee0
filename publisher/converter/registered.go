package converter

import (
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// format is how values become bytes beside a registered schema: Avro, Protobuf or JSON Schema.
type format interface {
	kind() sr.SchemaType
	// compile plans how values of a schema are written. It is called once per schema.
	compile(s *record.Schema) (*plan, error)
	// reads plans how values of s are written for readers of a schema that the registry holds, where that is another than plan's own.
	reads(s *record.Schema, own *plan, text string) (*plan, error)
	// null says what null with a schema becomes: Kafka's null unless the format has a form for it.
	null(s *record.Schema) bool
}

// plan writes values of one schema.
type plan struct {
	text  string // of the schema, as it is registered
	name  string // of the record, for subjects; empty if the schema has none
	head  []byte // between the id and the value: the message index of Protobuf
	write func(dst []byte, v record.Value) ([]byte, error)
}

// magic is the first byte of Confluent's wire format; four bytes of the schema's id follow, big-endian.
const magic = 0

// registered is a converter that registers schemas.
type registered struct {
	format   format
	registry *registry
	key      bool

	plans map[*record.Schema]*plan
	uses  map[use]*usage
	last  use
	hit   *usage
}

var _ record.Converter = (*registered)(nil)

// use is where a schema is used: subjects may depend on both.
type use struct {
	schema *record.Schema
	topic  string
}

// usage is a schema with its id.
type usage struct {
	head []byte
	plan *plan
}

func newRegistered(f format, r *registry, key bool) *registered {
	return &registered{format: f, registry: r, key: key, plans: map[*record.Schema]*plan{}, uses: map[use]*usage{}}
}

// Append appends magic, the schema's id and the value. The first value of a schema asks the registry, and waits for it as long as registry.go says.
func (c *registered) Append(dst []byte, topic string, _ []record.Header, d record.Data) ([]byte, bool, error) {
	if d.Schema == nil {
		if d.Value.IsNull() {
			return dst, true, nil
		}
		return dst, false, errs.E(errs.Invalid, "data of topic %s has no schema, and %s cannot be written without one: remove the transform that drops it, or use org.apache.kafka.connect.json.JsonConverter", topic, c.format.kind())
	}
	if d.Value.IsNull() && c.format.null(d.Schema) {
		if !d.Schema.Optional && d.Schema.Default.IsNull() {
			return dst, false, errs.E(errs.Invalid, "Found null value for non-optional schema: topic %s", topic)
		}
		return dst, true, nil
	}
	u := c.hit
	if here := (use{d.Schema, topic}); u == nil || here != c.last {
		var err error
		if u, err = c.find(here); err != nil {
			return dst, false, err
		}
		c.last, c.hit = here, u
	}
	start := len(dst)
	dst, err := u.plan.write(append(dst, u.head...), d.Value)
	if err != nil {
		return dst[:start], false, errs.E(errs.Invalid, "topic %s: %w", topic, err)
	}
	return dst, false, nil
}

// find returns a schema with its id.
func (c *registered) find(here use) (*usage, error) {
	if u, ok := c.uses[here]; ok {
		return u, nil
	}
	p, err := c.plan(here.schema)
	if err != nil {
		return nil, errs.E(errs.Invalid, "topic %s: %w", here.topic, err)
	}
	subject, err := c.registry.subject(here.topic, c.key, p.name)
	if err != nil {
		return nil, err
	}
	id, other, err := c.registry.id(subject, c.format.kind(), p.text)
	if err != nil {
		return nil, err
	}
	if other != "" && other != p.text {
		if p, err = c.format.reads(here.schema, p, other); err != nil {
			return nil, errs.E(errs.KindOf(err), "subject %s: %w", subject, err)
		}
	}
	u := &usage{plan: p, head: append([]byte{magic, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, p.head...)}
	if len(c.uses) >= c.registry.maxSchemas {
		clear(c.uses)
	}
	c.uses[here] = u
	return u, nil
}

func (c *registered) plan(s *record.Schema) (*plan, error) {
	if p, ok := c.plans[s]; ok {
		return p, nil
	}
	p, err := c.format.compile(s)
	if err != nil {
		return nil, err
	}
	if len(c.plans) >= c.registry.maxSchemas {
		clear(c.plans)
	}
	c.plans[s] = p
	return p, nil
}
