package converter

import (
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// avroOptions are the options of AvroConverter that change schemas and values.
type avroOptions struct {
	metaData       bool // connect.meta.data
	scrub          bool // scrub.invalid.names
	optionalKeys   bool // allow.optional.map.keys
	discardDoc     bool // discard.type.doc.default
	ignoreDefaults bool // ignore.default.for.nullables
}

func avroOptionsOf(o options) avroOptions {
	return avroOptions{
		metaData: o.is("connect.meta.data", true), scrub: o.is("scrub.invalid.names", false), optionalKeys: o.is("allow.optional.map.keys", false),
		discardDoc: o.is("discard.type.doc.default", false), ignoreDefaults: o.is("ignore.default.for.nullables", false),
	}
}

// avro writes Confluent's Avro.
type avro struct{ o avroOptions }

var _ format = (*avro)(nil)

func (*avro) kind() sr.SchemaType { return sr.TypeAvro }

func (*avro) null(*record.Schema) bool { return true }

func (f *avro) compile(s *record.Schema) (*plan, error) {
	t, err := newAvroBuilder(&f.o).typeOf(s)
	if err != nil {
		return nil, err
	}
	p, err := f.plan(s, t)
	if err != nil {
		return nil, err
	}
	p.text = renderAvro(t)
	return p, nil
}

func (f *avro) plan(s *record.Schema, t *avroType) (*plan, error) {
	node, err := compileAvro(&f.o, s, t, "")
	if err != nil {
		return nil, err
	}
	p := &plan{write: node.append}
	if t.kind == "record" {
		p.name = t.fullName()
	}
	if t.kind == "bytes" { // which Confluent's serializer writes without their length
		p.write = func(dst []byte, v record.Value) ([]byte, error) {
			if k := v.Kind(); k != record.BytesKind && k != record.DecimalKind {
				return dst, node.wrong(v)
			}
			return append(dst, v.Bytes()...), nil
		}
	}
	return p, nil
}

func (f *avro) reads(s *record.Schema, own *plan, text string) (*plan, error) {
	t, err := parseAvro(text)
	if err != nil {
		return nil, err
	}
	p, err := f.plan(s, t)
	if err != nil {
		return nil, err
	}
	p.text, p.name = own.text, own.name
	return p, nil
}
