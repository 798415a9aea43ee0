package publisher

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
)

const skipSID = "453a28ca-e69b-11f1-8913-02fc00000001"

// skipLog is a log of n transactions of events of rows: transaction i starts at position 100*i of its file and has GTID number i+1.
type skipLog struct {
	gtids bool
	txns  [][]int // rows of each event
}

func (l *skipLog) offset(txn, event, rows int) offset.Offset {
	s := &rowv1.SourceOffset{File: fileOf(txn), Pos: posOf(txn), Event: uint64(event), Row: uint64(rows)}
	if l.gtids && txn > 0 {
		s.Gtids = skipSID + ":1"
		if txn > 1 {
			s.Gtids += "-" + itoa(txn)
		}
	}
	return offset.Offset{Source: s, Token: []byte{1}}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// fileOf changes the log file after every 4 transactions, once with more digits in its name.
func fileOf(txn int) string { return "binlog." + itoa(8+txn/4) }

func posOf(txn int) uint64 { return uint64(100 * (txn%4 + 1)) }

// batch is one transaction; the table of event e is e%3, and a row's id says where it stands.
func (l *skipLog) batch(txn int) *rowv1.Batch {
	b := &rowv1.Batch{File: fileOf(txn), TxnPos: []uint64{posOf(txn)}}
	if l.gtids {
		b.Sids, b.TxnSid, b.TxnGno = []string{skipSID}, []uint32{1}, []uint64{uint64(txn + 1)}
	}
	for e, rows := range l.txns[txn] {
		b.GroupSchema = append(b.GroupSchema, uint32(e%3+1))
		op := row.Create
		if e%2 == 1 {
			op = row.Update
		}
		b.GroupOp = append(b.GroupOp, byte(op))
		b.GroupRows = append(b.GroupRows, uint32(rows))
		b.GroupEvent = append(b.GroupEvent, uint32(e))
		b.GroupFirstRow = append(b.GroupFirstRow, 0)
		b.GroupTxn = append(b.GroupTxn, 0)
		b.GroupFlags = append(b.GroupFlags, 0)
		for r := range rows {
			for range op.Images() {
				b.Payload = row.AppendInt(append(b.Payload, 0), id(txn, e, r))
				b.Payload = row.AppendBytes(b.Payload, "v")
			}
		}
		b.GroupEnd = append(b.GroupEnd, uint32(len(b.Payload)))
	}
	return b
}

func id(txn, event, r int) int64 { return int64(txn*10000 + event*100 + r) }

// ids reads the ids of a batch back.
func ids(t *testing.T, b *rowv1.Batch) []int64 {
	t.Helper()
	var got []int64
	layout := row.NewLayout(fakeTable(0).Columns)
	cells := make([]row.Cell, 2)
	start := uint32(0)
	for g, n := range b.GroupRows {
		rest := b.Payload[start:b.GroupEnd[g]]
		start = b.GroupEnd[g]
		for range n {
			for range row.Op(b.GroupOp[g]).Images() {
				var err error
				if rest, err = layout.Split(cells, rest, false); err != nil {
					t.Fatal(err)
				}
			}
			got = append(got, cells[0].Int())
		}
		if len(rest) != 0 {
			t.Fatalf("group %d: %d bytes left", g, len(rest))
		}
	}
	return got
}

// Three old lanes stood at any places, also in the middle of transactions; the new lane must see exactly what their tables still lacked.
func TestSkipRandom(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		l := &skipLog{gtids: seed%2 == 0}
		for range 10 {
			var events []int
			for range 1 + rnd.IntN(4) {
				events = append(events, 1+rnd.IntN(4))
			}
			l.txns = append(l.txns, events)
		}
		prev := &registry.Layout{Count: 3, Pins: map[string]uint32{"db.t0": 0, "db.t1": 1, "db.t2": 2}}
		type point struct{ txn, event, row int }
		var points []point
		var old []offset.Offset
		for range 3 {
			p := point{txn: rnd.IntN(10)}
			if rnd.IntN(2) == 0 {
				p.event = rnd.IntN(len(l.txns[p.txn]))
				p.row = rnd.IntN(l.txns[p.txn][p.event] + 1)
			}
			points, old = append(points, p), append(old, l.offset(p.txn, p.event, p.row))
		}
		s, err := newSkipper(config.MySQL, prev, old)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			s.table(fakeTable(i))
		}
		before := func(a, b point) bool {
			return a.txn < b.txn || a.txn == b.txn && (a.event < b.event || a.event == b.event && a.row < b.row)
		}
		for _, p := range points {
			if before(p, points[s.first]) {
				t.Fatalf("seed %d: lane %d is not the oldest of %v", seed, s.first, points)
			}
		}
		var want, got []int64
		for txn, events := range l.txns {
			for e, rows := range events {
				for r := range rows {
					if !before(point{txn, e, r}, points[e%3]) {
						want = append(want, id(txn, e, r))
					}
				}
			}
			b := l.batch(txn)
			if err := s.filter(b); err != nil {
				t.Fatal(err)
			}
			got = append(got, ids(t, b)...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d, lanes at %v: %s", seed, points, diff)
		}
	}
}

