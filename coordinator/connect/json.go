package connect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rowmesh/rowmesh/services/registry"
)

// appendString appends s as Jackson writes it: quotes, backslashes and control characters are escaped, and characters beyond the basic plane are
// written as two escapes. encoding/json also escapes <, > and &, which clients that compare texts would see.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04X\u%04X`, hi, lo)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// appendMember appends ,"name": or, as first member of an object, "name":.
func appendMember(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(appendString(b, name), ':')
}

func appendText(b []byte, name, value string) []byte {
	return appendString(appendMember(b, name), value)
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// maxDepth bounds how deep a body nests. What the API takes nests four deep.
const maxDepth = 16

// value is a JSON value with the order of its members and the source text of its scalars.
type value struct {
	kind    byte // 's' scalar, '0' null, '{' object, '[' array
	text    string
	members []member
	items   []value
}

type member struct {
	name string
	value
}

// set replaces a member, or appends it: of two equal names the last counts, at the place of the first.
func set(list []member, m member) []member {
	for i := range list {
		if list[i].name == m.name {
			list[i] = m
			return list
		}
	}
	return append(list, m)
}

// readRaw reads a request's body, without the byte order mark that some clients send.
func (r *request) readRaw(what string) ([]byte, *reply) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		a := failure(http.StatusRequestEntityTooLarge, fmt.Sprintf("The request body has more than %d bytes; send %s", tooLarge.Limit, what))
		return nil, &a
	case err != nil:
		a := failure(http.StatusBadRequest, "The request body could not be read to its end; send "+what)
		return nil, &a
	}
	return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), nil
}

// readJSON reads a request's body, which is an object. what says in errors, which are answers, what was expected.
func (r *request) readJSON(what string) (value, *reply) {
	body, refused := r.readRaw(what)
	if refused != nil {
		return value{}, refused
	}
	v, err := parseJSON(body)
	if err != nil {
		a := failure(http.StatusBadRequest, fmt.Sprintf("The request body is not valid JSON: %v; send %s", err, what))
		return value{}, &a
	}
	if v.kind != '{' {
		a := failure(http.StatusBadRequest, "The request body is not a JSON object; send "+what)
		return value{}, &a
	}
	return v, nil
}

func parseJSON(body []byte) (value, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return value{}, errors.New("it is empty")
	}
	var raw json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return value{}, fmt.Errorf("%w at byte %d", err, syntax.Offset)
		}
		return value{}, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return parseValue(d, 0)
}

func parseValue(d *json.Decoder, depth int) (value, error) {
	if depth > maxDepth {
		return value{}, fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch t := t.(type) {
	case nil:
		return value{kind: '0'}, nil
	case string:
		return value{kind: 's', text: t}, nil
	case json.Number:
		return value{kind: 's', text: t.String()}, nil
	case bool:
		return value{kind: 's', text: fmt.Sprint(t)}, nil
	case json.Delim:
		if t == '[' {
			return parseArray(d, depth)
		}
	}
	v := value{kind: '{'}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return value{}, err
		}
		x, err := parseValue(d, depth+1)
		if err != nil {
			return value{}, err
		}
		v.members = set(v.members, member{name.(string), x})
	}
	_, err = d.Token()
	return v, err
}

func parseArray(d *json.Decoder, depth int) (value, error) {
	v := value{kind: '['}
	for d.More() {
		x, err := parseValue(d, depth+1)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, x)
	}
	_, err := d.Token()
	return v, err
}

// settings reads a config: an object of scalars and nulls.
func (v value) settings() (settings, error) {
	if v.kind != '{' {
		return nil, errors.New("a config is an object of options and their values")
	}
	for _, m := range v.members {
		if m.kind != 's' && m.kind != '0' {
			return nil, fmt.Errorf("the value of %q is an object or an array; every option has one text, number or boolean", m.name)
		}
	}
	return settings(v.members), nil
}

// settings is a config as it was sent.
type settings []member

func settingsOf(entries []registry.Entry) settings {
	out := make(settings, len(entries))
	for i, e := range entries {
		out[i] = member{e.Key, value{kind: 's', text: e.Value}}
	}
	return out
}

// get returns the value of an option; ok is false if it is absent or null.
func (s settings) get(name string) (v string, ok bool) {
	for _, m := range s {
		if m.name == name {
			return m.text, m.kind == 's'
		}
	}
	return "", false
}

func (s settings) has(name string) bool {
	for _, m := range s {
		if m.name == name {
			return true
		}
	}
	return false
}

// withName adds the name as the last option, where there is none.
func (s settings) withName(name string) settings {
	if s.has("name") {
		return s
	}
	return append(s, member{"name", value{kind: 's', text: name}})
}

// split returns the options with their values, and the names of those that are null.
func (s settings) split() (entries []registry.Entry, cfg map[string]string, nulls []string) {
	cfg = map[string]string{}
	for _, m := range s {
		if m.kind == '0' {
			nulls = append(nulls, m.name)
			continue
		}
		entries = append(entries, registry.Entry{Key: m.name, Value: m.text})
		cfg[m.name] = m.text
	}
	return entries, cfg, nulls
}

// append appends the config as JSON, all values as strings.
func (s settings) append(b []byte) []byte {
	b = append(b, '{')
	for _, m := range s {
		b = appendMember(b, m.name)
		if m.kind == '0' {
			b = append(b, "null"...)
		} else {
			b = appendString(b, m.text)
		}
	}
	return append(b, '}')
}
