package converter

import (
	"math"
	"math/big"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

func (n *protoValue) wrong(v record.Value) error {
	return errs.E(errs.Invalid, "Invalid type for %s: class %s: field %s", n.schema.Type, v.JavaClass(), n.name)
}

func (n *protoValue) appendStruct(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	dst, mark := beginMessage(dst, number)
	dst, err := n.message.append(dst, v)
	return endMessage(dst, mark), err
}

func (n *protoValue) appendInt(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.IntKind {
		return dst, n.wrong(v)
	}
	i := v.Int()
	if i == 0 && !n.explicit {
		return dst, nil
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.VarintType), uint64(i)), nil
}

func (n *protoValue) appendBool(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.BoolKind {
		return dst, n.wrong(v)
	}
	if !v.Bool() && !n.explicit {
		return dst, nil
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.VarintType), protowire.EncodeBool(v.Bool())), nil
}

func (n *protoValue) appendFloat(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.FloatKind {
		return dst, n.wrong(v)
	}
	bits := math.Float32bits(float32(v.Float()))
	if bits == 0 && !n.explicit {
		return dst, nil
	}
	return protowire.AppendFixed32(protowire.AppendTag(dst, number, protowire.Fixed32Type), bits), nil
}

func (n *protoValue) appendDouble(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.FloatKind {
		return dst, n.wrong(v)
	}
	bits := math.Float64bits(v.Float())
	if bits == 0 && !n.explicit {
		return dst, nil
	}
	return protowire.AppendFixed64(protowire.AppendTag(dst, number, protowire.Fixed64Type), bits), nil
}

func (n *protoValue) appendText(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.StringKind {
		return dst, n.wrong(v)
	}
	text := javaUTF8(v.Bytes())
	if len(text) == 0 && !n.explicit {
		return dst, nil
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), text), nil
}

func (n *protoValue) appendBytes(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.BytesKind {
		return dst, n.wrong(v)
	}
	b := v.Bytes()
	if len(b) == 0 && !n.explicit {
		return dst, nil
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), b), nil
}

// appendDecimal appends a confluent.type.Decimal: the unscaled bytes, the number of digits, the scale.
func (n *protoValue) appendDecimal(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.DecimalKind {
		return dst, errs.E(errs.Invalid, "Invalid type for Decimal, expected BigDecimal but was class %s: field %s", v.JavaClass(), n.name)
	}
	dst, mark := beginMessage(dst, number)
	dst = protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), v.Bytes())
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.VarintType), uint64(digits(v.Bytes())))
	if scale := v.Scale(); scale != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, 3, protowire.VarintType), uint64(int64(scale)))
	}
	return endMessage(dst, mark), nil
}

// digits returns how many digits a number in two's complement has: one for 0.
func digits(b []byte) int {
	if len(b) > 8 {
		n := record.BigInt(b)
		return len(new(big.Int).Abs(n).String())
	}
	var u uint64
	if len(b) > 0 && b[0]&0x80 != 0 {
		u = math.MaxUint64
	}
	for _, c := range b {
		u = u<<8 | uint64(c)
	}
	if int64(u) < 0 {
		u = -u
	}
	n := 1
	for ; u >= 10; u /= 10 {
		n++
	}
	return n
}

func (n *protoValue) appendDate(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.IntKind {
		return dst, n.wrong(v)
	}
	year, month, day := time.Unix(v.Int()*24*60*60, 0).UTC().Date()
	if year < 1 { // Java's calendar counts years before the common era from one upward
		year = 1 - year
	}
	dst, mark := beginMessage(dst, number)
	for i, part := range [3]int{year, int(month), day} {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, protowire.Number(i+1), protowire.VarintType), uint64(part))
	}
	return endMessage(dst, mark), nil
}

const millisPerDay = 24 * 60 * 60 * 1000

func (n *protoValue) appendTime(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.IntKind {
		return dst, n.wrong(v)
	}
	ms := v.Int()
	if ms < 0 || ms > millisPerDay {
		return dst, errs.E(errs.Invalid, "Time values must use number of millis greater than 0 and less than 86400000: field %s: %d", n.name, ms)
	}
	dst, mark := beginMessage(dst, number)
	for i, part := range [4]int64{ms / 3600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000 * 1_000_000} {
		if part != 0 {
			dst = protowire.AppendVarint(protowire.AppendTag(dst, protowire.Number(i+1), protowire.VarintType), uint64(part))
		}
	}
	return endMessage(dst, mark), nil
}

func (n *protoValue) appendTimestamp(dst []byte, number protowire.Number, v record.Value) ([]byte, error) {
	if v.Kind() != record.IntKind {
		return dst, n.wrong(v)
	}
	t := time.UnixMilli(v.Int())
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return dst, errs.E(errs.Invalid, "Timestamp is not valid: field %s: %d ms since 1970 is outside of the years 1 to 9999, all that google.protobuf.Timestamp holds", n.name, v.Int())
	}
	dst, mark := beginMessage(dst, number)
	if s := t.Unix(); s != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), uint64(s))
	}
	if ns := t.Nanosecond(); ns != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.VarintType), uint64(ns))
	}
	return endMessage(dst, mark), nil
}