// One lane goes back for tables that stopped at any places, and stands anywhere on its way: its tables must get exactly what they lack.
func TestSkipStoppedRandom(t *testing.T) {
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		l := &skipLog{gtids: seed%2 == 0}
		for range 10 {
			var events []int
			for range 1 + rnd.IntN(4) {
				events = append(events, 1+rnd.IntN(4))
			}
			l.txns = append(l.txns, events)
		}
		type point struct{ txn, event, row int }
		before := func(a, b point) bool {
			return a.txn < b.txn || a.txn == b.txn && (a.event < b.event || a.event == b.event && a.row < b.row)
		}
		anywhere := func() (point, *offset.Offset) {
			p := point{txn: rnd.IntN(10)}
			if rnd.IntN(2) == 0 {
				p.event = rnd.IntN(len(l.txns[p.txn]))
				p.row = rnd.IntN(l.txns[p.txn][p.event] + 1)
			}
			o := l.offset(p.txn, p.event, p.row)
			return p, &o
		}
		at, o := anywhere()
		others, from := anywhere()
		one, oneFrom := anywhere()
		o.Aside.Others = from
		o.Aside = o.Aside.With(offset.Table{Name: "db.t1", At: oneFrom})
		o.Aside = o.Aside.With(offset.Table{Name: "db.t2", Stopped: true}) // has no place
		if before(others, at) {
			others = at
		}
		if before(one, at) {
			one = at
		}
		s, err := newSkipper(config.MySQL, &registry.Layout{Count: 1}, []offset.Offset{*o})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			s.table(fakeTable(i))
		}
		var want, got []int64
		for txn, events := range l.txns {
			b := l.batch(txn)
			for e, rows := range events {
				for r := range rows {
					p := point{txn, e, r}
					if before(p, at) { // is not read again
						continue
					}
					if e%3 == 0 && !before(p, others) || e%3 == 1 && !before(p, one) {
						want = append(want, id(txn, e, r))
					}
				}
			}
			if err := s.filter(b); err != nil {
				t.Fatal(err)
			}
			for _, i := range ids(t, b) {
				if p := (point{int(i / 10000), int(i / 100 % 100), int(i % 100)}); !before(p, at) {
					got = append(got, i)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d, at %v, others %v, one %v: %s", seed, at, others, one, diff)
		}
	}
}

// Statements between the oldest place and that of the old lane 0 were told; the new one reads them again and must not tell them again.
func TestSkipStatements(t *testing.T) {
	for _, gtids := range []bool{false, true} {
		l := &skipLog{gtids: gtids}
		s, err := newSkipper(config.MySQL, &registry.Layout{Count: 2}, []offset.Offset{l.offset(5, 0, 0), l.offset(2, 0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		for txn, want := range map[int]bool{2: true, 4: true, 5: false, 8: false} {
			d := &capturev1.Ddl{File: fileOf(txn), Pos: posOf(txn)}
			if gtids {
				d.Gtid = skipSID + ":" + itoa(txn+1)
			}
			if got := s.told(d); got != want {
				t.Errorf("gtids %v, statement of transaction %d: told %v, want %v", gtids, txn, got, want)
			}
		}
	}
}

func TestSkipTruncate(t *testing.T) {
	prev := &registry.Layout{Count: 1}
	l := &skipLog{}
	s, err := newSkipper(config.MySQL, prev, []offset.Offset{l.offset(3, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	s.table(fakeTable(0))
	for txn, want := range map[int]row.Op{2: row.Create, 3: row.Truncate} {
		b := &rowv1.Batch{File: fileOf(txn), TxnPos: []uint64{posOf(txn)}, GroupSchema: []uint32{1}, GroupOp: []byte{'t'}, GroupRows: []uint32{0}, GroupEnd: []uint32{0},
			GroupTxn: []uint32{0}}
		if err := s.filter(b); err != nil {
			t.Fatal(err)
		}
		if got := row.Op(b.GroupOp[0]); got != want {
			t.Errorf("transaction %d: operation %c; want %c", txn, got, want)
		}
	}
}
