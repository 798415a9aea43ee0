package convert

import (
	"bytes"
	"testing"
)

func TestHeaderEscape(t *testing.T) {
	if got := headerEscape(nil, "a\"b\\c\n😀"); !bytes.Equal(got, []byte("a\\\"b\\\\c\n😀")) {
		t.Errorf("got %q", got)
	}
}

func TestMurmur2(t *testing.T) {
	// The values of Kafka's own test (UtilsTest.testMurmur2), and the empty key's.
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := Murmur2([]byte(key)); got != uint32(want)&0x7fffffff {
			t.Errorf("%q: got %d, want %d", key, got, uint32(want)&0x7fffffff)
		}
	}
	r := Record{Partition: -1, Hash: 479470107}
	if got := r.PartitionOf(12); got != 479470107%12 {
		t.Errorf("partition %d", got)
	}
	r.Partition = 0
	if got := r.PartitionOf(12); got != 0 {
		t.Errorf("fixed partition %d", got)
	}
}
