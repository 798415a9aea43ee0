package kafka

// firsts knows to which partitions this producer may send more than one record at a time. A partition that has never heard of a producer takes any sequence number
// for its first. Of two requests under way to a leader that has just come to be (of a new topic, or after another broker's end) the first can so be refused and
// the second taken; when the first comes again it is answered as a duplicate. Its records are lost, and nobody is told. So the first record of a partition is
// acknowledged before the second is handed over.
type firsts struct {
	// state of each partition, by topic id and partition.
	state [][]uint8
	sent  []struct{ topic, partition int32 } // those in state sent
}

// States of a partition.
const (
	unwritten = iota
	sent
	acknowledged
)

// run returns how many records may be handed over at once: none if the first has to wait for acknowledgements. first says that the last of them is the first
// of its partition.
func (f *firsts) run(records []Record) (n int, first bool) {
	for i := range records {
		r := &records[i]
		switch f.of(r.Topic, r.Partition) {
		case acknowledged:
		case sent:
			return i, false
		default:
			return i + 1, true
		}
	}
	return len(records), false
}

func (f *firsts) of(topic, partition int32) uint8 {
	if int(topic) < len(f.state) {
		if of := f.state[topic]; int(partition) < len(of) {
			return of[partition]
		}
	}
	return unwritten
}

// handedOver notes the first record of a partition.
func (f *firsts) handedOver(r *Record) {
	if n := int(r.Topic) + 1; n > len(f.state) {
		f.state = append(f.state, make([][]uint8, n-len(f.state))...)
	}
	of := &f.state[r.Topic]
	if n := int(r.Partition) + 1; n > len(*of) {
		*of = append(*of, make([]uint8, n-len(*of))...)
	}
	(*of)[r.Partition] = sent
	f.sent = append(f.sent, struct{ topic, partition int32 }{r.Topic, r.Partition})
}

// flushed notes that all that was handed over is acknowledged.
func (f *firsts) flushed() {
	for _, p := range f.sent {
		f.state[p.topic][p.partition] = acknowledged
	}
	f.sent = f.sent[:0]
}
