package transform

import (
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// deletedField is what rewriting adds.
const deletedField = "__deleted"

// unwrap is ExtractNewRecordState: the row takes the place of the envelope.
//
//	                       delete event                      tombstone
//	tombstone              null value, with its schema       dropped
//	drop                   dropped                           dropped
//	rewrite                row before, __deleted             dropped
//	rewrite-with-tombstone row before, __deleted             kept
//	delete-to-tombstone    null without a schema             dropped
//
// The two that rewrite add __deleted to other events too. Truncates are dropped, and what is no change event passes.
type unwrap struct {
	mode            string
	route           string
	fields, headers []reference
	dropHeader      string
	dropFromKey     bool
	compatible      bool
	nullDefault     bool

	plans cache[*unwrapPlan]
	drops map[string]*cache[*projection]
}

// unwrapPlan is what unwrapping needs to know of an envelope's schema.
type unwrapPlan struct {
	before, after int
	// row is the schema of the row, whole that with what is added: __deleted, then fields.
	row, whole      *record.Schema
	fields, headers []place
}

// place is where a reference points in an envelope.
type place struct {
	name   string
	schema *record.Schema // nil: there is no such field, and nothing is added
	// outer is the index of the struct around the field, -1 for the envelope itself. inner is the index in it, -1 if it is not there but in the envelope.
	outer, inner, own int
}

// reference is an element of add.fields or add.headers.
type reference struct{ outer, field, name string }

func newUnwrap(o options, _ side) (Transform, error) {
	t := &unwrap{mode: o.word("delete.tombstone.handling.mode"), route: o.text("route.by.field"), dropHeader: strings.TrimSpace(o.text("drop.fields.header.name")),
		dropFromKey: o.flag("drop.fields.from.key"), compatible: o.flag("drop.fields.keep.schema.compatible"), nullDefault: o.nullDefault()}
	if !slices.Contains([]string{"tombstone", "drop", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone"}, t.mode) {
		return nil, errs.E(errs.Invalid, "%sdelete.tombstone.handling.mode: %q is none of drop, tombstone, rewrite, rewrite-with-tombstone, delete-to-tombstone", o.prefix, t.mode)
	}
	var err error
	if t.fields, err = references(o.text("add.fields.prefix"), o.text("add.fields")); err != nil {
		return nil, err
	}
	t.headers, err = references(o.text("add.headers.prefix"), o.text("add.headers"))
	return t, err
}

// references reads "op,source.ts_ms:when".
func references(prefix, list string) ([]reference, error) {
	var out []reference
	for _, spec := range splitList(list) {
		from, name, renamed := strings.Cut(spec, ":")
		if strings.Contains(name, ":") {
			return nil, errs.E(errs.Invalid, "Unexpected field name: %s", spec)
		}
		parts := strings.Split(from, ".")
		r := reference{field: parts[0]}
		if len(parts) > 1 {
			r.outer, r.field = parts[0], parts[1]
		} else {
			r.outer = outerOf(r.field)
		}
		switch {
		case renamed:
			r.name = prefix + name
		case len(parts) > 1:
			r.name = prefix + r.outer + "_" + r.field
		default:
			r.name = prefix + r.field
		}
		out = append(out, r)
	}
	return out, nil
}

// outerOf returns the struct in which a field without one is looked for.
func outerOf(field string) string {
	switch field {
	case "id", "data_collection_order", "total_order":
		return fieldTransaction
	case fieldOp, fieldTsMs, "ts_us", "ts_ns":
		return ""
	case "updateDescription":
		return field
	}
	return fieldSource
}

func (t *unwrap) rewrites() bool { return strings.HasPrefix(t.mode, "rewrite") }

func (t *unwrap) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	if r.Value.Value.IsNull() {
		for _, h := range t.headers {
			if h.field == fieldOp {
				addInPlace(slab, r, record.Header{Name: h.name, Data: record.Data{Schema: record.Of(record.String, false), Value: record.StringOf("d")}})
			}
		}
		return t.mode == "rewrite-with-tombstone", nil
	}
	if !isEnvelope(r.Value) {
		return true, nil
	}
	e, err := structOf(r.Value, "field extraction")
	if err != nil {
		return false, err
	}
	plan, err := t.plans.once(e.Schema, func() (*unwrapPlan, error) { return t.plan(e.Schema) })
	if err != nil {
		return false, err
	}
	t.addTo(slab, r, e, plan)
	after, before := e.Values[plan.after].Struct(), e.Values[plan.before].Struct()
	switch {
	case after != nil:
		return true, t.row(slab, r, e, after, plan)
	case before == nil: // a truncate
		return false, nil
	}
	return t.delete(slab, r, e, before, plan)
}

func (t *unwrap) plan(s *record.Schema) (*unwrapPlan, error) {
	p := &unwrapPlan{before: s.Field(fieldBefore), after: s.Field(fieldAfter)}
	if p.before < 0 || p.after < 0 {
		return nil, errs.E(errs.Invalid, "Unknown field: %s", fieldAfter)
	}
	p.row = s.Fields[p.after].Schema
	fields := slices.Clone(p.row.Fields)
	if t.rewrites() {
		if p.row.Field(deletedField) >= 0 {
			return nil, twice(deletedField)
		}
		fields = append(fields, record.Field{Name: deletedField, Schema: record.Of(record.String, true)})
	}
	for _, r := range t.fields {
		at, err := r.place(s)
		if err != nil {
			return nil, err
		}
		p.fields = append(p.fields, at)
		if at.schema == nil {
			continue
		}
		for _, f := range fields {
			if f.Name == r.name {
				return nil, twice(r.name)
			}
		}
		fields = append(fields, record.Field{Name: r.name, Schema: at.schema})
	}
	p.whole = basics(p.row).WithFields(fields)
	for _, r := range t.headers {
		at, err := r.place(s)
		if err != nil {
			return nil, err
		}
		p.headers = append(p.headers, at)
	}
	return p, nil
}

// place finds a reference in an envelope's schema.
func (r reference) place(s *record.Schema) (place, error) {
	p := place{name: r.name, outer: -1, inner: -1, own: s.Field(r.field)}
	from := s
	if r.outer != "" {
		if p.outer = s.Field(r.outer); p.outer < 0 {
			return p, errs.E(errs.Invalid, "%s is not a valid field name", r.outer)
		}
		if from = s.Fields[p.outer].Schema; from.Type != record.Struct {
			return p, errs.E(errs.Invalid, "Cannot look up fields on non-struct type")
		}
	}
	p.inner = from.Field(r.field)
	var found *record.Schema
	switch {
	case p.inner >= 0:
		found = from.Fields[p.inner].Schema
	case p.own >= 0:
		found = s.Fields[p.own].Schema
	default:
		return p, nil
	}
	p.schema = basics(found).AsOptional(true)
	return p, nil
}

// value returns what a reference points to.
func (p *place) value(e *record.StructData) record.Value {
	from := e
	if p.outer >= 0 {
		if from = e.Values[p.outer].Struct(); from == nil {
			return record.Null
		}
	}
	if p.inner >= 0 {
		return from.Values[p.inner]
	}
	return e.Values[p.own]
}

func (t *unwrap) addTo(slab *record.Slab, r *record.Record, e *record.StructData, plan *unwrapPlan) {
	if len(plan.headers) == 0 {
		return
	}
	hs := slab.Headers(len(plan.headers))[:0]
	for i := range plan.headers {
		if p := &plan.headers[i]; p.schema != nil {
			hs = append(hs, record.Header{Name: p.name, Data: record.Data{Schema: p.schema, Value: p.value(e)}})
		}
	}
	addInPlace(slab, r, hs...)
}

// row unwraps an event that has a row after it.
func (t *unwrap) row(slab *record.Slab, r *record.Record, e, after *record.StructData, plan *unwrapPlan) error {
	if err := t.routeBy(r, after); err != nil {
		return err
	}
	t.fill(slab, r, e, after, plan, "false")
	return t.dropFields(slab, r)
}

// fill makes the new value: the row, __deleted, the fields that are added.
func (t *unwrap) fill(slab *record.Slab, r *record.Record, e, row *record.StructData, plan *unwrapPlan, deleted string) {
	out := slab.Struct(plan.whole)
	n := copy(out.Values, row.Values)
	if t.rewrites() {
		if t.nullDefault {
			for i := range n {
				out.Values[i] = row.At(i)
			}
		}
		out.Values[n] = record.StringOf(deleted)
		n++
	}
	for i := range plan.fields {
		if p := &plan.fields[i]; p.schema != nil {
			out.Values[n] = p.value(e)
			n++
		}
	}
	r.Value = record.Data{Schema: plan.whole, Value: record.StructOf(out)}
}

func (t *unwrap) delete(slab *record.Slab, r *record.Record, e, before *record.StructData, plan *unwrapPlan) (bool, error) {
	if t.mode == "drop" {
		return false, nil
	}
	if err := t.routeBy(r, before); err != nil {
		return false, err
	}
	switch t.mode {
	case "tombstone":
		r.Value = record.Data{Schema: plan.row}
	case "delete-to-tombstone":
		r.Value = record.Data{}
	default:
		t.fill(slab, r, e, before, plan, "true")
	}
	return true, t.dropFields(slab, r)
}

// routeBy takes the topic from a column.
func (t *unwrap) routeBy(r *record.Record, row *record.StructData) error {
	if t.route == "" {
		return nil
	}
	topic, _, err := textField(row, t.route)
	if strings.TrimSpace(topic) != "" {
		r.Topic = strings.Clone(topic)
	}
	return err
}

// dropFields removes the fields that the header lists; of a compatible schema only those that may be missing.
func (t *unwrap) dropFields(slab *record.Slab, r *record.Record) error {
	if t.dropHeader == "" {
		return nil
	}
	at := slices.IndexFunc(r.Headers, func(h record.Header) bool { return h.Name == t.dropHeader })
	if at < 0 {
		return nil
	}
	var names []string
	for _, v := range r.Headers[at].Value.List() {
		names = append(names, v.Text())
	}
	for _, on := range []side{onKey, onValue} {
		d := on.of(r)
		s := d.Value.Struct()
		if s == nil || len(names) == 0 || on == onKey && !t.dropFromKey {
			continue
		}
		plan := t.dropped(s.Schema, names)
		*d = record.Data{Schema: plan.schema, Value: record.StructOf(plan.apply(slab, s, true))}
	}
	return nil
}

// dropped derives the schema without some fields. It is cached by schema and names: headers name what changed, of which there are few sets.
func (t *unwrap) dropped(s *record.Schema, names []string) *projection {
	set := strings.Join(names, ",")
	plans := t.drops[set]
	if plans == nil {
		if t.drops == nil || len(t.drops) >= maxDropSets {
			t.drops = map[string]*cache[*projection]{}
		}
		plans = &cache[*projection]{}
		t.drops[set] = plans
	}
	plan, _ := plans.once(s, func() (*projection, error) {
		p := &projection{}
		var fields []record.Field
		for i, f := range s.Fields {
			if !slices.Contains(names, f.Name) || t.compatible && !f.Schema.Optional {
				fields = p.add(fields, f, i)
			}
		}
		p.schema = s
		if len(fields) < len(s.Fields) {
			p.schema = basics(s).WithFields(fields)
		}
		return p, nil
	})
	return plan
}

// maxDropSets bounds the sets of names that are remembered.
const maxDropSets = 64
