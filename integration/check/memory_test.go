package check

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stream makes a history record by record and gives it to a judge, as a run does: some keys with many versions, and rows that come once. Each source transaction has
// ten changes, each Kafka transaction ten of those in four partitions, with a checkpoint.
type stream struct {
	keys, versions, unique int
}

func (s stream) changes(f func(c *Change)) {
	n := 0
	give := func(c Change) {
		c.Txn = n/10 + 1
		c.Hash = uint64(n)*2654435761 | 1
		n++
		f(&c)
	}
	for v := range s.versions {
		for k := range s.keys {
			c := Change{Table: "t", Key: int64(k), Version: int64(v + 1), Op: 'u'}
			if v == 0 {
				c.Op = 'c'
			}
			give(c)
		}
		for k := v * s.unique / s.versions; k < (v+1)*s.unique/s.versions; k++ {
			give(Change{Table: "ids", Key: int64(k), Version: 1, Op: 'c'})
		}
	}
}

func (s stream) judge(t *testing.T, j *Judge) {
	t.Helper()
	s.changes(func(c *Change) {
		if err := j.Change(c); err != nil {
			t.Fatal(err)
		}
	})
	offsets := map[string]int64{}
	record := func(topic string, partition int32, marker byte) int64 {
		at := fmt.Sprint(topic, partition)
		offsets[at]++
		j.Raw(&Raw{Topic: topic, Partition: partition, Offset: offsets[at], Producer: 1, Marker: marker})
		return offsets[at]
	}
	s.changes(func(c *Change) {
		p := int32(c.Key % 4)
		segment := (c.Txn-1)/10 + 1
		j.Event(&Event{Topic: c.Table, Partition: p, Offset: record(c.Table, p, 0), Table: c.Table, Key: c.Key, Version: c.Version, Op: c.Op, Hash: c.Hash,
			Producer: 1, Segment: segment, AtMS: int64(segment)})
		if c.Txn%10 == 0 && c.Hash == uint64(c.Txn*10-1)*2654435761|1 { // the last of the Kafka transaction
			for p := range int32(4) {
				record("t", p, 'c')
				record("ids", p, 'c')
			}
			j.Checkpoint(&Checkpoint{Offset: record("offsets", 0, 0), Lane: "lane", Layout: 1, Txn: c.Txn, Whole: true, Producer: 1, AtMS: int64(segment)})
			record("offsets", 0, 'c')
		}
	})
}

// 300 000 records stay far below what ten million may take; with ROWMESH_FULL=1 it is ten million, and the process may have a gigabyte.
func TestMemoryIsBounded(t *testing.T) {
	s, limit := stream{keys: 15_000, versions: 16, unique: 60_000}, 100
	if os.Getenv("ROWMESH_FULL") == "1" {
		s, limit = stream{keys: 500_000, versions: 16, unique: 2_000_000}, 1000
	}
	defer debug.SetGCPercent(debug.SetGCPercent(25)) // as programs that judge long runs do
	begin := time.Now()
	j := New()
	s.judge(t, j)
	r := j.Finish()
	if len(r.Violations) > 0 {
		t.Fatal(r.Violations)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	most := max(int(m.Sys>>20), peak(t))
	if most > limit {
		t.Errorf("%d MB for %d records, more than %d", most, r.Events, limit)
	}
	t.Logf("%d changes, %d events, %d records and markers, %d checkpoints judged in %.1f s, %d MB at most", r.Changes, r.Events, r.Raw, r.Checkpoints, time.Since(begin).Seconds(), most)
}

// peak is the most memory that the process ever had, MB, where the system tells.
func peak(t *testing.T) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}
