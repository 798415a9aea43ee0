package convert

import (
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// temporalType is how one type is written in one time.precision.mode.
type temporalType struct {
	op        valueOp
	typ, name string
}

var (
	zonedTimestamp = temporalType{opInstant, "string", "io.debezium.time.ZonedTimestamp"}

	plainDate = temporalType{opDate, "int32", "io.debezium.time.Date"}
	microTime = temporalType{opTimeMicros, "int64", "io.debezium.time.MicroTime"}
	microDT   = temporalType{opDatetimeMicros, "int64", "io.debezium.time.MicroTimestamp"}
	milliDT   = temporalType{opDatetimeMillis, "int64", "io.debezium.time.Timestamp"}
)

// temporalTypeOf is the table of time.precision.mode; digits are the fraction digits of the column.
func temporalTypeOf(k rowv1.Kind, mode string, digits int) temporalType {
	switch k {
	case rowv1.Kind_KIND_TIMESTAMP:
		return zonedTimestamp
	case rowv1.Kind_KIND_DATE:
		switch mode {
		case "connect":
			return temporalType{opDate, "int32", "org.apache.kafka.connect.data.Date"}
		case "isostring":
			return temporalType{opDateText, "string", "io.debezium.time.IsoDate"}
		}
		return plainDate
	case rowv1.Kind_KIND_TIME:
		switch mode {
		case "connect":
			return temporalType{opTimeMillis, "int32", "org.apache.kafka.connect.data.Time"}
		case "isostring":
			return temporalType{opTimeText, "string", "io.debezium.time.IsoTime"}
		case "nanoseconds":
			return temporalType{opTimeNanos, "int64", "io.debezium.time.NanoTime"}
		}
		return microTime
	}
	switch mode {
	case "connect":
		return temporalType{opDatetimeMillis, "int64", "org.apache.kafka.connect.data.Timestamp"}
	case "isostring":
		return temporalType{opDatetimeText, "string", "io.debezium.time.IsoTimestamp"}
	case "microseconds":
		return microDT
	case "nanoseconds":
		return temporalType{opDatetimeNanos, "int64", "io.debezium.time.NanoTimestamp"}
	}
	if digits <= 3 {
		return milliDT
	}
	return microDT
}

func compileTemporal(out *column, m *columnModes) {
	c, s := out.source, &out.schema
	if c.Length != nil {
		out.digits = int(*c.Length)
	}
	t := temporalTypeOf(c.Kind, m.time, out.digits)
	out.op, s.typ, s.name, s.version = t.op, t.typ, t.name, 1
	epoch := row.PackDate(1970, 1, 1)
	switch c.Kind {
	case rowv1.Kind_KIND_DATE:
		out.fallback = row.AppendUint(nil, epoch)
	case rowv1.Kind_KIND_DATETIME:
		out.fallback = row.AppendDatetime(nil, row.PackDatetime(epoch, 0, 0, 0, 0))
	default:
		// TIME 0. A TIMESTAMP cell of 0 is the zero timestamp, so its fallback is written out where it is used.
		out.fallback = []byte{0}
	}
	if c.Kind == rowv1.Kind_KIND_TIMESTAMP && m.mariadb {
		out.zero = appendInstant(nil, 0, out.digits)
	}
}

// epochInstant is what Debezium's ZonedTimestamp writes in required columns for the zero timestamp.
const epochInstant = `"1970-01-01T00:00:00Z"`
