package converter

import (
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// protoOptions are the options of ProtobufConverter that change schemas and values.
type protoOptions struct {
	scrub          bool // scrub.invalid.names
	optional       bool // optional.for.nullables
	wrap           bool // wrapper.for.nullables
	ignoreDefaults bool // ignore.default.for.nullables
}

func protoOptionsOf(o options) protoOptions {
	return protoOptions{scrub: o.is("scrub.invalid.names", false), optional: o.is("optional.for.nullables", false), wrap: o.is("wrapper.for.nullables", false),
		ignoreDefaults: o.is("ignore.default.for.nullables", false)}
}

// protobuf writes Confluent's Protobuf.
type protobuf struct{ o protoOptions }

var _ format = (*protobuf)(nil)

func (*protobuf) kind() sr.SchemaType { return sr.TypeProtobuf }

func (*protobuf) null(*record.Schema) bool { return true }

// compile plans a struct as a message, and a primitive as a wrapper of google.protobuf.
func (f *protobuf) compile(s *record.Schema) (*plan, error) {
	if typ, wrapper := scalarProto(s.Type); typ != "" {
		name, _ := logicalProto(s.Name)
		if name != "" {
			return nil, errs.E(errs.Invalid, "a %s alone cannot be written in Protobuf: put it into a struct, as the transform HoistField does", s.Name)
		}
		n, err := scalarWriter(s, false)
		if err != nil {
			return nil, err
		}
		p := &plan{name: wrapper, text: wrapperText, head: []byte{2, wrapperIndex(wrapper) << 1}}
		if p.head[1] == 0 {
			p.head = []byte{0}
		}
		p.write = func(dst []byte, v record.Value) ([]byte, error) { return n.field(dst, 1, v) }
		return p, nil
	}
	if s.Type != record.Struct {
		return nil, errs.E(errs.Invalid, "Unsupported root schema of type %s: Protobuf needs a struct: put it into one, as the transform HoistField does", s.Type)
	}
	b := &protoBuilder{o: &f.o}
	pkg, name := b.split(s.Name)
	m, err := b.message(name, s)
	if err != nil {
		return nil, err
	}
	w, err := compileProto(&f.o, s, m)
	if err != nil {
		return nil, err
	}
	p := &plan{name: name, text: renderProto(pkg, b.imports, m), head: []byte{0}}
	if pkg != "" {
		p.name = pkg + "." + name
	}
	p.write = func(dst []byte, v record.Value) ([]byte, error) { return w.append(dst, v) }
	return p, nil
}

// reads accepts the registry's schema as it is: field numbers of ours are kept by the check of compatibility, and readers skip those that they do not know.
func (f *protobuf) reads(_ *record.Schema, own *plan, _ string) (*plan, error) { return own, nil }
