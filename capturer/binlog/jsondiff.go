package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// PARTIAL_UPDATE_ROWS (binlog_row_value_options=PARTIAL_JSON) holds for a JSON column what changed: a list of operation, path and value. They are applied to
// the document of the before image, read into a tree; this is the one place where a tree is worth its cost.

// Operations of a difference (json_diff.h).
const (
	diffReplace = 0
	diffInsert  = 1
	diffRemove  = 2
)

// partialBits takes the options of an after image off its start: bit 0 says that a bit for each JSON column of the table follows, 1 for a difference.
func (p *Plan) partialBits(b []byte) (bits, rest []byte, err error) {
	c := cursor{b: b}
	options := c.lenenc()
	if options&1 != 0 {
		bits = c.take((p.json + 7) / 8)
		if bits == nil && p.json > 0 {
			c.failed = true
		}
	}
	return bits, c.b, c.err()
}

// node is a JSON value: an object, an array, or a scalar as it is stored.
type node struct {
	kind   byte
	scalar []byte
	keys   [][]byte // of an object, in the order of the binary form
	kids   []*node
}

func (n *node) object() bool { return n.kind == jsonSmallObject }
func (n *node) array() bool  { return n.kind == jsonSmallArray }

// parseJSON reads a document into a tree. Large containers become small ones: the tree has no offsets.
func parseJSON(doc []byte) (*node, error) {
	if len(doc) == 0 {
		return nil, errJSON
	}
	budget := len(doc)
	return parseNode(doc[0], doc[1:], 0, &budget)
}

func parseNode(kind byte, b []byte, depth int, budget *int) (*node, error) {
	if *budget--; *budget < 0 || depth > maxJSONDepth {
		return nil, errJSON
	}
	if kind > jsonLargeArray {
		return &node{kind: kind, scalar: b}, nil
	}
	c, ok := openContainer(kind, b)
	if !ok {
		return nil, errJSON
	}
	n := &node{kind: kind &^ 1, kids: make([]*node, 0, c.count)}
	for i := range c.count {
		if c.object {
			key, ok := c.key(i)
			if *budget -= len(key); !ok || *budget < 0 {
				return nil, errJSON
			}
			n.keys = append(n.keys, key)
		}
		kind, v, ok := c.element(i)
		if !ok {
			return nil, errJSON
		}
		kid, err := parseNode(kind, v, depth+1, budget)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, kid)
	}
	return n, nil
}

// appendTo appends the node as text.
func (n *node) appendTo(dst []byte, w *jsonWriter) ([]byte, error) {
	if !n.object() && !n.array() {
		w.budget = len(n.scalar) + 1
		return w.value(dst, n.kind, n.scalar, 0)
	}
	open, shut := byte('['), byte(']')
	if n.object() {
		open, shut = '{', '}'
	}
	dst = append(dst, open)
	for i, kid := range n.kids {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.object() {
			dst = append(appendJSONString(dst, n.keys[i]), ':')
		}
		var err error
		if dst, err = kid.appendTo(dst, w); err != nil {
			return dst, err
		}
	}
	return append(dst, shut), nil
}

// find returns where a key is, or belongs: objects are sorted by length, then bytes.
func (n *node) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(n.keys, key, func(a, b []byte) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return bytes.Compare(a, b)
	})
}

// appendPatchedJSON appends the text of the document that the differences make of before.
func appendPatchedJSON(dst, before, diffs []byte) ([]byte, error) {
	root, err := parseJSON(before)
	if err != nil {
		return dst, err
	}
	for c := (cursor{b: diffs}); len(c.b) > 0; {
		op := c.u8()
		path := c.lenencBytes()
		var value *node
		if op != diffRemove {
			doc := c.lenencBytes()
			if c.failed {
				return dst, errShort
			}
			if value, err = parseJSON(doc); err != nil {
				return dst, err
			}
		}
		if c.failed {
			return dst, errShort
		}
		if root, err = apply(root, op, path, value); err != nil {
			return dst, fmt.Errorf("JSON difference at %q: %w", path, err)
		}
	}
	return root.appendTo(dst, &jsonWriter{})
}

