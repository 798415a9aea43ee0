// Package converter makes the bytes of keys, values and headers as Kafka Connect's converters do: Kafka's own, Debezium's, and Confluent's Avro, Protobuf and
// JSON Schema with a schema registry.
//
//	record.Data ──Converter.Append──> bytes in the caller's arena
//	                 │ first value of a schema under a subject
//	                 └──plan (compiled once per schema)──text──> registry ──id──> head of 5 bytes, kept
//
// A plan holds all that does not depend on the value: branches of unions, tags, names, scales. After the first value nothing is allocated and nothing asked. Plans
// are kept by the schema's address, so whoever makes schemas anew for each record pays for each; ids are kept by subject and text besides.
//
// # Whose spelling
//
// Schemas' texts and values' bytes are those of Confluent's converters 8.2, to the order of members, so that a subject that Java has written to gets no new version; testdata
// says how that was recorded, and golden_test.go compares. What the Java converters take from a HashMap is in a HashMap's order here (java.go). Differences, where
// Java writes what the database does not hold:
//
//   - Dates before 1582 in Protobuf are Gregorian, as google.type.Date is and as the database counts. Java's Calendar turns Julian there, up to ten days off.
//   - 24:00:00 in Protobuf is 24 hours, which google.type.TimeOfDay has room for. Java writes 00:00:00.
//   - Two structs of one name with other fields inside one Protobuf message are an error. Java writes the second by the first's fields.
//
// A null in a nullable field that has a default is written as the default unless ignore.default.for.nullables says otherwise: so do Confluent's converters, whatever
// replace.null.with.default is for JSON. Nulls that package record marks as kept are null.
//
// # The registry
//
// Questions have bounds of their own (registry.go), shorter than Confluent's, and a lane whose question fails starts again with back-off: its status names the registry,
// the subject and what to do. Errors are Unavailable where waiting helps (no connection, no answer in time, 5xx, an answer that is no registry's), Denied for 401 and
// 403, and Invalid where the schema is at fault: incompatible (409), refused (422), not registered while auto.register.schemas=false (404). URLs are asked in their order. Credentials
// are in no text.
//
// With use.latest.version or use.schema.id values are written by the registry's schema. For Avro fields are matched by name, which is stricter than Java, where they are
// matched by place. latest.compatibility.strict asks the registry, by its level of compatibility; Java decides by itself whether the latest schema can read ours.
// For Protobuf and JSON Schema the bytes are those of our own schema.
//
// # What it does not do
//
// Options that concern schemas which only Confluent's deserializers make (enums and unions that carry io.confluent parameters, variants) have no effect: neither Debezium nor
// transforms make such schemas. Schema ids in headers, data rules and contexts by strategy are refused by name, as are Apicurio's own converters, whose registry speaks Confluent's API too.
// Maps in Avro keep the order of their entries, which in Java is a hash's. Data without a schema is an error for converters that register one.
package converter
