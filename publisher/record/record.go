package record

// Data is a value with its schema, which is nil for data without one.
type Data struct {
	Schema *Schema
	Value  Value
}

// Missing reports whether there is neither a schema nor a value: what Kafka holds as null, a tombstone.
func (d Data) Missing() bool { return d.Schema == nil && d.Value.IsNull() }

// NoPartition is the Partition of records whose partition follows from their key.
const NoPartition = int32(-1)

// Record is one source record on its way to Kafka.
type Record struct {
	Topic string
	// Partition is NoPartition unless a transform chose one.
	Partition  int32
	Key, Value Data
	// Headers in order; a name may come more than once.
	Headers []Header
	// Timestamp is in milliseconds since the Unix epoch, nil if the record has none. Debezium's have none, so the producer's clock sets it.
	Timestamp *int64
	// SharesHeaders says that the tombstone that follows has the same headers: one object in Java, so that what a transform adds in place, before any of them
	// made a new record, is in both. Shared is what was added so.
	SharesHeaders bool
	Shared        []Header
}

// Header is one header of a record.
type Header struct {
	Name string
	Data
}

// Header returns the last header of a name.
func (r *Record) Header(name string) (Data, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Name == name {
			return r.Headers[i].Data, true
		}
	}
	return Data{}, false
}

// Tombstone reports whether the record's value is null, whatever its schema: what Kafka's RecordIsTombstone asks.
func (r *Record) Tombstone() bool { return r.Value.Value.IsNull() }

// Converter turns keys, values or headers into what Kafka holds. One goroutine uses it.
type Converter interface {
	// Append appends the serialized form of d, which is the key, the value or a header of a record that goes to topic, to dst. null says that the
	// form is Kafka's null and nothing was appended. headers are those of the record, for converters that look at them; read-only.
	// Errors are of kind Invalid where the data cannot be expressed, Unavailable where a registry does not answer. An error leaves dst as it was.
	Append(dst []byte, topic string, headers []Header, d Data) (out []byte, null bool, err error)
}

// Slab hands out memory for the values of records that live equally long. The zero Slab is ready; one goroutine uses it.
//
// Invariant: nothing that was handed out is used after Reset.
type Slab struct {
	values  []Value
	entries []Entry
	structs []StructData
	bytes   []byte
	headers []Header
}

// Sizes of the pieces that a slab takes from the heap: some records' worth, so that one record of usual size costs no allocation of its own, and what
// stays between batches is small (24 KiB, 12 KiB, 16 KiB).
const (
	slabValues  = 1024
	slabEntries = 256
	slabStructs = 512
	slabBytes   = 16 << 10
	slabHeaders = 64
)

// maxPiece bounds the pieces, in elements: 1.5 MiB of values.
const maxPiece = 64 << 10

// Values returns n null values, which the caller sets.
func (s *Slab) Values(n int) []Value { return take(&s.values, n, slabValues) }

// Entries returns n entries.
func (s *Slab) Entries(n int) []Entry { return take(&s.entries, n, slabEntries) }

// Headers returns n headers.
func (s *Slab) Headers(n int) []Header { return take(&s.headers, n, slabHeaders) }

// Bytes returns n zero bytes.
func (s *Slab) Bytes(n int) []byte { return take(&s.bytes, n, slabBytes) }

// Struct returns a struct of a schema with all fields null.
func (s *Slab) Struct(schema *Schema) *StructData {
	d := &take(&s.structs, 1, slabStructs)[0]
	d.Schema, d.Values = schema, s.Values(len(schema.Fields))
	return d
}

// Copy returns a copy of a text.
func (s *Slab) Copy(text []byte) []byte {
	b := s.Bytes(len(text))
	copy(b, text)
	return b
}

// take cuts n elements off the rest of the current piece. A piece that is used up is left to the collector while values still refer to it.
func take[T any](piece *[]T, n, size int) []T {
	if len(*piece)+n > cap(*piece) {
		// The next piece is larger, until one holds all that is handed out between two resets.
		*piece = make([]T, 0, max(size, n, min(2*cap(*piece), maxPiece)))
	}
	at := len(*piece)
	*piece = (*piece)[:at+n]
	return (*piece)[at : at+n : at+n]
}

// Reset ends the life of all that was handed out, and keeps the current pieces.
func (s *Slab) Reset() {
	clear(s.values)
	clear(s.entries)
	clear(s.structs)
	clear(s.headers)
	clear(s.bytes)
	s.values, s.entries, s.structs, s.headers, s.bytes = s.values[:0], s.entries[:0], s.structs[:0], s.headers[:0], s.bytes[:0]
}
