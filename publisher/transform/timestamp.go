package transform

import (
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// timestampConverter is TimestampConverter: a time in another representation.
type timestampConverter struct {
	on          side
	field       string
	to          timeForm
	format      *dateFormat // nil: none
	precision   string
	nullDefault bool
	schemas     cache[*record.Schema]
}

// timeForm is a representation of a time.
type timeForm uint8

const (
	unknownForm timeForm = iota
	textForm
	unixForm
	dateForm
	timeOfDayForm
	timestampForm
)

func newTimestampConverter(o options, on side) (Transform, error) {
	t := &timestampConverter{on: on, field: o.text("field"), precision: o.text("unix.precision"), nullDefault: o.nullDefault()}
	target := o.text("target.type")
	t.to = map[string]timeForm{"string": textForm, "unix": unixForm, "Date": dateForm, "Time": timeOfDayForm, "Timestamp": timestampForm}[target]
	if t.to == unknownForm {
		return nil, errs.E(errs.Invalid, "Invalid value %s for configuration target.type: String must be one of: string, unix, Date, Time, Timestamp", target)
	}
	format := o.text("format")
	if strings.TrimSpace(format) == "" {
		if t.to == textForm {
			return nil, errs.E(errs.Invalid, "TimestampConverter requires format option to be specified when using string timestamps")
		}
		return t, nil
	}
	var err error
	if t.format, err = newDateFormat(format); err != nil {
		return nil, errs.E(errs.Invalid, "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: %s: %w", format, err)
	}
	return t, nil
}

func (t *timestampConverter) schema(optional bool) *record.Schema {
	switch t.to {
	case textForm:
		return record.Of(record.String, optional)
	case unixForm:
		return record.Of(record.Int64, optional)
	case dateForm:
		return record.DateSchema(optional)
	case timeOfDayForm:
		return record.TimeSchema(optional)
	}
	return record.TimestampSchema(optional)
}

func (t *timestampConverter) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	d := t.on.of(r)
	var err error
	switch {
	case d.Schema == nil && (d.Value.IsNull() || t.field == ""):
		d.Value, err = t.convert(slab, nil, d.Value)
	case d.Schema == nil:
		var m []record.Entry
		if m, err = mapOf(d.Value, "converting timestamp formats"); err != nil {
			return false, err
		}
		v, _ := entry(m, t.field)
		v, err = t.convert(slab, nil, v)
		d.Value = record.MapOf(withEntry(slab, m, t.field, v))
	case t.field == "":
		schema, _ := t.schemas.once(d.Schema, func() (*record.Schema, error) { return t.schema(d.Schema.Optional), nil })
		d.Value, err = t.convert(slab, d.Schema, d.Value)
		d.Schema = schema
	default:
		err = t.inStruct(slab, d)
	}
	return err == nil, err
}

func (t *timestampConverter) inStruct(slab *record.Slab, d *record.Data) error {
	var s *record.StructData
	if !d.Value.IsNull() {
		var err error
		if s, err = structOf(*d, "converting timestamp formats"); err != nil {
			return err
		}
	}
	schema, _ := t.schemas.once(d.Schema, func() (*record.Schema, error) {
		fields := append([]record.Field(nil), d.Schema.Fields...)
		for i := range fields {
			if fields[i].Name == t.field {
				fields[i].Schema = t.schema(fields[i].Schema.Optional)
			}
		}
		return d.Schema.WithFields(fields), nil
	})
	if s != nil {
		out := slab.Struct(schema)
		for i, f := range s.Schema.Fields {
			v := fieldAt(s, i, t.nullDefault)
			if f.Name == t.field {
				var err error
				if v, err = t.convert(slab, f.Schema, v); err != nil {
					return err
				}
			}
			out.Values[i] = v
		}
		d.Value = record.StructOf(out)
	}
	d.Schema = schema
	return nil
}

// form tells the representation of a value.
func (t *timestampConverter) form(s *record.Schema, v record.Value) (timeForm, error) {
	if s == nil {
		switch v.Kind() {
		case record.IntKind:
			return unixForm, nil
		case record.StringKind:
			return textForm, nil
		}
		return unknownForm, errs.E(errs.Invalid, "TimestampConverter does not support class %s objects as timestamps", javaClass(nil, v))
	}
	switch {
	case s.Name == record.TimestampName:
		return timestampForm, nil
	case s.Name == record.DateName:
		return dateForm, nil
	case s.Name == record.TimeName:
		return timeOfDayForm, nil
	case s.Type == record.String:
		return textForm, nil
	case s.Type == record.Int64:
		return unixForm, nil
	}
	return unknownForm, errs.E(errs.Invalid, "Schema %s does not correspond to a known timestamp type format", s)
}

const dayMillis = 24 * 60 * 60 * 1000

// convert converts a value; null stays null.
func (t *timestampConverter) convert(slab *record.Slab, s *record.Schema, v record.Value) (record.Value, error) {
	form, err := unknownForm, error(nil)
	if s != nil || !v.IsNull() { // a schema that means no time is an error even where the value is null
		if form, err = t.form(s, v); err != nil {
			return v, err
		}
	}
	if v.IsNull() {
		return v, nil
	}
	var ms int64
	switch form {
	case textForm:
		if t.format == nil {
			return v, errs.E(errs.Invalid, "TimestampConverter has no format to read the text %q; set format", v.Text())
		}
		at, ok := t.format.parse(v.Text())
		if !ok {
			return v, errs.E(errs.Invalid, "Could not parse timestamp: value (%s) does not match pattern (%s)", v.Text(), t.format.pattern)
		}
		ms = at.UnixMilli()
	case unixForm:
		ms = fromUnix(v.Int(), t.precision)
	case dateForm:
		ms = v.Int() * dayMillis
	default:
		ms = v.Int()
	}
	switch t.to {
	case textForm:
		var buf [64]byte
		return record.TextOf(slab.Copy(t.format.append(buf[:0], time.UnixMilli(ms).UTC()))), nil
	case unixForm:
		return record.IntOf(toUnix(ms, t.precision)), nil
	case dateForm:
		return record.IntOf(floorDiv(ms, dayMillis)), nil
	case timeOfDayForm:
		return record.IntOf(ms - floorDiv(ms, dayMillis)*dayMillis), nil
	}
	return record.IntOf(ms), nil
}

// fromUnix returns milliseconds, with Java's TimeUnit rounding towards zero.
func fromUnix(n int64, precision string) int64 {
	switch precision {
	case "seconds":
		return saturated(n, 1000)
	case "microseconds":
		return n / 1000
	case "nanoseconds":
		return n / 1e6
	}
	return n
}

// toUnix is the reverse.
func toUnix(ms int64, precision string) int64 {
	switch precision {
	case "seconds":
		return ms / 1000
	case "microseconds":
		return saturated(ms, 1000)
	case "nanoseconds":
		return saturated(ms, 1e6)
	}
	return ms
}

// saturated multiplies; what overflows is the nearest number that there is, as in Java's TimeUnit.
func saturated(n, by int64) int64 {
	const most, least = 1<<63 - 1, -1 << 63
	switch {
	case n > most/by:
		return most
	case n < least/by:
		return least
	}
	return n * by
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
