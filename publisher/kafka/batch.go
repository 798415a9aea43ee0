package kafka

// None marks an absent key, value or header set.
const None = -1

// Record is one record of a Batch. Its layout is that of struct rowmesh_record in shim.h; it holds no pointers, so that a slice of them crosses into C as it is.
type Record struct {
	// Topic is what Producer.Topic returned.
	Topic int32
	// Partition is explicit, from 0.
	Partition int32
	// Headers is what Producer.Headers returned, or None.
	Headers int32
	// KeyOff and KeyLen place the key in the arena; KeyLen None is a null key.
	KeyOff, KeyLen int32
	// ValOff and ValLen place the value; ValLen None is a null value (a tombstone).
	ValOff, ValLen int32
	// Extra is what Producer.HeaderName returned, for one header in front of Headers whose value is the record's own; or None.
	Extra int32
	// ExtraOff and ExtraLen place its value.
	ExtraOff, ExtraLen int32
	// OwnFrom and OwnCount are a range of Batch.Own: all headers of the record, in place of Extra and Headers. A count of 0 is none.
	OwnFrom, OwnCount int32
	// Timestamp is in milliseconds since the Unix epoch; 0 is the time at which the record is handed over.
	Timestamp int64
}

// OwnHeader is a header of one record. Its layout is that of struct rowmesh_header in shim.h.
type OwnHeader struct {
	// Name is what Producer.HeaderName returned.
	Name int32
	// Off and Len place the value in the arena; Len None is a null value.
	Off, Len int32
}

// Size returns the bytes of key and value.
func (r *Record) Size() int { return max(int(r.KeyLen), 0) + max(int(r.ValLen), 0) }

// Batch is a run of records over one arena. Produce copies what it needs: the caller may reuse both when it returns.
type Batch struct {
	Arena   []byte
	Records []Record
	Own     []OwnHeader
}

// Reset empties b and keeps its memory.
func (b *Batch) Reset() { b.Arena, b.Records, b.Own = b.Arena[:0], b.Records[:0], b.Own[:0] }

// Add appends a record with its key and value copied into the arena; nil is a null key or value.
func (b *Batch) Add(topic, partition, headers int32, key, value []byte) {
	r := Record{Topic: topic, Partition: partition, Headers: headers, KeyLen: None, ValLen: None, Extra: None}
	if key != nil {
		r.KeyOff, r.KeyLen = int32(len(b.Arena)), int32(len(key))
		b.Arena = append(b.Arena, key...)
	}
	if value != nil {
		r.ValOff, r.ValLen = int32(len(b.Arena)), int32(len(value))
		b.Arena = append(b.Arena, value...)
	}
	b.Records = append(b.Records, r)
}

func (b *Batch) key(r *Record) []byte { return view(b.Arena, r.KeyOff, r.KeyLen) }

func (b *Batch) value(r *Record) []byte { return view(b.Arena, r.ValOff, r.ValLen) }

func view(arena []byte, off, n int32) []byte {
	if n < 0 {
		return nil
	}
	return arena[off : off+n : off+n]
}

// check refuses records that point outside the arena or name unknown topics or header sets: C would read wild memory.
func (b *Batch) check(topics, headers, names int) bool {
	n := int64(len(b.Arena))
	for i := range b.Records {
		r := &b.Records[i]
		if uint(r.Topic) >= uint(topics) || r.Headers >= int32(headers) || r.Extra >= int32(names) || r.Partition < 0 ||
			(r.KeyLen >= 0 && (r.KeyOff < 0 || int64(r.KeyOff)+int64(r.KeyLen) > n)) ||
			(r.ValLen >= 0 && (r.ValOff < 0 || int64(r.ValOff)+int64(r.ValLen) > n)) ||
			(r.Extra >= 0 && (r.ExtraOff < 0 || r.ExtraLen < 0 || int64(r.ExtraOff)+int64(r.ExtraLen) > n)) {
			return false
		}
		if r.OwnCount > 0 && (r.OwnFrom < 0 || int64(r.OwnFrom)+int64(r.OwnCount) > int64(len(b.Own))) || r.OwnCount < 0 {
			return false
		}
	}
	for i := range b.Own {
		if h := &b.Own[i]; uint(h.Name) >= uint(names) || h.Len >= 0 && (h.Off < 0 || int64(h.Off)+int64(h.Len) > n) {
			return false
		}
	}
	return true
}
