package transform

import (
	"math"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// recordSize is EnforceRecordSize: of records that are too large, by Debezium's estimate, the longest texts and bytes are cut in proportion.
type recordSize struct {
	max      int64
	ratio    float64
	minField int
}

func newRecordSize(o options, _ side) (Transform, error) {
	max, ok, err := o.number("max.bytes")
	if err == nil && (!ok || max <= 0) {
		err = errs.E(errs.Invalid, "Invalid value %s for configuration max.bytes: Must be a positive integer", o.text("max.bytes"))
	}
	if err != nil {
		return nil, err
	}
	t := &recordSize{max: int64(max)}
	if t.ratio, err = strconv.ParseFloat(strings.TrimSpace(o.text("compression.ratio")), 64); err != nil || !(t.ratio > 0) {
		return nil, errs.E(errs.Invalid, "Invalid value %s for configuration compression.ratio: Must be a positive number", o.text("compression.ratio"))
	}
	if t.minField, _, err = o.number("min.field.size"); err == nil && t.minField < 0 {
		err = errs.E(errs.Invalid, "Invalid value %d for configuration min.field.size: Must be non-negative", t.minField)
	}
	return t, err
}

// sourceEntries are the entries of a source partition and offset, which Debezium's estimate counts with 100 bytes each, as it does headers.
const sourceEntries = 8

func (t *recordSize) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	e := r.Value.Value.Struct()
	if e == nil {
		return true, nil
	}
	size := int64(100*(sourceEntries+len(r.Headers))+8+len(r.Topic)) + approximate(r.Key.Value) + approximate(r.Value.Value)
	size = int64(math.Ceil(float64(size) * t.ratio))
	if size <= t.max {
		return true, nil
	}
	excess := float64(size - t.max)
	rows := [2]int{e.Schema.Field(fieldBefore), e.Schema.Field(fieldAfter)}
	var bytes [2]int64
	for i, at := range rows {
		if at >= 0 {
			bytes[i] = t.truncatable(e.Values[at].Struct())
		}
	}
	total := bytes[0] + bytes[1]
	if total == 0 {
		return true, nil
	}
	out := e
	for i, at := range rows {
		if bytes[i] > 0 {
			part := math.Ceil(float64(bytes[i]) / float64(total) * excess)
			out = with(slab, out, at, record.StructOf(t.cut(slab, e.Values[at].Struct(), float64(bytes[i]), part)))
		}
	}
	r.Value.Value = record.StructOf(out)
	r.SharesHeaders = false
	return true, nil
}

func (*recordSize) sharesHeaders() {}

// long returns the length of a value that may be cut, 0 of one that may not: texts count in characters of UTF-16.
func (t *recordSize) long(v record.Value) int {
	n := 0
	switch v.Kind() {
	case record.StringKind:
		n = utf16Len(v.Text())
	case record.BytesKind:
		n = len(v.Bytes())
	}
	if n <= t.minField {
		return 0
	}
	return n
}

func (t *recordSize) truncatable(d *record.StructData) (n int64) {
	if d == nil {
		return 0
	}
	for _, v := range d.Values {
		n += int64(t.long(v))
	}
	return n
}

// cut cuts each long value by its share of the excess.
func (t *recordSize) cut(slab *record.Slab, d *record.StructData, total, excess float64) *record.StructData {
	out := slab.Struct(d.Schema)
	copy(out.Values, d.Values)
	for i, v := range d.Values {
		n := t.long(v)
		if n == 0 {
			continue
		}
		keep := max(0, n-int(math.Ceil(float64(n)/total*excess)))
		if v.Kind() == record.StringKind {
			out.Values[i] = record.StringOf(utf16Prefix(v.Text(), keep))
		} else {
			out.Values[i] = record.BytesOf(v.Bytes()[:keep])
		}
	}
	return out
}

// utf16Len is the length of a text in UTF-16.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// utf16Prefix is the start of a text; a character that the end would split is left out whole.
func utf16Prefix(s string, n int) string {
	for i, r := range s {
		if r > 0xFFFF {
			n--
		}
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// approximate is Debezium's estimate of what a value takes in memory.
func approximate(v record.Value) int64 {
	switch v.Kind() {
	case record.StringKind:
		return int64(56 + len(v.Bytes()))
	case record.BytesKind, record.DecimalKind:
		return int64(24 + len(v.Bytes()))
	case record.ListKind:
		n := int64(64)
		for _, e := range v.List() {
			n += 8 + approximate(e)
		}
		return n
	case record.MapKind:
		n := int64(88)
		for _, e := range v.Map() {
			n += 16 + approximate(e.Key) + approximate(e.Value)
		}
		return n
	case record.StructKind:
		d := v.Struct()
		n := int64(56)
		for i, f := range d.Schema.Fields {
			n += 8
			if t := f.Schema.Type; t <= record.Boolean { // null or not
				n += 24
			} else {
				n += approximate(d.Values[i])
			}
		}
		return n
	case record.NullKind:
		return 0
	}
	return 24
}
