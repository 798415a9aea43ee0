package publisher

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/gtid"
	"github.com/rowmesh/rowmesh/services/offset"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
)

// skipper leaves out rows that are delivered already, by lanes of the layout before or by this one, before it went back for tables that had stopped. Pure.
type skipper struct {
	flavor config.Flavor
	prev   *registry.Layout
	marks  []mark
	// starts are the places to read from: those of the lanes, then those of their stopped tables.
	starts []mark
	first  int // index of the oldest start
	own    map[string]ownMark
	back   []offset.Table // stopped tables that are taken up again
	names  map[uint32]uint32
	plans  map[uint32]*row.Layout
	wides  map[uint32]int
	lanes  map[string]uint32 // index of a table's mark
}

// mark is how far a lane of the layout before was.
type mark struct {
	offset offset.Offset
	// gtids are all that come before the place; nil without GTIDs. Then file and pos say what does. With them, those count only inside a transaction.
	gtids *gtid.Set
	file  string
	pos   uint64
	event uint64 // of the open transaction at pos: events wholly delivered
	row   uint64 // and rows of the next
	all   bool   // everything counts as delivered
}

// ownMark is the mark of a table that its lane's does not hold for.
type ownMark struct{ index, lane uint32 }

// newSkipper makes one from the checkpoints of all lanes of prev, with what they say of tables that stand elsewhere. Stopped tables are taken up again.
func newSkipper(flavor config.Flavor, prev *registry.Layout, old []offset.Offset) (*skipper, error) {
	s := &skipper{flavor: flavor, prev: prev, own: map[string]ownMark{}, names: map[uint32]uint32{}, plans: map[uint32]*row.Layout{}, wides: map[uint32]int{},
		lanes: map[string]uint32{}}
	for j := range old {
		m, err := newMark(flavor, &old[j])
		if err != nil {
			return nil, errs.E(errs.Corrupt, "stored offset of lane %d: %w", j, err)
		}
		s.start(m)
		if others := old[j].Aside.Others; others != nil {
			if m, err = newMark(flavor, others); err != nil {
				return nil, errs.E(errs.Corrupt, "stored offset of lane %d: %w", j, err)
			}
		}
		s.marks = append(s.marks, m)
	}
	for j := range old {
		for _, t := range old[j].Aside.Tables {
			m := mark{all: true} // only a snapshot gives its rows
			if t.At != nil {
				var err error
				if m, err = newMark(flavor, t.At); err != nil {
					return nil, errs.E(errs.Corrupt, "stored offset of table %s: %w", t.Name, err)
				}
				if t.Stopped {
					s.start(m)
					s.back = append(s.back, t)
				} else if m.before(&s.starts[j]) {
					m = s.starts[j]
				}
			}
			s.own[t.Name] = ownMark{uint32(len(s.marks)), uint32(j)}
			s.marks = append(s.marks, m)
		}
	}
	return s, nil
}

// newMark reads the place of a checkpoint. Between two transactions it is what the token says: the file and position of the transaction before, which is all that
// the rest of the record has, mean something else once another server answers.
func newMark(flavor config.Flavor, o *offset.Offset) (mark, error) {
	m := mark{offset: *o, file: o.Source.GetFile(), pos: o.Source.GetPos(), event: o.Source.GetEvent(), row: o.Source.GetRow()}
	gtids := o.Source.GetGtids()
	if t := o.Resume(); t != nil && t.Event == 0 && t.Row == 0 {
		m.file, m.pos, m.event, m.row, gtids = t.Start.File, t.Start.Pos, 0, 0, t.Start.Gtids
	}
	if gtids != "" {
		set, err := gtid.Parse(flavor, gtids)
		if err != nil {
			return m, err
		}
		m.gtids = set
	}
	return m, nil
}

// start adds a place to read from.
func (s *skipper) start(m mark) {
	s.starts = append(s.starts, m)
	if last := len(s.starts) - 1; last > 0 && m.before(&s.starts[s.first]) {
		s.first = last
	}
}

// oldest is the checkpoint to start from, which says nothing of tables that stand elsewhere.
func (s *skipper) oldest() offset.Offset {
	o := s.starts[s.first].offset
	o.Aside = offset.Aside{}
	return o
}

