package kafka

import "testing"

// TestSecondRecordWaits follows two topics: a partition's second record waits for its first, other partitions and acknowledged ones do not.
func TestSecondRecordWaits(t *testing.T) {
	var f firsts
	records := func(parts ...int32) []Record {
		rs := make([]Record, len(parts))
		for i, p := range parts {
			rs[i] = Record{Topic: p / 10, Partition: p % 10}
		}
		return rs
	}
	step := func(rs []Record, want int, wantFirst bool) {
		t.Helper()
		n, first := f.run(rs)
		if n != want || first != wantFirst {
			t.Fatalf("run: %d records, first %v; want %d, %v", n, first, want, wantFirst)
		}
		if first {
			f.handedOver(&rs[n-1])
		}
	}
	rs := records(3, 3, 17, 3, 0)
	step(rs, 1, true)      // the first of partition 3
	step(rs[1:], 0, false) // its second waits
	f.flushed()
	step(rs[1:], 2, true)  // it goes, and the first of another topic's 7 with it
	step(rs[3:], 2, true)  // 3 does not wait for 7; 0 is new
	step(rs[2:], 0, false) // 7 is not acknowledged yet
	f.flushed()
	step(rs, 5, false)
	step(records(), 0, false)
	step(records(17, 18, 18), 2, true)
	step(records(18), 0, false)
}

// TestRunAgainWithoutHandingOver: a record that the full queue refused is still the first of its partition.
func TestRunAgainWithoutHandingOver(t *testing.T) {
	var f firsts
	r := []Record{{Partition: 2}}
	for range 2 {
		if n, first := f.run(r); n != 1 || !first {
			t.Fatalf("run: %d, %v; want 1, true", n, first)
		}
	}
}
