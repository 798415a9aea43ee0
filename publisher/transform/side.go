package transform

import (
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// side is the part of a record that a transform works on: $Key or $Value.
type side uint8

const (
	onValue side = iota
	onKey
)

// of returns the part.
func (s side) of(r *record.Record) *record.Data {
	if s == onKey {
		return &r.Key
	}
	return &r.Value
}

// structOf returns a struct, or the error of Kafka's Requirements.requireStruct.
func structOf(d record.Data, purpose string) (*record.StructData, error) {
	if s := d.Value.Struct(); s != nil {
		return s, nil
	}
	return nil, errs.E(errs.Invalid, "Only Struct objects supported for [%s], found: %s", purpose, javaClass(d.Schema, d.Value))
}

// mapOf returns a map, or the error of Kafka's Requirements.requireMap.
func mapOf(v record.Value, purpose string) ([]record.Entry, error) {
	if v.Kind() == record.MapKind {
		return v.Map(), nil
	}
	return nil, errs.E(errs.Invalid, "Only Map objects supported in absence of schema for [%s], found: %s", purpose, javaClass(nil, v))
}

// javaClass names the class of a value in Java.
func javaClass(s *record.Schema, v record.Value) string {
	if s != nil && v.Kind() == record.IntKind {
		switch {
		case s.Name == record.DateName || s.Name == record.TimeName || s.Name == record.TimestampName:
			return "java.util.Date"
		case s.Type == record.Int8:
			return "java.lang.Byte"
		case s.Type == record.Int16:
			return "java.lang.Short"
		case s.Type == record.Int32:
			return "java.lang.Integer"
		}
	}
	if s != nil && s.Type == record.Float32 && v.Kind() == record.FloatKind {
		return "java.lang.Float"
	}
	return v.JavaClass()
}

// fieldAt returns the i-th value of a struct: its default where it is null, if asked for.
func fieldAt(d *record.StructData, i int, nullDefault bool) record.Value {
	if nullDefault {
		return d.At(i)
	}
	return d.Values[i]
}

// entry returns a map's value of a text key.
func entry(m []record.Entry, name string) (record.Value, bool) {
	for i := range m {
		if m[i].Key.Kind() == record.StringKind && m[i].Key.Text() == name {
			return m[i].Value, true
		}
	}
	return record.Null, false
}

// withEntry returns a map with one entry set.
func withEntry(slab *record.Slab, m []record.Entry, name string, v record.Value) []record.Entry {
	for i := range m {
		if m[i].Key.Kind() == record.StringKind && m[i].Key.Text() == name {
			out := slab.Entries(len(m))
			copy(out, m)
			out[i].Value = v
			return out
		}
	}
	out := slab.Entries(len(m) + 1)
	copy(out, m)
	out[len(m)] = record.Entry{Key: record.StringOf(name), Value: v}
	return out
}

// basics copies what Kafka's SchemaUtil.copySchemaBasics does: the type, name, version, doc and parameters, but not whether it is optional and what its
// default is.
func basics(s *record.Schema) *record.Schema {
	c := *s
	c.Optional, c.Default = false, record.Null
	return &c
}

// cache keeps what was derived from a schema. It starts anew when it is full: schemas of old table versions do not come back.
type cache[V any] struct{ m map[*record.Schema]V }

// maxCached bounds a cache: more than a lane has tables, nearly always; a schema of a wide table takes some 50 KB.
const maxCached = 1024

func (c *cache[V]) put(s *record.Schema, v V) {
	if c.m == nil || len(c.m) >= maxCached {
		c.m = map[*record.Schema]V{}
	}
	c.m[s] = v
}

// once returns the cached value or makes it.
func (c *cache[V]) once(s *record.Schema, derive func() (V, error)) (V, error) {
	if v, ok := c.m[s]; ok {
		return v, nil
	}
	v, err := derive()
	if err == nil {
		c.put(s, v)
	}
	return v, err
}
