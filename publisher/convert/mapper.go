package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// mapper is one of the options that change columns: column.truncate.to.N.chars, column.mask.with.N.chars, column.propagate.source.type,
// datatype.propagate.source.type, column.mask.hash.ALG.with.salt.SALT and column.mask.hash.v2.ALG.with.salt.SALT. Of all that match a column the
// first in this order applies. They change values, never keys.
type mapper struct {
	rank    int // place in the order above
	option  string
	columns []*regexp.Regexp // on database.table.column, or for data types on database.table.TYPE
	chars   int
	digest  *digest
}

const (
	rankTruncate = iota
	rankMask
	rankPropagateColumn
	rankPropagateType
	rankHash
	rankHashV2
)

var (
	truncateOption = regexp.MustCompile(`^column\.truncate\.to\.(\d+)\.chars$`)
	maskOption     = regexp.MustCompile(`^column\.mask\.with\.(\d+)\.chars$`)
	hashOption     = regexp.MustCompile(`^column\.mask\.hash\.(v2\.)?([^.]+)\.with\.salt\.(.+)$`)
)

// mappers reads the options. Errors are of kind Invalid and name the option.
func mappers(raw map[string]string) ([]mapper, error) {
	var out []mapper
	for option, list := range raw {
		m := mapper{option: option, rank: -1}
		var err error
		if g := truncateOption.FindStringSubmatch(option); g != nil {
			m.rank = rankTruncate
			m.chars, err = strconv.Atoi(g[1])
		} else if g := maskOption.FindStringSubmatch(option); g != nil {
			m.rank = rankMask
			m.chars, err = strconv.Atoi(g[1])
		} else if g := hashOption.FindStringSubmatch(option); g != nil {
			m.rank = rankHash
			if g[1] != "" {
				m.rank = rankHashV2
			}
			m.digest, err = newDigest(g[2], g[3], g[1] != "")
		} else if option == "column.propagate.source.type" {
			m.rank = rankPropagateColumn
		} else if option == "datatype.propagate.source.type" {
			m.rank = rankPropagateType
		}
		if m.rank < 0 {
			continue
		}
		var patterns []string
		if err == nil {
			patterns, err = config.Patterns(list)
		}
		if err != nil {
			return nil, errs.E(errs.Invalid, "%s: %w", option, err)
		}
		if m.columns, err = anchoredList(option, patterns); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b mapper) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		return strings.Compare(a.option, b.option)
	})
	return out, nil
}

// mapperOf returns the mapper of a column, nil if none applies.
func (e *Encoder) mapperOf(table string, c *rowv1.Column) *mapper {
	for i := range e.mappers {
		m := &e.mappers[i]
		name := table + "." + c.Name
		if m.rank == rankPropagateType {
			name = table + "." + c.TypeName
		}
		for _, re := range m.columns {
			if re.MatchString(name) {
				return m
			}
		}
	}
	return nil
}

// character reports whether a type is one of characters, which masks and hashes replace; columns of other types only say in the schema that they
// were meant.
func character(k rowv1.Kind) bool {
	return k == rowv1.Kind_KIND_STRING || k == rowv1.Kind_KIND_ENUM || k == rowv1.Kind_KIND_SET
}

// apply changes a field. place was called before.
func (m *mapper) apply(f *field, comments bool) {
	s := &f.schema
	add := func(key, value string) { s.parameters = append(slices.Clip(s.parameters), parameter{key, value}) }
	switch m.rank {
	case rankTruncate:
		length := modelLength(f.source)
		if !character(f.kind) && f.kind != rowv1.Kind_KIND_BYTES || length >= 0 && length <= int64(m.chars) {
			return
		}
		add("truncateLength", strconv.Itoa(m.chars))
		f.change = &change{inner: f.op, chars: m.chars}
		f.op = opChanged
	case rankMask:
		add("masked", "true")
		if character(f.kind) {
			text := appendString(nil, strings.Repeat("*", m.chars))
			f.change = &change{constant: text}
			f.op = opChanged
			f.null, f.absent, f.inserted = text, text, text
		}
	case rankHash, rankHashV2:
		add("masked", "true")
		if character(f.kind) {
			f.change = &change{inner: f.op, digest: m.digest, chars: int(modelLength(f.source))}
			f.op = opChanged
		}
	default:
		m.propagate(f, comments, add)
	}
}

func (m *mapper) propagate(f *field, comments bool, add func(key, value string)) {
	const prefix = "__debezium.source.column."
	c := f.source
	add(prefix+"type", strings.ToUpper(c.TypeName))
	if n := modelLength(c); n >= 0 {
		add(prefix+"length", strconv.FormatInt(n, 10))
	}
	if c.Scale != nil {
		add(prefix+"scale", strconv.FormatUint(uint64(*c.Scale), 10))
	}
	if c.GetComment() != "" && comments {
		add(prefix+"comment", *c.Comment)
	}
	add(prefix+"name", c.Name)
}

// change is what a mapper does to the values of a column.
type change struct {
	inner    valueOp
	constant []byte  // the value, as JSON
	digest   *digest // hash the text
	chars    int     // keep so many characters or bytes; negative: all
	text     []byte  // scratch
}

// appendChanged appends a changed value.
func (c *column) appendChanged(dst []byte, data []byte, number uint64) ([]byte, error) {
	ch := c.change
	if ch.constant != nil {
		return append(dst, ch.constant...), nil
	}
	text, err := c.plainText(ch.text[:0], data, number)
	if err != nil {
		return dst, err
	}
	ch.text = text
	switch {
	case ch.digest != nil:
		dst = append(dst, '"')
		start := len(dst)
		dst = ch.digest.append(dst, text)
		if ch.chars >= 0 && len(dst)-start > ch.chars {
			dst = dst[:start+ch.chars]
		}
		return append(dst, '"'), nil
	case c.kind == rowv1.Kind_KIND_BYTES:
		text = text[:min(len(text), ch.chars)]
		if ch.inner == opHex {
			return appendHex(dst, text), nil
		}
		return appendBase64(dst, c.encoding, text), nil
	}
	return appendString(dst, truncate(text, ch.chars)), nil
}

// plainText appends the text or bytes of a value.
func (c *column) plainText(dst, data []byte, number uint64) ([]byte, error) {
	switch c.kind {
	case rowv1.Kind_KIND_ENUM:
		if number > uint64(len(c.source.Members)) {
			return dst, fmt.Errorf("index %d of an enum with %d members", number, len(c.source.Members))
		}
		if number > 0 {
			dst = append(dst, c.source.Members[number-1]...)
		}
		return dst, nil
	case rowv1.Kind_KIND_SET:
		for i, m := range c.source.Members {
			if number&(1<<i) != 0 {
				if len(dst) > 0 {
					dst = append(dst, ',')
				}
				dst = append(dst, m...)
			}
		}
		return dst, nil
	}
	return append(dst, data...), nil
}

// truncate keeps n characters of a text, counted as Java does in UTF-16 units; where that would leave half a character, counted in characters.
func truncate(text []byte, n int) []byte {
	units, i := 0, 0
	for i < len(text) && units < n {
		r, size := utf8.DecodeRune(text[i:])
		if r > 0xFFFF {
			if units == n-1 {
				return firstRunes(text, n)
			}
			units++
		}
		units++
		i += size
	}
	return text[:i]
}

func firstRunes(text []byte, n int) []byte {
	i := 0
	for ; n > 0 && i < len(text); n-- {
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return text[:i]
}
