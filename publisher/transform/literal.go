package transform

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// literal reads a text as Kafka's Values.parseString does: null, true and false, numbers of the smallest type that holds them, dates and times in ISO 8601,
// lists in brackets and maps in braces; all else is text.
func literal(text string) record.Data {
	if text == "" {
		return record.Data{Schema: record.Of(record.String, false), Value: record.StringOf("")}
	}
	p := &literalParser{src: text}
	d, err := p.parse(false)
	if err != nil { // cannot be: what does not parse is text
		return p.original()
	}
	return d
}

// literalParser reads tokens: each of ":,{}[]" and the quote alone, and what stands between them. A backslash takes a delimiter's meaning away.
type literalParser struct {
	src      string
	i        int
	next     string
	have     bool // next is set
	previous string
}

var errLiteral = errs.E(errs.Invalid, "not a literal")

func (p *literalParser) original() record.Data {
	return record.Data{Schema: record.Of(record.String, false), Value: record.StringOf(p.src)}
}

func (p *literalParser) mark() int { return p.i - len(p.next) }

func (p *literalParser) rewind(i int) { p.i, p.next, p.have, p.previous = i, "", false, "" }

func (p *literalParser) hasNext() bool { return p.have || p.i < len(p.src) }

func (p *literalParser) token() string {
	if p.have {
		p.previous, p.next, p.have = p.next, "", false
	} else {
		p.previous = p.scan()
	}
	return p.previous
}

func (p *literalParser) scan() string {
	start, escaped := p.i, false
	for ; p.i < len(p.src); p.i++ {
		switch c := p.src[p.i]; {
		case c == '\\':
			escaped = !escaped
		case strings.IndexByte(`:,{}[]"`, c) >= 0 && !escaped:
			if start == p.i {
				p.i++
			}
			return p.src[start:p.i]
		default:
			escaped = false
		}
	}
	return p.src[start:p.i]
}

// take takes a token, blanks around it left out, if it is the next one.
func (p *literalParser) take(want string) bool {
	if !p.have {
		if !p.hasNext() {
			return false
		}
		p.next, p.have = p.scan(), true
	}
	for strings.TrimSpace(p.next) == "" && p.i < len(p.src) {
		p.next = p.scan()
	}
	if strings.TrimSpace(p.next) != want {
		return false
	}
	p.previous, p.next, p.have = p.next, "", false
	return true
}

// alone takes a word that is the whole text, or a whole element.
func (p *literalParser) alone(word string, embedded bool) bool {
	start := p.mark()
	if p.take(word) && (embedded || !p.hasNext()) {
		return true
	}
	p.rewind(start)
	return false
}

func (p *literalParser) parse(embedded bool) (record.Data, error) {
	switch {
	case !p.hasNext():
		return record.Data{}, nil
	case embedded && p.take(`"`):
		return p.quoted(), nil
	case p.alone("null", embedded):
		return record.Data{}, nil
	case p.alone("true", embedded):
		return record.Data{Schema: record.Of(record.Boolean, false), Value: record.BoolOf(true)}, nil
	case p.alone("false", embedded):
		return record.Data{Schema: record.Of(record.Boolean, false), Value: record.BoolOf(false)}, nil
	}
	start := p.mark()
	if p.take("[") {
		if d, err := p.array(); err == nil {
			return d, nil
		}
		p.rewind(start)
	} else if p.take("{") {
		if d, err := p.object(); err == nil {
			return d, nil
		}
		p.rewind(start)
	}
	token := p.token()
	word := strings.TrimSpace(token)
	if word == "" {
		return record.Data{Schema: record.Of(record.String, false), Value: record.StringOf(token)}, nil
	}
	if digit := unicode.IsDigit(rune(word[0])); digit || word[0] == '+' || word[0] == '-' {
		if digit {
			if d, ok := p.temporals(word); ok {
				return d, nil
			}
		}
		if d, ok := numberLiteral(word); ok {
			return d, nil
		}
	}
	if embedded {
		return record.Data{}, errLiteral
	}
	return p.original(), nil
}

func (p *literalParser) quoted() record.Data {
	var b strings.Builder
	for p.hasNext() && !p.take(`"`) {
		b.WriteString(p.token())
	}
	if d, ok := temporal(b.String()); ok {
		return d
	}
	return record.Data{Schema: record.Of(record.String, false), Value: record.StringOf(b.String())}
}

// temporals reads a time, whose colons made it five tokens, or a date.
func (p *literalParser) temporals(word string) (record.Data, bool) {
	at := p.i
	whole := word
	for range 4 {
		if !p.hasNext() {
			whole = ""
			break
		}
		whole += p.token()
	}
	if d, ok := temporal(whole); ok {
		return d, true
	}
	p.rewind(at)
	return temporal(word)
}

