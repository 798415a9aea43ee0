package convert

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// epochText stands for a default of CURRENT_TIMESTAMP in Debezium's model, and so in schemas.
const epochText = "1970-01-01 00:00:00"

// isCurrentTime reports whether a temporal default is the server's clock.
func isCurrentTime(expression string) bool {
	name, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(expression)), "(")
	switch strings.TrimSpace(name) {
	case "CURRENT_TIMESTAMP", "NOW", epochText:
		return true
	}
	return false
}

func temporal(k rowv1.Kind) bool {
	return k == rowv1.Kind_KIND_DATE || k == rowv1.Kind_KIND_TIME || k == rowv1.Kind_KIND_DATETIME || k == rowv1.Kind_KIND_TIMESTAMP
}

// defaultJSON renders the default of a column for its schema; nil if it has none that can be said. NULL and expressions have none. The server's
// clock is the epoch, except in nullable TIMESTAMP columns, where Debezium has none; such a default never replaces a NULL (c.nullStays).
func (c *column) defaultJSON() []byte {
	src := c.source
	if !src.HasDefault || src.DefaultExpression == nil {
		return nil
	}
	if temporal(src.Kind) && isCurrentTime(*src.DefaultExpression) {
		if src.Nullable && src.Kind == rowv1.Kind_KIND_TIMESTAMP {
			return nil
		}
		c.nullStays = true
		return c.fallbackJSON()
	}
	if c.op == opEnum || c.op == opSet {
		return appendString(nil, *src.DefaultExpression)
	}
	cell, err := parseDefault(src, *src.DefaultExpression)
	if err != nil {
		return nil
	}
	if c.op == opUintWrapped {
		// Debezium reads the text as a long, which stops at its maximum instead of wrapping as values do.
		cell = row.AppendUint(nil, min((&row.Cell{Data: cell}).Uint(), math.MaxInt64))
	}
	text, err := c.appendValue(nil, &row.Cell{Data: cell, Present: true}, false)
	if err == errNullDate && c.required {
		return c.fallbackJSON()
	}
	if err != nil {
		return nil
	}
	return text
}

// fallbackJSON renders what a required column without default prints for a value it has not; nil if its type has no such value.
func (c *column) fallbackJSON() []byte {
	if c.op == opInstant {
		return []byte(epochInstant)
	}
	if c.fallback == nil {
		return nil
	}
	text, err := c.appendValue(nil, &row.Cell{Data: c.fallback, Present: true}, true)
	if err != nil {
		return nil
	}
	return text
}

// parseDefault reads the text of a default into a cell of the column's kind.
func parseDefault(c *rowv1.Column, text string) ([]byte, error) {
	switch c.Kind {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_UINT:
		return parseIntegerDefault(c, text)
	case rowv1.Kind_KIND_YEAR:
		v, err := strconv.ParseUint(text, 10, 16)
		if err == nil && len(text) <= 2 {
			v = uint64(adjustYear(int(v)))
		}
		return row.AppendUint(nil, v), err
	case rowv1.Kind_KIND_BIT:
		v, err := parseBits(text)
		return row.AppendUint(nil, v), err
	case rowv1.Kind_KIND_FLOAT32:
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
		bits := math.Float32bits(float32(f))
		return []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)}, err
	case rowv1.Kind_KIND_FLOAT64:
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		return row.AppendDatetime(nil, math.Float64bits(f)), err // 8 bytes little endian, as DATETIME
	case rowv1.Kind_KIND_DECIMAL:
		scale := 0
		if c.Scale != nil {
			scale = int(*c.Scale)
		}
		return parseDecimal(text, scale)
	case rowv1.Kind_KIND_STRING, rowv1.Kind_KIND_JSON:
		return []byte(text), nil
	case rowv1.Kind_KIND_BYTES:
		return parseBinaryDefault(c, text), nil
	}
	if temporal(c.Kind) {
		return parseTemporal(c.Kind, text)
	}
	return nil, fmt.Errorf("%v columns have no literal defaults", c.Kind)
}

func parseIntegerDefault(c *rowv1.Column, text string) ([]byte, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "+")
	switch strings.ToUpper(text) {
	case "TRUE":
		text = "1"
	case "FALSE":
		text = "0"
	}
	if c.Kind == rowv1.Kind_KIND_UINT {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			f, ferr := strconv.ParseFloat(text, 64)
			if ferr != nil || f < 0 || f > math.MaxUint64 {
				return nil, err
			}
			v = uint64(math.Round(f))
		}
		return row.AppendUint(nil, v), nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || math.Abs(f) > math.MaxInt64 {
			return nil, err
		}
		v = int64(math.Round(f))
	}
	return row.AppendInt(nil, v), nil
}

// parseBits reads b'101', 0b101, x'05', 0x05, bare binary digits (the inside of b”), or a decimal number.
func parseBits(text string) (uint64, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	body := strings.TrimRight(strings.TrimLeft(text, "bx'"), "'")
	switch {
	case strings.HasPrefix(text, "0x"):
		return strconv.ParseUint(text[2:], 16, 64)
	case strings.HasPrefix(text, "0b"):
		return strconv.ParseUint(text[2:], 2, 64)
	case strings.HasPrefix(text, "x'"):
		return strconv.ParseUint(body, 16, 64)
	case strings.HasPrefix(text, "b'"):
		return strconv.ParseUint(body, 2, 64)
	case text == "true":
		return 1, nil
	case text == "false":
		return 0, nil
	case strings.Trim(text, "01") == "":
		return strconv.ParseUint(text, 2, 64)
	}
	return strconv.ParseUint(text, 10, 64)
}

// parseBinaryDefault reads 0x... as bytes, and other text as the inside of a quoted literal; BINARY(n) is padded as its cells are.
func parseBinaryDefault(c *rowv1.Column, text string) []byte {
	b := unescape(text)
	digits, found := strings.CutPrefix(strings.ToLower(text), "0x")
	if raw, err := hex.DecodeString(digits); found && err == nil {
		b = raw
	}
	if c.TypeName == "BINARY" && c.Length != nil {
		for len(b) < int(*c.Length) && len(b) < 255 { // BINARY(255) is the longest
			b = append(b, 0)
		}
	}
	return b
}

// unescape reads the inside of a literal in single quotes.
func unescape(text string) []byte {
	special := map[byte]byte{'0': 0, 'b': '\b', 'n': '\n', 'r': '\r', 't': '\t', 'Z': 26}
	var b []byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		if i+1 < len(text) && (c == '\\' || c == '\'' && text[i+1] == '\'') {
			i++
			if r, ok := special[text[i]]; ok && c == '\\' {
				b = append(b, r)
				continue
			}
			c = text[i]
		}
		b = append(b, c)
	}
	return b
}