// reached reports that m covers all that n does.
func (m *mark) reached(n *mark) bool {
	if m.gtids != nil && n.gtids != nil && !m.gtids.Equal(n.gtids) {
		return m.gtids.Contains(n.gtids)
	}
	return !m.before(n)
}

// before reports that m is an earlier place than n of the same source.
func (m *mark) before(n *mark) bool {
	switch {
	case m.gtids != nil && n.gtids != nil:
		if !m.gtids.Equal(n.gtids) {
			return n.gtids.Contains(m.gtids)
		}
	case m.file != n.file:
		return fileBefore(m.file, n.file)
	case m.pos != n.pos:
		return m.pos < n.pos
	}
	return m.event < n.event || m.event == n.event && m.row < n.row
}

// fileBefore orders log files of one server: the number at the end grows, in digits too.
func fileBefore(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// delivered returns how many rows of a group the mark covers, from its first, and whether that is all of it.
func (m *mark) delivered(b *rowv1.Batch, g int) (n uint32, all bool) {
	t := int(at(b.GroupTxn, g))
	rows := b.GroupRows[g]
	if m.all {
		return rows, true
	}
	same := b.File == m.file && at(b.TxnPos, t) == m.pos && m.event+m.row > 0
	if sid := at(b.TxnSid, t); m.gtids != nil && sid > 0 && int(sid) <= len(b.Sids) {
		if m.gtids.ContainsGTID(b.Sids[sid-1], at(b.TxnGno, t)) {
			return rows, true
		}
	} else if b.File == m.file && at(b.TxnPos, t) < m.pos || b.File != m.file && fileBefore(b.File, m.file) {
		return rows, true
	}
	if !same {
		return 0, false
	}
	switch event := uint64(at(b.GroupEvent, g)); {
	case event < m.event:
		return rows, true
	case event > m.event:
		return 0, false
	}
	first := uint64(at(b.GroupFirstRow, g))
	if m.row <= first {
		return 0, false
	}
	n = uint32(min(m.row-first, uint64(rows)))
	return n, n == rows
}

// returned forgets that only a snapshot would bring tables back which this layout's own checkpoint says are there: it has made one since.
func (s *skipper) returned(own *offset.Aside) {
	for name, m := range s.own {
		if t := own.Find(name); s.marks[m.index].all && (t == nil || t.At != nil) {
			delete(s.own, name)
		}
	}
}

// passed reports that a place covers all that rows are left out by.
func (s *skipper) passed(m *mark) bool {
	return !slices.ContainsFunc(s.marks, func(n mark) bool { return !n.all && !m.reached(&n) })
}

// delivered appends the tokens of the places behind start that rows are left out by.
func (s *skipper) delivered(tokens [][]byte, start *mark) [][]byte {
	for i := range s.marks {
		token := s.marks[i].offset.Token
		if len(token) > 0 && !start.reached(&s.marks[i]) && !slices.ContainsFunc(tokens, func(t []byte) bool { return bytes.Equal(t, token) }) {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// told reports that lane 0 of the layout before, which told of statements as lane 0 does now, had told of this one.
func (s *skipper) told(d *capturev1.Ddl) bool {
	m := &s.marks[0]
	for i, name := range ddlTables(d) {
		own, ok := s.own[name]
		if !ok || own.lane != 0 { // one table that went on is enough
			m = &s.marks[0]
			break
		}
		if o := &s.marks[own.index]; i == 0 || m.all || !o.all && o.before(m) {
			m = o
		}
	}
	if d.Snapshot {
		return false
	}
	if m.all {
		return true
	}
	if m.gtids != nil && d.Gtid != "" {
		set, err := gtid.Parse(s.flavor, d.Gtid)
		return err == nil && m.gtids.Contains(set)
	}
	return d.File == m.file && d.Pos < m.pos || d.File != m.file && fileBefore(d.File, m.file)
}

// ddlTables names the tables that a statement changes.
func ddlTables(d *capturev1.Ddl) []string {
	names := make([]string, 0, len(d.Tables)+len(d.Changes)+len(d.Truncated))
	for _, t := range d.Tables {
		names = append(names, d.Database+"."+t)
	}
	for _, c := range d.Changes {
		names = append(names, c.Database+"."+c.Table)
	}
	return append(names, d.Truncated...)
}

func at[T any](s []T, i int) T {
	var zero T
	if i < 0 || i >= len(s) {
		return zero
	}
	return s[i]
}

// table learns a schema.
func (s *skipper) table(t *rowv1.Table) {
	name := t.Database + "." + t.Table
	lane, ok := s.lanes[name]
	if !ok {
		lane = s.markOf(name)
		s.lanes[name] = lane
	}
	s.names[t.SchemaId], s.plans[t.SchemaId], s.wides[t.SchemaId] = lane, row.NewLayout(t.Columns), len(t.Columns)
}

// markOf returns the index of the mark of a table.
func (s *skipper) markOf(name string) uint32 {
	if own, ok := s.own[name]; ok {
		return own.index
	}
	return laneOf(s.prev, name)
}

// had returns what a table has up to by its mark; nil if no place says it.
func (s *skipper) had(name string) *offset.Offset {
	i := int(s.markOf(name))
	if i >= len(s.marks) || s.marks[i].all {
		return nil
	}
	o := s.marks[i].offset
	o.Aside = offset.Aside{}
	return &o
}

// laneOf returns the lane of a table, as rowmesh.capture.v1.Shard defines it.
func laneOf(l *registry.Layout, table string) uint32 {
	if i, ok := l.Pins[table]; ok {
		return i
	}
	h := fnv.New64a()
	h.Write([]byte(table))
	return uint32(h.Sum64() % uint64(max(l.Count, 1)))
}

// filter takes delivered rows out of a batch of the log. The payload is rebuilt only if there are any.
func (s *skipper) filter(b *rowv1.Batch) error {
	if b.Snapshot || incremental(b) {
		return nil
	}
	skips := make([]uint32, len(b.GroupRows))
	any := false
	for g := range b.GroupRows {
		lane, ok := s.names[b.GroupSchema[g]]
		if !ok || int(lane) >= len(s.marks) {
			continue
		}
		var all bool
		skips[g], all = s.marks[lane].delivered(b, g)
		if all && row.Op(b.GroupOp[g]) == row.Truncate {
			b.GroupOp[g] = byte(row.Create) // of no rows: nothing
		}
		any = any || skips[g] > 0
	}
	if !any {
		return nil
	}
	payload := make([]byte, 0, len(b.Payload))
	start := uint32(0)
	for g, n := range skips {
		images := b.Payload[start:b.GroupEnd[g]]
		start = b.GroupEnd[g]
		if n > 0 {
			rest, err := s.drop(b, g, images, n)
			if err != nil {
				return errs.E(errs.Corrupt, "batch %d at %s:%d: %w", b.Seq, b.File, at(b.GroupPos, g), err)
			}
			images = rest
			b.GroupRows[g] -= n
			if g < len(b.GroupFirstRow) {
				b.GroupFirstRow[g] += n
			}
		}
		payload = append(payload, images...)
		b.GroupEnd[g] = uint32(len(payload))
	}
	b.Payload = payload
	return nil
}

// incremental says whether a batch holds rows of a snapshot that was asked for while the log is streamed. They name the transaction before them, and are none of it.
func incremental(b *rowv1.Batch) bool {
	return len(b.GroupMarker) > 0 && rowv1.Marker(b.GroupMarker[0]) == rowv1.Marker_MARKER_INCREMENTAL
}

// drop returns the images after the first n rows of a group.
func (s *skipper) drop(b *rowv1.Batch, g int, images []byte, n uint32) ([]byte, error) {
	if n == b.GroupRows[g] {
		return nil, nil
	}
	schema, op, flags := b.GroupSchema[g], row.Op(b.GroupOp[g]), at(b.GroupFlags, g)
	cells := make([]row.Cell, s.wides[schema])
	for range n {
		for i := range op.Images() {
			partial := flags&row.PartialAfter != 0
			if op == row.Delete || op == row.Update && i == 0 {
				partial = flags&row.PartialBefore != 0
			}
			var err error
			if images, err = s.plans[schema].Split(cells, images, partial); err != nil {
				return nil, fmt.Errorf("group %d: %w", g, err)
			}
		}
	}
	return images, nil
}
