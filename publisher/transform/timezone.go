package transform

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// timezone is TimezoneConverter: times of rows in another zone. Times of day and dates stay as they are.
type timezone struct {
	zone             *time.Location
	include, exclude bool
	byTopic, byTable map[string][]string
	byEither         map[string][]string
	now              func() time.Time
}

// selection says which fields of a struct are converted.
type selection struct {
	all, exclude bool
	fields       []string
}

func (s selection) takes(field string) bool {
	return s.all || slices.Contains(s.fields, field) != s.exclude
}

var (
	zoneOffset   = regexp.MustCompile(`^[+-]\d{2}:\d{2}(:\d{2})?$`)
	timezoneList = regexp.MustCompile(`^((source|topic|[".\w\s]+):[".\w\s]+(:[".\w\s]+)?)(,(source|topic|[".\w\s]+):[".\w\s]+(:[".\w\s]+)?)*$`)
)

func newTimezone(o options, _ side) (Transform, error) {
	t := &timezone{byTopic: map[string][]string{}, byTable: map[string][]string{}, byEither: map[string][]string{}, now: o.env.Now}
	if t.now == nil {
		t.now = time.Now
	}
	include, exclude := o.list("include.list"), o.list("exclude.list")
	t.include, t.exclude = len(include) > 0, len(exclude) > 0
	for _, l := range []struct {
		name  string
		rules []string
	}{{"include", include}, {"exclude", exclude}} {
		if len(l.rules) > 0 && !timezoneList.MatchString(strings.Join(l.rules, ",")) {
			return nil, errs.E(errs.Invalid, `Invalid %s list format. Please specify a list of rules in the format of "source:<tablename>:<fieldnames>", "topic:<topicname>:<fieldnames>", "<matchname>:<fieldnames>"`, l.name)
		}
	}
	var err error
	if t.zone, err = zoneOf(o.text("converted.timezone")); err != nil {
		return nil, err
	}
	if t.include && t.exclude {
		return nil, errs.E(errs.Invalid, "Both include and exclude lists are specified. Please specify only one.")
	}
	t.collect(append(include, exclude...))
	return t, nil
}

// zoneOf reads a zone's name or an offset.
func zoneOf(text string) (*time.Location, error) {
	text = strings.TrimSpace(text)
	if zoneOffset.MatchString(text) {
		layout := "-07:00"
		if strings.Count(text, ":") == 2 {
			layout = "-07:00:00"
		}
		if at, err := time.Parse(layout, text); err == nil {
			_, offset := at.Zone()
			return time.FixedZone(text, offset), nil
		}
	} else if zone, err := time.LoadLocation(text); err == nil && text != "" && text != "Local" {
		return zone, nil
	}
	return nil, errs.E(errs.Invalid, "Invalid timezone format. Please specify either a geographic timezone (e.g. America/Los_Angeles) or a UTC offset in the format of +/-hh:mm, (e.g. +08:00).")
}

// collect reads rules. A prefix goes for the rules behind it too.
func (t *timezone) collect(rules []string) {
	common := ""
	for _, rule := range rules {
		parts := strings.Split(rule, ":")
		if p := strings.ToLower(parts[0]); len(parts) > 1 && (p == fieldSource || p == "topic") {
			common, parts = p, parts[1:]
		}
		into := t.byEither
		switch common {
		case "topic":
			into = t.byTopic
		case fieldSource:
			into = t.byTable
		}
		if into[parts[0]] == nil {
			into[parts[0]] = []string{}
		}
		if len(parts) > 1 {
			into[parts[0]] = append(into[parts[0]], parts[1])
		}
	}
}

// match returns the fields of the rule for an event.
func (t *timezone) match(topic, table string) (fields []string, ok bool) {
	for _, rule := range []struct {
		by   map[string][]string
		name string
	}{{t.byTopic, topic}, {t.byTable, table}, {t.byEither, topic}, {t.byEither, table}} {
		if fields, ok = rule.by[rule.name]; ok {
			return fields, true
		}
	}
	return nil, false
}

func (t *timezone) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	e := r.Value.Value.Struct()
	if e == nil || !isEnvelope(r.Value) {
		return true, nil
	}
	table := ""
	if s := e.Get(fieldSource).Struct(); s != nil {
		table = s.Get("table").Text()
	}
	fields, matched := t.match(r.Topic, table)
	what := selection{all: true}
	switch {
	case t.include && !matched, t.exclude && matched && len(fields) == 0:
		return true, nil
	case matched && len(fields) > 0:
		what = selection{exclude: t.exclude, fields: fields}
	}
	out := e
	for _, name := range []string{fieldBefore, fieldAfter, fieldSource} {
		at := e.Schema.Field(name)
		if at < 0 {
			continue
		}
		part := e.Values[at].Struct()
		sel := what.of(name)
		if part == nil || name == fieldSource && len(sel.fields) == 0 {
			continue
		}
		converted, err := t.convert(slab, part, sel, name == fieldSource)
		if err != nil {
			return false, err
		}
		if converted != part {
			out = with(slab, out, at, record.StructOf(converted))
		}
	}
	r.Value.Value = record.StructOf(out)
	return true, nil
}

