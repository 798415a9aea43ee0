package convert

// Span is a range of an Output's arena; a negative length stands for null.
type Span struct{ Off, Len int }

var null = Span{Len: -1}

// ExtraHeader says which header a record has in front of the context headers.
type ExtraHeader uint8

// Extra headers.
const (
	NoExtra ExtraHeader = iota
	// NewKey is __debezium.newkey, on the delete and the tombstone of a key change.
	NewKey
	// OldKey is __debezium.oldkey, on the create of a key change.
	OldKey
)

// Record is one Kafka record.
type Record struct {
	Topic *Topic
	// Key and Value are the bytes to send. A null value is a tombstone.
	Key, Value Span
	// Partition is fixed where it is not negative. Otherwise a record with a key belongs to Hash modulo the partitions (PartitionOf), and one
	// without a key to any.
	Partition int32
	Hash      uint32
	// Extra is the key change header; its value is ExtraValue. Context says that Encoder.ContextHeaders follow.
	Extra      ExtraHeader
	Context    bool
	ExtraValue Span
	// Shape has the schemas where the encoder was asked for shapes; else nil.
	Shape *Shape
	// Headers, where it is not nil, are all headers of the record, in place of Extra and Context. Timestamp is in milliseconds since the Unix epoch; nil: the
	// producer's clock sets it. Encoders set neither.
	Headers   []SpanHeader
	Timestamp *int64
	// Group and Row name the place in the batch, for errors: the group, and the row in it. Group is -1 for other records.
	Group int32
	Row   uint32
}

// SpanHeader is a header whose value lies in the arena; null is a null value.
type SpanHeader struct {
	Key   string
	Value Span
}

// Shape is what a record's payloads mean: the JSON of the schemas of key and value, as JsonConverter writes them. All records of one table version share
// one Shape, so its address stands for the schemas. Key is nil for records without a key.
type Shape struct {
	Key, Value []byte
	// KeptNulls says for each column of the value that NULL stays null although the schema has a default.
	KeptNulls []bool
}

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Names of the extra headers.
const (
	newKeyHeader = "__debezium.newkey"
	oldKeyHeader = "__debezium.oldkey"
)

// maxWarnings bounds the warnings of one Output: enough to see what is wrong, and a table full of bad values fills no log.
const maxWarnings = 8

// Output collects records. The caller owns it and resets it once its records are delivered or copied.
type Output struct {
	// Arena holds all bytes. Appending may move it: spans stay valid, slices of it do not.
	Arena []byte
	// Records in order.
	Records []Record
	// Failed are rows that could not be converted, in order, where the encoder tolerates them; they have no records.
	Failed []*RowError
	// Warnings are values that were replaced by null under event.converting.failure.handling.mode=warn, at most 8; Warned counts all.
	Warnings []*RowError
	Warned   int
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Failed)
	clear(o.Warnings)
	o.Arena, o.Records, o.Failed, o.Warnings, o.Warned = o.Arena[:0], o.Records[:0], o.Failed[:0], o.Warnings[:0], 0
}

// Bytes returns the bytes of a span, nil for null. They are valid until the next append.
func (o *Output) Bytes(s Span) []byte {
	if s.Len < 0 {
		return nil
	}
	return o.Arena[s.Off : s.Off+s.Len : s.Off+s.Len]
}

// since is the span from off to the end of the arena.
func (o *Output) since(off int) Span { return Span{off, len(o.Arena) - off} }
