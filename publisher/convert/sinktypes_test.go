package convert

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/row"
)

// sinkClass is the converter's class.
const sinkClass = "io.debezium.connector.binlog.converters.JdbcSinkDataTypesConverter"

func TestSinkTypes(t *testing.T) {
	n := func(v uint32) *uint32 { return &v }
	zero := "0"
	table := &rowv1.Table{SchemaId: 1, Database: "d", Table: "t", Key: []uint32{0}, Columns: []*rowv1.Column{
		{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"},
		{Name: "b", Kind: rowv1.Kind_KIND_INT, TypeName: "TINYINT", Length: n(1), HasDefault: true, DefaultExpression: &zero},
		{Name: "u", Kind: rowv1.Kind_KIND_UINT, TypeName: "BIGINT UNSIGNED", Nullable: true},
		{Name: "bit", Kind: rowv1.Kind_KIND_BIT, TypeName: "BIT", Length: n(1), Nullable: true},
		{Name: "f", Kind: rowv1.Kind_KIND_FLOAT32, TypeName: "FLOAT", Nullable: true},
		{Name: "d", Kind: rowv1.Kind_KIND_FLOAT64, TypeName: "DOUBLE", Nullable: true},
		{Name: "p", Kind: rowv1.Kind_KIND_DECIMAL, TypeName: "DECIMAL", Length: n(5), Scale: n(2), Nullable: true},
		{Name: "s", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", Charset: "latin1", Nullable: true},
		{Name: "other", Kind: rowv1.Kind_KIND_INT, TypeName: "TINYINT", Length: n(1), Nullable: true},
	}}
	b := row.AppendInt([]byte{0, 0}, 7)
	b = row.AppendInt(b, -5) // less than zero is false there
	b = row.AppendUint(b, math.MaxUint64)
	b = row.AppendUint(b, 1)
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(0.1))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(0.1))
	b = row.AppendBytes(b, []byte{0x04, 0xd2})
	b = row.AppendBytes(b, "text")
	b = row.AppendInt(b, 1)
	batch := oneGroup('c', 0, 1, b)
	batch.GroupSchema[0] = 1
	selectors := []string{"converters=j", "j.type=" + sinkClass, "j.selector.boolean=d.t.(b|u|bit)", "j.selector.real=.*", "j.selector.string=d.t.s"}
	for name, c := range map[string]struct {
		more []string
		row  string
		real string // types of f and d
	}{
		"doubles": {nil, `"b":0,"u":1,"bit":1,"f":0.10000000149011612,"d":0.1,"p":12.34,"s":"text","other":1`, "double double"},
		"floats":  {[]string{"j.treat.real.as.double=false"}, `"b":0,"u":1,"bit":1,"f":0.1,"d":0.1,"p":12.34,"s":"text","other":1`, "float float"},
	} {
		for _, schemas := range []string{"false", "true"} {
			enc := parsed(t, append(append(c.more, selectors...), "value.converter.schemas.enable="+schemas)...)
			if err := enc.AddTable(table); err != nil {
				t.Fatal(err)
			}
			var out Output
			if err := enc.Batch(batch, &out); err != nil {
				t.Fatal(err)
			}
			v := string(out.Bytes(out.Records[0].Value))
			if !strings.Contains(v, c.row) {
				t.Errorf("%s: %s does not hold %s", name, v, c.row)
			}
			f, d, _ := strings.Cut(c.real, " ")
			for _, field := range []string{
				`{"type":"int16","optional":false,"default":0,"field":"b"}`, `{"type":"int16","optional":true,"field":"u"}`, `{"type":"int16","optional":true,"field":"bit"}`,
				`{"type":"` + f + `","optional":true,"field":"f"}`, `{"type":"` + d + `","optional":true,"field":"d"}`, `{"type":"double","optional":true,"field":"p"}`,
				`{"type":"string","optional":true,"parameters":{"__debezium.source.column.character_set":"latin1"},"field":"s"}`,
			} {
				if schemas == "true" && !strings.Contains(v, field) {
					t.Errorf("%s: the schema does not hold %s\n%s", name, field, v)
				}
			}
		}
	}
}
