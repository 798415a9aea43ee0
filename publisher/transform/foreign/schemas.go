package foreign

import (
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Bounds of the schemas that are kept: a lane has a few per table version, of 2 to 10 KB each, and a server that makes a new one for every record should fill
// no memory. All are forgotten at once.
const (
	maxSchemas      = 1000
	maxSchemaBytes  = 1 << 20
	maxSchemasBytes = 16 << 20
)

// schemas knows schemas by their text and texts by their schema, so that one text is one schema from call to call: converters keep plans by its address.
type schemas struct {
	texts  map[*record.Schema][]byte
	parsed map[string]*record.Schema
	bytes  int
}

// text returns the JSON of a schema.
func (s *schemas) text(of *record.Schema) []byte {
	if t, ok := s.texts[of]; ok {
		return t
	}
	t := (&record.JSON{NullDefault: true}).AppendSchema(nil, of)
	s.keep(of, t)
	return t
}

// parse returns the schema of a text.
func (s *schemas) parse(text []byte) (*record.Schema, error) {
	if of, ok := s.parsed[string(text)]; ok {
		return of, nil
	}
	if len(text) > maxSchemaBytes {
		return nil, errs.E(errs.Invalid, "it has %d bytes, more than %d", len(text), maxSchemaBytes)
	}
	of, err := record.ParseSchema(text)
	if err != nil {
		return nil, err
	}
	if of == nil {
		return nil, errs.E(errs.Invalid, "it is null")
	}
	if err := of.Check(); err != nil {
		return nil, err
	}
	s.keep(of, text)
	return of, nil
}

func (s *schemas) keep(of *record.Schema, text []byte) {
	if len(s.texts) >= maxSchemas || s.bytes+len(text) > maxSchemasBytes {
		s.texts, s.parsed, s.bytes = nil, nil, 0
	}
	if s.texts == nil {
		s.texts, s.parsed = map[*record.Schema][]byte{}, map[string]*record.Schema{}
	}
	s.texts[of] = text
	if _, ok := s.parsed[string(text)]; !ok {
		s.parsed[string(text)] = of
	}
	s.bytes += len(text)
}
