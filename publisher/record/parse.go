package record

import "github.com/rowmesh/rowmesh/services/errs"

// ParseSchema reads a schema as JsonConverter writes it; the text null is no schema. What it returns does not refer to text.
func ParseSchema(text []byte) (*Schema, error) {
	s := scanner{src: append([]byte(nil), text...), slab: &Slab{}}
	schema, _, err := s.schema(0)
	if err != nil {
		return nil, err
	}
	if s.peek() != 0 {
		return nil, s.fail("something follows the schema")
	}
	return schema, nil
}

// schema takes a schema; field is the name that it has in a struct.
func (s *scanner) schema(depth int) (*Schema, string, error) {
	if s.word("null") {
		return nil, "", nil
	}
	if depth > maxDepth {
		return nil, "", s.fail("the schema is nested too deep")
	}
	if err := s.expect('{'); err != nil {
		return nil, "", err
	}
	out, field := &Schema{}, ""
	def := -1 // where the default stands: it is read once the rest is known
	for !s.take('}') {
		name, err := s.text()
		if err != nil {
			return nil, "", err
		}
		if err := s.expect(':'); err != nil {
			return nil, "", err
		}
		if string(name) == "default" {
			s.peek()
			def = s.i
			err = s.skip(0)
		} else {
			err = s.schemaMember(out, string(name), &field, depth)
		}
		if err != nil {
			return nil, "", err
		}
		s.take(',')
	}
	if out.Type == 0 {
		return nil, "", s.fail("a schema has no type")
	}
	if out.Type == Struct {
		out.index()
	}
	if def >= 0 {
		end := s.i
		s.i = def
		v, err := s.value(out, 0)
		if err != nil {
			return nil, "", err
		}
		out.Default, s.i = v, end
	}
	return out, field, nil
}

// schemaMember takes one member of a schema.
func (s *scanner) schemaMember(out *Schema, name string, field *string, depth int) (err error) {
	text := func() string {
		var t []byte
		if s.word("null") {
			return ""
		}
		t, err = s.text()
		return string(t)
	}
	switch name {
	case "type":
		if out.Type, err = typeOf(text()); err != nil {
			return err
		}
	case "optional":
		out.Optional = s.peek() == 't'
		err = s.skip(0)
	case "name":
		out.Name = text()
	case "doc":
		doc := text()
		out.Doc = &doc
	case "field":
		*field = text()
	case "version":
		var n int64
		if n, err = s.integer(); err == nil {
			v := int(n)
			out.Version = &v
		}
	case "items", "values":
		out.Elem, _, err = s.schema(depth + 1)
	case "keys":
		out.Key, _, err = s.schema(depth + 1)
	case "parameters":
		err = s.members(func(name string) error {
			out.Parameters = append(out.Parameters, Parameter{name, text()})
			return err
		})
	case "fields":
		if err = s.expect('['); err != nil {
			return err
		}
		for !s.take(']') {
			f, name, err := s.schema(depth + 1)
			if err != nil {
				return err
			}
			out.Fields = append(out.Fields, Field{name, f})
			s.take(',')
		}
	default:
		err = s.skip(0)
	}
	return err
}

// members takes an object.
func (s *scanner) members(member func(name string) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	for !s.take('}') {
		name, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := member(string(name)); err != nil {
			return err
		}
		s.take(',')
	}
	return nil
}

// typeOf reads a type's name.
func typeOf(name string) (Type, error) {
	for t := Int8; t <= Struct; t++ {
		if t.JSONName() == name {
			return t, nil
		}
	}
	return 0, errs.E(errs.Invalid, "Unknown schema type: %s", name)
}