// of returns the selection of one part of the envelope: "before.x" means that part's field, "x" those of both rows.
func (s selection) of(part string) selection {
	out := selection{all: s.all, exclude: s.exclude}
	for _, f := range s.fields {
		switch prefix, name, ok := strings.Cut(f, "."); {
		case ok && prefix == part:
			out.fields = append(out.fields, name)
		case (!ok || prefix != fieldBefore && prefix != fieldAfter && prefix != fieldSource) && part != fieldSource:
			out.fields = append(out.fields, f)
		}
	}
	return out
}

// convert converts the times of a struct. The struct itself is returned if there are none.
func (t *timezone) convert(slab *record.Slab, d *record.StructData, sel selection, source bool) (*record.StructData, error) {
	out := d
	for i, f := range d.Schema.Fields {
		epoch := source && (f.Name == "ts_ms" || f.Name == "ts_us" || f.Name == "ts_ns")
		if f.Schema.Name == "" && !epoch || !sel.takes(f.Name) {
			continue
		}
		v := d.At(i)
		if v.IsNull() {
			continue
		}
		moved, err := t.value(slab, f, v)
		if err != nil {
			return nil, err
		}
		if !moved.Equal(v) {
			if out == d {
				out = slab.Struct(d.Schema)
				copy(out.Values, d.Values)
			}
			out.Values[i] = moved
		}
	}
	return out, nil
}

// value converts one time.
func (t *timezone) value(slab *record.Slab, f record.Field, v record.Value) (record.Value, error) {
	switch f.Schema.Name {
	case "io.debezium.time.ZonedTimestamp":
		at, err := time.Parse(time.RFC3339Nano, v.Text())
		if err != nil {
			return v, errs.E(errs.Invalid, "Text '%s' could not be parsed: field %s", v.Text(), f.Name)
		}
		// Debezium looks up the offset by the local time of the text, whatever that is local to.
		offset := t.offsetAt(wall(at))
		zone := time.FixedZone("", offset)
		return record.TextOf(slab.Copy(at.In(zone).AppendFormat(nil, zonedLayout(offset, "2006-01-02T15:04:05.999999999")))), nil
	case "io.debezium.time.ZonedTime":
		at, err := time.Parse("15:04:05.999999999Z07:00", v.Text())
		if err != nil {
			return v, errs.E(errs.Invalid, "Text '%s' could not be parsed: field %s", v.Text(), f.Name)
		}
		_, offset := t.now().In(t.zone).Zone()
		return record.TextOf(slab.Copy(at.In(time.FixedZone("", offset)).AppendFormat(nil, zonedLayout(offset, "15:04:05.999999999")))), nil
	case "io.debezium.time.MicroTimestamp":
		return t.local(v, 1e6), nil
	case "io.debezium.time.NanoTimestamp":
		return t.local(v, 1e9), nil
	case "io.debezium.time.Timestamp", record.TimestampName:
		return t.local(v, 1e3), nil
	case "":
		unit := map[string]int64{"ts_ms": 1e3, "ts_us": 1e6, "ts_ns": 1e9}[f.Name]
		_, offset := time.Unix(floorDiv(v.Int(), unit), 0).In(t.zone).Zone()
		return record.IntOf(v.Int() + int64(offset)*unit), nil
	}
	return v, nil
}

// zonedLayout completes a layout by the offset: with seconds where there are some.
func zonedLayout(offset int, layout string) string {
	if offset%60 != 0 {
		return layout + "Z07:00:00"
	}
	return layout + "Z07:00"
}

// local takes a number of units since the epoch for a local time of the zone and returns the instant.
func (t *timezone) local(v record.Value, unit int64) record.Value {
	seconds := floorDiv(v.Int(), unit)
	return record.IntOf(v.Int() - int64(t.offsetAt(seconds))*unit)
}

// wall is the local time of t as seconds since the epoch, as if it were UTC.
func wall(t time.Time) int64 {
	_, offset := t.Zone()
	return t.Unix() + int64(offset)
}

// offsetAt returns the zone's offset at a local time, in seconds: in a gap the one before it, where a time comes twice the first one.
func (t *timezone) offsetAt(local int64) int {
	offset := func(instant int64) int {
		_, o := time.Unix(instant, 0).In(t.zone).Zone()
		return o
	}
	const day = 24 * 60 * 60 // offsets differ from UTC by less than a day
	before, after := offset(local-day), offset(local+day)
	switch {
	case offset(local-int64(before)) == before:
		return before
	case offset(local-int64(after)) == after:
		return after
	}
	return before
}

func (*timezone) sharesHeaders() {}