var errPath = errors.New("the path does not exist in the document")

// apply changes the tree at a path such as $.a[0]."b c".
func apply(root *node, op byte, path []byte, value *node) (*node, error) {
	legs, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	if len(legs) == 0 {
		if op != diffReplace {
			return nil, errPath
		}
		return value, nil
	}
	parent := root
	for _, leg := range legs[:len(legs)-1] {
		if i, ok := leg.in(parent); ok {
			parent = parent.kids[i]
		} else {
			return nil, errPath
		}
	}
	last := legs[len(legs)-1]
	i, exists := last.in(parent)
	switch {
	case op == diffReplace && exists:
		parent.kids[i] = value
	case op == diffRemove && exists:
		parent.kids = slices.Delete(parent.kids, i, i+1)
		if parent.object() {
			parent.keys = slices.Delete(parent.keys, i, i+1)
		}
	case op == diffInsert && parent.object() && last.key != nil && !exists:
		parent.keys = slices.Insert(parent.keys, i, last.key)
		parent.kids = slices.Insert(parent.kids, i, value)
	case op == diffInsert && parent.array() && last.key == nil:
		parent.kids = slices.Insert(parent.kids, min(last.index, len(parent.kids)), value)
	default:
		return nil, errPath
	}
	return root, nil
}

// leg is a step of a path: a key, or an index into an array.
type leg struct {
	key   []byte // nil for an index
	index int
}

// in returns where the leg leads in a node; for a key that is missing, where it belongs.
func (l *leg) in(n *node) (int, bool) {
	switch {
	case l.key != nil && n.object():
		return n.find(l.key)
	case l.key == nil && n.array():
		return l.index, l.index < len(n.kids)
	}
	return 0, false
}

// parsePath reads the paths that the server writes: $, then .name, ."name" with JSON's escapes, or [index].
func parsePath(p []byte) ([]leg, error) {
	bad := errors.New("the path cannot be read")
	if len(p) == 0 || p[0] != '$' {
		return nil, bad
	}
	var legs []leg
	for p = p[1:]; len(p) > 0; {
		switch {
		case p[0] == '[':
			end := bytes.IndexByte(p, ']')
			if end < 0 {
				return nil, bad
			}
			i, err := strconv.ParseUint(string(p[1:end]), 10, 31)
			if err != nil {
				return nil, bad
			}
			legs = append(legs, leg{index: int(i)})
			p = p[end+1:]
		case p[0] == '.' && len(p) > 1 && p[1] == '"':
			key, n, ok := unquote(p[1:])
			if !ok {
				return nil, bad
			}
			legs = append(legs, leg{key: key})
			p = p[1+n:]
		case p[0] == '.':
			end := bytes.IndexAny(p[1:], ".[")
			if end < 0 {
				end = len(p) - 1
			}
			legs = append(legs, leg{key: append([]byte{}, p[1:1+end]...)})
			p = p[1+end:]
		default:
			return nil, bad
		}
	}
	return legs, nil
}

// unquote reads a JSON string at the start of b and returns how many bytes it takes.
func unquote(b []byte) (key []byte, n int, ok bool) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			key, ok := unescape(b[1:i])
			return key, i + 1, ok
		}
	}
	return nil, 0, false
}

// unescape undoes JSON's escapes.
func unescape(b []byte) ([]byte, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		if i++; i >= len(b) {
			return nil, false
		}
		switch b[i] {
		case '"', '\\', '/':
			out = append(out, b[i])
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			if i+5 > len(b) {
				return nil, false
			}
			r, err := strconv.ParseUint(string(b[i+1:i+5]), 16, 16)
			if err != nil {
				return nil, false
			}
			out = utf8.AppendRune(out, rune(r))
			i += 4
		default:
			return nil, false
		}
	}
	return out, true
}
