package transform

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// changedState is ExtractChangedRecordState: headers list the columns that an update changed, and those that it did not. Other events have empty lists.
type changedState struct {
	changed, unchanged *record.Schema // nil: no such header
}

func newChangedState(o options, _ side) (Transform, error) {
	header := func(option string) *record.Schema {
		name := o.text(option)
		if strings.TrimSpace(name) == "" {
			return nil
		}
		return &record.Schema{Type: record.Array, Optional: true, Name: name, Elem: record.Of(record.String, true)}
	}
	return &changedState{header("header.changed.name"), header("header.unchanged.name")}, nil
}

func (t *changedState) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	if r.Value.Value.IsNull() || !isEnvelope(r.Value) {
		return true, nil
	}
	e, err := structOf(r.Value, "Record value should be struct.")
	if err != nil {
		return false, err
	}
	var changed, unchanged []record.Value
	after, before := e.Get(fieldAfter).Struct(), e.Get(fieldBefore).Struct()
	if after != nil && before != nil {
		all := slab.Values(len(after.Values))
		n, m := 0, len(all)
		for i, f := range after.Schema.Fields {
			if after.Values[i].Equal(before.Raw(f.Name)) {
				m--
				all[m] = record.StringOf(f.Name)
			} else {
				all[n] = record.StringOf(f.Name)
				n++
			}
		}
		changed, unchanged = all[:n], all[m:]
		for i, j := 0, len(unchanged)-1; i < j; i, j = i+1, j-1 { // they were filled from the end
			unchanged[i], unchanged[j] = unchanged[j], unchanged[i]
		}
	}
	if t.changed != nil {
		addInPlace(slab, r, record.Header{Name: t.changed.Name, Data: record.Data{Schema: t.changed, Value: record.ListOf(changed)}})
	}
	if t.unchanged != nil {
		addInPlace(slab, r, record.Header{Name: t.unchanged.Name, Data: record.Data{Schema: t.unchanged, Value: record.ListOf(unchanged)}})
	}
	return true, nil
}

func (*changedState) sharesHeaders() {}
