package transform

import (
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// BenchmarkTransforms is what each transform costs a record: an update of nine columns, or its row where the transform is for rows.
func BenchmarkTransforms(b *testing.B) {
	update := event(one, two, "u")
	const unwrap = "u.type=" + debezium + "ExtractNewRecordState\n"
	for _, c := range []struct {
		name, transforms string
		row              bool
	}{
		{"Cast", "a.type=" + kafka + "Cast$Value\na.spec=id:int64,ratio:int32", true},
		{"ExtractField", "a.type=" + kafka + "ExtractField$Key\na.field=id", true},
		{"Flatten", "a.type=" + kafka + "Flatten$Value", true},
		{"HeaderFrom", "a.type=" + kafka + "HeaderFrom$Value\na.fields=id\na.headers=h\na.operation=copy", true},
		{"HoistField", "a.type=" + kafka + "HoistField$Value\na.field=f", true},
		{"InsertField", "a.type=" + kafka + "InsertField$Value\na.static.field=f\na.static.value=v", true},
		{"InsertHeader", "a.type=" + kafka + "InsertHeader\na.header=h\na.value.literal=1", true},
		{"MaskField", "a.type=" + kafka + "MaskField$Value\na.fields=name", true},
		{"RegexRouter", "a.type=" + kafka + "RegexRouter\na.regex=(.*)\na.replacement=x-$1", true},
		{"ReplaceField", "a.type=" + kafka + "ReplaceField$Value\na.exclude=raw", true},
		{"SetSchemaMetadata", "a.type=" + kafka + "SetSchemaMetadata$Value\na.schema.name=N", true},
		{"TimestampConverter", "a.type=" + kafka + "TimestampConverter$Value\na.field=at\na.target.type=string\na.format=yyyy-MM-dd HH:mm:ss", true},
		{"ValueToKey", "a.type=" + kafka + "ValueToKey\na.fields=id", true},
		{"ExtractNewRecordState", unwrap, false},
		{"ExtractNewRecordState-add", unwrap + "u.add.fields=op,table,source.ts_ms\nu.add.headers=op", false},
		{"ExtractChangedRecordState", "a.type=" + debezium + "ExtractChangedRecordState\na.header.changed.name=c", false},
		{"ByLogicalTableRouter", "a.type=" + debezium + "ByLogicalTableRouter\na.topic.regex=(.*)\na.topic.replacement=x-$1", false},
		{"PartitionRouting", "a.type=" + debezium + "partitions.PartitionRouting\na.partition.payload.fields=change.id\na.partition.topic.num=8", false},
		{"TimezoneConverter", "a.type=" + debezium + "TimezoneConverter\na.converted.timezone=Europe/Berlin", false},
		{"Filter", "a.type=" + debezium + "Filter\na.language=cel\na.condition=value.op == 'u' && value.after.id > 0", false},
		{"ContentBasedRouter", "a.type=" + debezium + "ContentBasedRouter\na.language=cel\na.topic.expression=value.after.id > 0 ? 'x' : topic", false},
		{"DropHeaders", "a.type=" + kafka + "DropHeaders\na.headers=x", true},
		{"TimestampRouter", "a.type=" + kafka + "TimestampRouter", true},
		{"ReadToInsertEvent", "a.type=io.debezium.connector.mysql.transforms.ReadToInsertEvent", false},
		{"EnforceRecordSize", "a.type=" + debezium + "EnforceRecordSize\na.max.bytes=100000", false},
		{"GeometryFormatTransformer", "a.type=" + debezium + "GeometryFormatTransformer", false},
		{"HeaderToValue", "a.type=" + debezium + "HeaderToValue\na.headers=h\na.fields=h\na.operation=copy", false},
		{"SchemaChangeEventFilter", "a.type=" + debezium + "SchemaChangeEventFilter\na.schema.change.event.exclude.list=ALTER", false},
		{"SwapGeometryCoordinates", "a.type=" + debezium + "SwapGeometryCoordinates", false},
		{"VectorToJsonConverter", "a.type=" + debezium + "VectorToJsonConverter", false},
		{"outbox.EventRouter", "a.type=" + debezium + "outbox.EventRouter", false},
		{"Predicate", "a.type=" + kafka + "Filter\na.predicate=p\n?p.type=" + kafka + "predicates.TopicNameMatches\n?p.pattern=.*nosuch", false},
	} {
		b.Run(strings.ReplaceAll(c.name, " ", "-"), func(b *testing.B) {
			transforms, err := chain(c.transforms)
			if err != nil {
				b.Fatal(err)
			}
			in := change(b, update)
			switch {
			case c.row:
				in = plainRow(b, one)
			case c.name == "outbox.EventRouter":
				in = outboxRecord(b, `"text"`, "c")
			}
			in.Timestamp = new(int64)
			var slab record.Slab
			var r record.Record
			b.ReportAllocs()
			for b.Loop() {
				slab.Reset()
				r = *in
				if keep, err := transforms.Apply(&slab, &r); err != nil || !keep {
					b.Fatal(keep, err)
				}
			}
		})
	}
}
