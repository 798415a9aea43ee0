// Package record is Kafka Connect's data model: schemas, values and records as transforms and converters see them, and the JSON of Kafka's
// JsonConverter in both directions.
//
//	convert.Output ──(schema text, payload text)──> Decoder ──> Record ──transform chain──> Record ──> Converter ──> bytes
//
// A Schema says what a value means, a Value holds it. A Value is 24 bytes and refers to its text or members; decoding a record allocates nothing but
// from a Slab, and texts without escapes are views of the arena they were decoded from. So a Record lives until the slab and the arena are reset:
// converters turn it into bytes before that, and whoever keeps a part of it copies it.
//
// # What a value is, by schema
//
//	INT8..INT64                       Int; Connect's Date (days), Time and Timestamp (milliseconds) too
//	FLOAT32, FLOAT64                  Float
//	BOOLEAN, STRING, BYTES            Bool, String, Bytes
//	BYTES named …connect.data.Decimal Decimal: the unscaled number in two's complement, and its scale, which should be the schema's
//	ARRAY, MAP, STRUCT                List, Map, Struct
//
// Without a schema the kind alone says it. Null is absent data; a null in a field whose schema has a default reads as the default (Schema.Default),
// unless it is a kept null: one that the database holds, see Value.Kept.
//
// The package follows Kafka Connect 4.3 (org.apache.kafka.connect.data, .json.JsonConverter, .storage.SimpleHeaderConverter), also in the texts of its errors.
package record
