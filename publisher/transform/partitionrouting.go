package transform

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// partitionRouting is PartitionRouting: the partition follows from fields of the event.
type partitionRouting struct {
	fields     [][]string
	partitions int
	hash       func(s *record.Schema, v record.Value) int32
}

func newPartitionRouting(o options, _ side) (Transform, error) {
	t := &partitionRouting{hash: javaHash}
	if o.word("partition.hash.function") == "murmur" {
		t.hash = murmurHash
	}
	for _, name := range o.list("partition.payload.fields") {
		parts := strings.Split(name, ".")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		t.fields = append(t.fields, parts)
	}
	n, ok, err := o.number("partition.topic.num")
	if err == nil && (!ok || n <= 0) {
		err = errs.E(errs.Invalid, "%spartition.topic.num: A positive integer is expected", o.prefix)
	}
	t.partitions = n
	return t, err
}

func (t *partitionRouting) Apply(_ *record.Slab, r *record.Record) (bool, error) {
	e := r.Value.Value.Struct()
	if e == nil || !isEnvelope(r.Value) {
		return true, nil
	}
	op := operation(e)
	if op == "t" || op == "m" {
		return true, nil
	}
	total, found := int32(0), false
	for _, path := range t.fields {
		schema, v, err := follow(e, path, op)
		if err != nil {
			return false, errs.E(errs.Invalid, "Unprocessable message: %s: %w", describe(r), err)
		}
		if !v.IsNull() {
			total, found = total+t.hash(schema, v), true
		}
	}
	if !found {
		return true, nil
	}
	n := int(total & 0x7fffffff)
	if n == 0x7fffffff {
		n = 0
	}
	r.Partition = int32(n % t.partitions)
	return true, nil
}

// follow returns a field of an envelope; "change" is the row after the event, or before a delete. A field that is not there is null; a struct on the way that
// is null is an error, as in Debezium.
func follow(e *record.StructData, path []string, op string) (*record.Schema, record.Value, error) {
	d := e
	for i, name := range path {
		last := i == len(path)-1
		if name == "change" && !last {
			name = fieldAfter
			if op == "d" {
				name = fieldBefore
			}
		}
		at := d.Schema.Field(name)
		if at < 0 {
			return nil, record.Null, nil
		}
		if last {
			return d.Schema.Fields[at].Schema, d.At(at), nil
		}
		if d.Schema.Fields[at].Schema.Type != record.Struct {
			return nil, record.Null, nil
		}
		if d = d.At(at).Struct(); d == nil {
			return nil, record.Null, errs.E(errs.Invalid, "%s is null", name)
		}
	}
	return nil, record.Null, nil
}

func (*partitionRouting) sharesHeaders() {}
