package transform

import "strings"

const (
	kafkaPackage    = "org.apache.kafka.connect.transforms."
	debeziumPackage = "io.debezium.transforms."
)

// constructor returns what builds the transform of a class, nil if nothing does.
func constructor(class string) func(options) (Transform, error) {
	on := onValue
	name, isKafka := strings.CutPrefix(class, kafkaPackage)
	if isKafka {
		base, variant, _ := strings.Cut(name, "$")
		name = base
		if variant == "Key" {
			on = onKey
		}
	} else {
		name = strings.TrimPrefix(class, debeziumPackage)
	}
	for _, c := range []struct {
		kafka bool
		name  string
		build func(options, side) (Transform, error)
	}{
		{true, "Cast", newCast}, {true, "DropHeaders", newDropHeaders}, {true, "ExtractField", newExtractField}, {true, "Filter", newDropAll},
		{true, "Flatten", newFlatten}, {true, "HeaderFrom", newHeaderFrom}, {true, "HoistField", newHoistField}, {true, "InsertField", newInsertField},
		{true, "InsertHeader", newInsertHeader}, {true, "MaskField", newMaskField}, {true, "RegexRouter", newRegexRouter}, {true, "ReplaceField", newReplaceField},
		{true, "SetSchemaMetadata", newSetSchemaMetadata}, {true, "TimestampConverter", newTimestampConverter}, {true, "TimestampRouter", newTimestampRouter},
		{true, "ValueToKey", newValueToKey},
		{false, "ExtractNewRecordState", newUnwrap}, {false, "ExtractChangedRecordState", newChangedState}, {false, "ByLogicalTableRouter", newLogicalRouter},
		{false, "outbox.EventRouter", newOutbox}, {false, "HeaderToValue", newHeaderToValue}, {false, "partitions.PartitionRouting", newPartitionRouting},
		{false, "TimezoneConverter", newTimezone}, {false, "SchemaChangeEventFilter", newSchemaChangeFilter}, {false, "VectorToJsonConverter", newVectorToJSON},
		{false, "SwapGeometryCoordinates", newSwapGeometry}, {false, "GeometryFormatTransformer", newGeometryFormat},
		{false, "ExtractSchemaToNewRecord", newSchemaBlock}, {false, "EnforceRecordSize", newRecordSize},
		{false, "Filter", newScriptFilter}, {false, "ContentBasedRouter", newScriptRouter},

		{false, "io.debezium.connector.mysql.transforms.ReadToInsertEvent", newReadToInsert},
	} {
		if c.kafka == isKafka && c.name == name {
			return func(o options) (Transform, error) { return c.build(o, on) }
		}
	}
	return nil
}
