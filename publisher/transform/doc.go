// Package transform holds Kafka Connect's single message transforms and predicates and Debezium's own, for records on their way to Kafka.
//
//	New(config) ──> Chain ── Apply(record) ──> each transform in order of the option transforms, where its predicate says so
//
// A transform is built once per lane from its options, whose names and defaults are those of services/config's plugins. What depends on a schema alone, such as
// the schema of what comes out, is derived once per schema and cached by the schema's identity, so that a record costs the copying of its members.
//
// The semantics and the texts of errors are those of Kafka 4.3's org.apache.kafka.connect.transforms and of Debezium 3.6's io.debezium.transforms; records that
// a source does not make, such as a sink's offsets, are refused in their words too. Filter and ContentBasedRouter, which Debezium evaluates by an engine
// of the Java platform, take expressions of the Common Expression Language here (language=cel).
//
// A transform may also run in a process of its own, in any language (package foreign). It takes many records at once: a chain with one has ApplyAll in place of Apply.
//
// What comes out of a transform lives as long as the slab that it was given; values of the record that came in are shared, never changed.
package transform
