package config

// The plugins that Kafka Connect and Debezium ship, to tell a name that exists elsewhere from a mistake.

const kafkaTransforms = "org.apache.kafka.connect.transforms."

var transformations = []string{
	"io.debezium.connector.mysql.transforms.ReadToInsertEvent", "io.debezium.transforms.ByLogicalTableRouter", "io.debezium.transforms.EnforceRecordSize",
	"io.debezium.transforms.ExtractChangedRecordState", "io.debezium.transforms.ExtractNewRecordState", "io.debezium.transforms.ExtractSchemaToNewRecord",
	"io.debezium.transforms.GeometryFormatTransformer", "io.debezium.transforms.HeaderToValue", "io.debezium.transforms.SchemaChangeEventFilter",
	"io.debezium.transforms.SwapGeometryCoordinates", "io.debezium.transforms.TimezoneConverter", "io.debezium.transforms.VectorToJsonConverter",
	"io.debezium.transforms.openlineage.OpenLineage", "io.debezium.transforms.outbox.EventRouter", "io.debezium.transforms.partitions.PartitionRouting",
	"io.debezium.transforms.tracing.ActivateTracingSpan", "io.debezium.transforms.Filter", "io.debezium.transforms.ContentBasedRouter",
	kafkaTransforms + "Cast$Key", kafkaTransforms + "Cast$Value", kafkaTransforms + "DropHeaders", kafkaTransforms + "ExtractField$Key", kafkaTransforms + "ExtractField$Value",
	kafkaTransforms + "Filter", kafkaTransforms + "Flatten$Key", kafkaTransforms + "Flatten$Value", kafkaTransforms + "HeaderFrom$Key", kafkaTransforms + "HeaderFrom$Value",
	kafkaTransforms + "HoistField$Key", kafkaTransforms + "HoistField$Value", kafkaTransforms + "InsertField$Key", kafkaTransforms + "InsertField$Value", kafkaTransforms + "InsertHeader",
	kafkaTransforms + "MaskField$Key", kafkaTransforms + "MaskField$Value", kafkaTransforms + "RegexRouter", kafkaTransforms + "ReplaceField$Key", kafkaTransforms + "ReplaceField$Value",
	kafkaTransforms + "SetSchemaMetadata$Key", kafkaTransforms + "SetSchemaMetadata$Value", kafkaTransforms + "TimestampConverter$Key", kafkaTransforms + "TimestampConverter$Value",
	kafkaTransforms + "TimestampRouter", kafkaTransforms + "ValueToKey",
}

var predicates = []string{
	kafkaTransforms + "predicates.HasHeaderKey", kafkaTransforms + "predicates.RecordIsTombstone", kafkaTransforms + "predicates.TopicNameMatches",
}

// otherPlugins are neither transformations nor predicates.
var otherPlugins = []string{
	"org.apache.kafka.connect.json.JsonConverter", "org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.storage.SimpleHeaderConverter",
	"org.apache.kafka.connect.converters.ByteArrayConverter", MySQLClass, MariaDBClass,
}
