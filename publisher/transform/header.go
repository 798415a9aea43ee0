package transform

import (
	"slices"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// addHeaders appends headers to a record's own.
func addHeaders(slab *record.Slab, r *record.Record, hs ...record.Header) {
	out := slab.Headers(len(r.Headers) + len(hs))
	copy(out[copy(out, r.Headers):], hs)
	r.Headers = out
}

// addInPlace appends headers as Debezium's transforms do to the record they were given.
func addInPlace(slab *record.Slab, r *record.Record, hs ...record.Header) {
	addHeaders(slab, r, hs...)
	if r.SharesHeaders {
		r.Shared = append(r.Shared, hs...)
	}
}

// sharer is a transform whose results have the headers of what it was given, the very same ones.
type sharer interface{ sharesHeaders() }

// removeHeaders removes the headers of some names.
func removeHeaders(slab *record.Slab, r *record.Record, names []string) {
	out := slab.Headers(len(r.Headers))[:0]
	for _, h := range r.Headers {
		if !slices.Contains(names, h.Name) {
			out = append(out, h)
		}
	}
	r.Headers = out
}

// dropHeaders is DropHeaders.
type dropHeaders []string

func newDropHeaders(o options, _ side) (Transform, error) { return dropHeaders(o.list("headers")), nil }

func (t dropHeaders) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	removeHeaders(slab, r, t)
	return true, nil
}

// insertHeader is InsertHeader.
type insertHeader struct{ header record.Header }

func newInsertHeader(o options, _ side) (Transform, error) {
	return insertHeader{record.Header{Name: o.text("header"), Data: literal(o.text("value.literal"))}}, nil
}

func (t insertHeader) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	addHeaders(slab, r, t.header)
	return true, nil
}

// dropAll is Filter, which drops each record that its predicate leaves to it.
type dropAll struct{}

func newDropAll(options, side) (Transform, error) { return dropAll{}, nil }

func (dropAll) Apply(*record.Slab, *record.Record) (bool, error) { return false, nil }

// headerFrom is HeaderFrom: fields become headers.
type headerFrom struct {
	on              side
	fields, headers []string
	move            bool
	nullDefault     bool
	plans           cache[*projection]
}

func newHeaderFrom(o options, on side) (Transform, error) {
	t := &headerFrom{on: on, fields: o.list("fields"), headers: o.list("headers"), move: o.text("operation") == "move", nullDefault: o.nullDefault()}
	if len(t.fields) != len(t.headers) {
		return nil, errs.E(errs.Invalid, "'fields' config must have the same number of elements as 'headers' config.")
	}
	return t, nil
}

func (t *headerFrom) purpose() string {
	if t.move {
		return "header move"
	}
	return "header copy"
}

func (t *headerFrom) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	hs := slab.Headers(len(t.fields))
	if d.Schema == nil {
		m, err := mapOf(d.Value, t.purpose())
		if err != nil {
			return false, err
		}
		for i, name := range t.fields {
			v, _ := entry(m, name)
			hs[i] = record.Header{Name: t.headers[i], Data: record.Data{Value: v}}
		}
		if t.move {
			out := slab.Entries(len(m))[:0]
			for _, e := range m {
				if !slices.Contains(t.fields, e.Key.Text()) {
					out = append(out, e)
				}
			}
			d.Value = record.MapOf(out)
		}
		addHeaders(slab, r, hs...)
		return true, nil
	}
	s, err := structOf(*d, t.purpose())
	if err != nil {
		return false, err
	}
	for i, name := range t.fields {
		at := s.Schema.Field(name)
		if at < 0 { // where Kafka's fails with a NullPointerException
			return false, errs.E(errs.Invalid, "Unknown field: %s", name)
		}
		hs[i] = record.Header{Name: t.headers[i], Data: record.Data{Schema: s.Schema.Fields[at].Schema, Value: fieldAt(s, at, t.nullDefault)}}
	}
	if t.move {
		plan, _ := t.plans.once(s.Schema, func() (*projection, error) {
			p := &projection{}
			var fields []record.Field
			for i, f := range s.Schema.Fields {
				if !slices.Contains(t.fields, f.Name) {
					fields = p.add(fields, f, i)
				}
			}
			p.schema = basics(s.Schema).WithFields(fields)
			return p, nil
		})
		d.Schema, d.Value = plan.schema, record.StructOf(plan.apply(slab, s, t.nullDefault))
	}
	addHeaders(slab, r, hs...)
	return true, nil
}