// temporal reads a date or time of the one form that each has.
func temporal(text string) (record.Data, bool) {
	text = strings.ReplaceAll(text, `\:`, ":")
	for _, f := range []struct {
		layout string
		schema *record.Schema
		unit   int64 // milliseconds per unit
	}{
		{"15:04:05.000Z", record.TimeSchema(false), 1}, {"2006-01-02T15:04:05.000Z", record.TimestampSchema(false), 1}, {time.DateOnly, record.DateSchema(false), 86400000},
	} {
		if len(text) != len(f.layout) {
			continue
		}
		t, err := time.Parse(f.layout, text)
		if err != nil {
			return record.Data{}, false
		}
		ms := t.UnixMilli()
		if f.schema.Name == record.TimeName {
			ms = int64(t.Hour())*3600000 + int64(t.Minute())*60000 + int64(t.Second())*1000 + int64(t.Nanosecond()/1e6)
		}
		return record.Data{Schema: f.schema, Value: record.IntOf(ms / f.unit)}, true
	}
	return record.Data{}, false
}

// numberLiteral reads a number: an integral one has the smallest integer type that holds it, another is a float, a double if that overflows.
func numberLiteral(word string) (record.Data, bool) {
	v, err := record.ParseDecimal(word)
	if err != nil {
		return record.Data{}, false
	}
	if n, ok := integral(v); ok {
		t := record.Int64
		switch {
		case n == int64(int8(n)):
			t = record.Int8
		case n == int64(int16(n)):
			t = record.Int16
		case n == int64(int32(n)):
			t = record.Int32
		}
		return record.Data{Schema: record.Of(t, false), Value: record.IntOf(n)}, true
	}
	f, _ := strconv.ParseFloat(word, 64)
	switch f32 := float64(float32(f)); {
	case !math.IsInf(f32, 0) && v.Scale() != 0:
		return record.Data{Schema: record.Of(record.Float32, false), Value: record.FloatOf(f32)}, true
	case !math.IsInf(f, 0) && v.Scale() != 0:
		return record.Data{Schema: record.Of(record.Float64, false), Value: record.FloatOf(f)}, true
	}
	return record.Data{Schema: record.DecimalSchema(v.Scale(), false), Value: v}, true
}

func (p *literalParser) array() (record.Data, error) {
	var elements []record.Data
	for p.hasNext() {
		if p.take("]") {
			elem, values := align(elements)
			return record.Data{Schema: &record.Schema{Type: record.Array, Elem: elem}, Value: record.ListOf(values)}, nil
		}
		if p.take(",") {
			return record.Data{}, errLiteral
		}
		e, err := p.parse(true)
		if err != nil {
			return record.Data{}, err
		}
		elements = append(elements, e)
		at := p.mark()
		if p.take("]") {
			p.rewind(at)
		} else if !p.take(",") {
			return record.Data{}, errLiteral
		}
	}
	return record.Data{}, errLiteral
}

func (p *literalParser) object() (record.Data, error) {
	var keys, values []record.Data
	for p.hasNext() {
		if p.take("}") {
			key, ks := align(keys)
			elem, vs := align(values)
			entries := make([]record.Entry, len(ks))
			for i := range ks {
				entries[i] = record.Entry{Key: ks[i], Value: vs[i]}
			}
			return record.Data{Schema: &record.Schema{Type: record.Map, Key: key, Elem: elem}, Value: record.MapOf(entries)}, nil
		}
		if p.take(",") {
			return record.Data{}, errLiteral
		}
		k, err := p.parse(true)
		if err != nil || k.Value.IsNull() || !p.take(":") {
			return record.Data{}, errLiteral
		}
		v, err := p.parse(true)
		if err != nil {
			return record.Data{}, err
		}
		keys, values = append(keys, k), append(values, v)
		p.take(",")
	}
	return record.Data{}, errLiteral
}

// align finds the schema that all elements have in common, the wider one of two numbers, and gives them its type. nil: they have none, or all are null.
func align(elements []record.Data) (*record.Schema, []record.Value) {
	var common *record.Schema
	alike := true
	for _, e := range elements {
		switch {
		case e.Schema == nil || !alike:
		case common == nil:
			common = e.Schema
		case common.Type != e.Schema.Type:
			if common.Type > record.Float64 || e.Schema.Type > record.Float64 {
				common, alike = nil, false
			} else if e.Schema.Type > common.Type {
				common = e.Schema
			}
		}
	}
	values := make([]record.Value, len(elements))
	for i, e := range elements {
		values[i] = e.Value
		if common != nil && common.Type.Float() && e.Value.Kind() == record.IntKind {
			values[i] = record.FloatOf(float64(e.Value.Int()))
		}
	}
	return common, values
}
