package sim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/offset"
)

// Source is a database server and those that take its place. Its rows are registers: each has a key and a version that goes up by one with each change.
type Source struct {
	w *World
	// GTIDs: the server has them. Without, it is never replaced.
	GTIDs bool
	// Limit is how many transactions are committed in all.
	Limit int

	names   []string // tables, "db.t0"
	keys    int
	server  *server // that answers
	servers int
	logs    map[int]*server
	all     int // transactions committed, on any server
	rows    map[rowKey]*register
	// broken are tables whose rows cannot be read, from which transaction on.
	broken map[string]int
	// lost says that something happened from which a lane cannot go on by itself; Gaps that one was told.
	lost     bool
	Gaps     int
	wasReset bool // a replica of such a server is another story
}

// server is one server's log.
type server struct {
	n    int
	uuid string
	txns []*txn
	// pos of each transaction, and of the end.
	file []string
	pos  []uint64
	// events of each transaction: rows in each.
	events [][]int
	purged int // transactions before it are gone
	gno    uint64
	// shared is how many transactions this server has in common with each earlier one.
	shared map[int]int
}

// txn is a source transaction.
type txn struct {
	n       int // over all servers
	sid     string
	gno     uint64
	changes []change
}

type change struct {
	table   string
	key     int64
	version int64
	op      byte
}

type rowKey struct {
	table string
	key   int64
}

// register is the history of one key.
type register struct {
	alive   bool
	version int64 // newest ever
	// lost are changes that a server lacked, with that server.
	lost map[int64]int
	// changes in log order; those of a lost tail are taken out.
	changes []registered
}

type registered struct {
	version int64
	op      byte
	txn     int // index in the log that now counts
}

// has reports that the log that counts has a version.
func (r *register) has(version int64) bool {
	for _, c := range r.changes {
		if c.version == version {
			return true
		}
	}
	return false
}

// aliveAt reports that the key has a row before a transaction.
func (r *register) aliveAt(txn int) bool {
	n := len(r.changes)
	for n > 0 && r.changes[n-1].txn >= txn {
		n--
	}
	return n > 0 && r.changes[n-1].op != 'd'
}

func newSource(w *World) *Source {
	return &Source{w: w, keys: 3, rows: map[rowKey]*register{}, broken: map[string]int{}, logs: map[int]*server{}}
}

// Init makes the server with so many tables, and some transactions before the connector begins.
func (s *Source) Init(tables, before int) {
	for i := range tables {
		s.names = append(s.names, fmt.Sprintf("db.t%d", i))
	}
	s.server = s.newServer()
	for range before {
		s.commit()
	}
}

func (s *Source) newServer() *server {
	s.servers++
	v := &server{n: s.servers, uuid: fmt.Sprintf("00000000-0000-0000-0000-%012d", s.servers), shared: map[int]int{}}
	v.file, v.pos = []string{v.fileName(0)}, []uint64{100}
	s.logs[v.n] = v
	return v
}

// fileName: servers of one kind name their files alike, so the same name and position mean different things on two of them.
func (v *server) fileName(txn int) string { return fmt.Sprintf("binlog.%06d", 1+txn/7) }

// append adds a transaction to the log, split into events at random.
func (s *Source) append(v *server, t *txn) {
	var events []int
	for left := len(t.changes); left > 0; {
		n := 1
		for n < left && t.changes[len(t.changes)-left+n].table == t.changes[len(t.changes)-left].table && t.changes[len(t.changes)-left+n].op == t.changes[len(t.changes)-left].op &&
			s.w.Rand.IntN(2) == 0 {
			n++
		}
		events = append(events, n)
		left -= n
	}
	i := len(v.txns)
	v.txns, v.events = append(v.txns, t), append(v.events, events)
	next := v.pos[i] + uint64(100*len(t.changes))
	file := v.fileName(i + 1)
	if file != v.file[i] {
		next = 100
	}
	v.file, v.pos = append(v.file, file), append(v.pos, next)
}

// commit runs one transaction of a few changes.
func (s *Source) commit() {
	w, v := s.w, s.server
	v.gno++
	s.all++
	t := &txn{n: s.all, sid: v.uuid, gno: v.gno}
	for range 1 + w.Rand.IntN(5) {
		k := rowKey{s.names[w.Rand.IntN(len(s.names))], int64(1 + w.Rand.IntN(s.keys))}
		for range 1 + w.Rand.IntN(2) {
			r := s.rows[k]
			if r == nil {
				r = &register{}
				s.rows[k] = r
			}
			op := byte('u')
			switch {
			case !r.alive:
				op = 'c'
			case w.Rand.IntN(6) == 0:
				op = 'd'
			}
			r.alive = op != 'd'
			r.version++
			r.changes = append(r.changes, registered{r.version, op, len(v.txns)})
			t.changes = append(t.changes, change{k.table, k.key, r.version, op})
		}
	}
	s.append(v, t)
	w.Trace("commit %d: %v", len(v.txns)-1, t.changes)
}

func (c change) String() string {
	return fmt.Sprintf("%s/%d=%d%c", c.table, c.key, c.version, c.op)
}

// Foreign returns the place of a random transaction that there is, or a place inside of it, as Debezium's checkpoint of it, and tells the judge that all before it is
// delivered.
func (s *Source) Foreign() []byte {
	v := s.server
	p := spot{server: v.n, txn: s.w.Rand.IntN(len(v.txns) + 1)}
	rows := 0
	if p.txn < len(v.txns) && !s.GTIDs { // such a place means nothing on another server, and the record does not say which it is of
		p.event = s.w.Rand.IntN(len(v.events[p.txn]))
		p.row = s.w.Rand.IntN(v.events[p.txn][p.event])
		for _, n := range v.events[p.txn][:p.event] {
			rows += n
		}
		rows += p.row
	}
	o := rowv1.SourceOffset{TsSec: 1, File: v.file[p.txn], Pos: v.pos[p.txn], Event: uint64(p.event), Row: uint64(p.row)}
	if s.GTIDs {
		o.Gtids = v.gtids(p.txn)
	}
	for k, r := range s.rows {
		for _, c := range r.changes {
			if c.txn < p.txn || c.txn == p.txn && v.txns[p.txn].has(rows, k, c.version) {
				s.w.Judge.delivered(k, c.version)
			}
		}
	}
	s.w.Trace("another program had delivered all before %v", p)
	return (&offset.Offset{Source: &o}).Append(nil)
}

// has reports that a version is among the first rows of a transaction.
func (t *txn) has(rows int, k rowKey, version int64) bool {
	for _, c := range t.changes[:rows] {
		if c.table == k.table && c.key == k.key && c.version == version {
			return true
		}
	}
	return false
}

// Done reports that nothing more will be committed.
func (s *Source) Done() bool { return s.all >= s.Limit }

// step commits, until the limit.
func (s *Source) step() {
	if s.all < s.Limit && (!s.w.Faults || s.w.Rand.IntN(2) == 0) {
		s.commit()
	}
}

// disturb lets something happen to the server.
func (s *Source) disturb() {
	w := s.w
	switch n := w.Rand.IntN(20); {
	case n < 7 && s.GTIDs && !s.wasReset:
		s.failOver(0)
	case n == 7 && s.GTIDs && !s.wasReset:
		s.failOver(1 + w.Rand.IntN(3))
	case n == 8:
		s.purge(len(s.server.txns))
	case n < 12:
		s.purge(s.server.purged + w.Rand.IntN(len(s.server.txns)-s.server.purged+1)/3)
	case n < 14 && len(s.broken) == 0:
		table := s.names[w.Rand.IntN(len(s.names))]
		s.broken[table] = len(s.server.txns) - w.Rand.IntN(2)
		w.Trace("table %s cannot be read from %d on", table, s.broken[table])
	case n < 16:
		clear(s.broken)
	case n == 16 && w.Rand.IntN(3) == 0:
		s.reset()
	}
}

// failOver lets a replica answer that has all but the last transactions.
func (s *Source) failOver(lose int) {
	old := s.server
	have := max(len(old.txns)-lose, old.purged)
	v := s.newServer()
	for n, shared := range old.shared {
		v.shared[n] = min(shared, have)
	}
	v.shared[old.n] = have
	if s.w.Rand.IntN(2) == 0 { // its log begins elsewhere
		v.pos[0] += uint64(100 * s.w.Rand.IntN(4))
	}
	for _, t := range old.txns[:have] {
		s.append(v, t)
	}
	v.purged = min(old.purged, have)
	s.server = v
	s.w.Trace("server %d takes over with %d of %d transactions", v.n, have, len(old.txns))
	s.forget(have)
}

// forget takes out of the registers what a log of so many transactions does not have.
func (s *Source) forget(have int) {
	for _, r := range s.rows {
		n := len(r.changes)
		for n > 0 && r.changes[n-1].txn >= have {
			n--
		}
		if n < len(r.changes) {
			s.lost = true
			for _, c := range r.changes[n:] {
				if r.lost == nil {
					r.lost = map[int64]int{}
				}
				r.lost[c.version] = s.server.n
			}
			r.changes = r.changes[:n]
			r.alive = n > 0 && r.changes[n-1].op != 'd'
		}
	}
}

// purge removes the log before a transaction.
func (s *Source) purge(before int) {
	if before > s.server.purged {
		s.server.purged = before
		s.w.Trace("the log before %d is purged", before)
	}
}

// reset is RESET BINARY LOGS AND GTIDS: the rows stay, the log begins anew.
func (s *Source) reset() {
	v := s.newServer()
	v.uuid = s.server.uuid
	have := len(s.server.txns)
	v.txns, v.events = make([]*txn, have), make([][]int, have) // places that nobody can ask for
	v.file, v.pos = v.file[:0], v.pos[:0]
	for i := range have + 1 {
		v.file, v.pos = append(v.file, v.fileName(0)), append(v.pos, uint64(4+i))
	}
	v.purged = have
	s.server = v
	s.lost, s.wasReset = true, true
	s.w.Trace("the log is reset")
}

func (s *Source) heal() { clear(s.broken) }

// gtids is the executed set before transaction i.
func (v *server) gtids(i int) string {
	var b []byte
	for j := 0; j < i; {
		t := v.txns[j]
		if t == nil { // before a reset
			j++
			continue
		}
		last := j
		for last+1 < i && v.txns[last+1] != nil && v.txns[last+1].sid == t.sid {
			last++
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(append(b, t.sid...), ':')
		b = strconv.AppendUint(b, t.gno, 10)
		if last > j {
			b = strconv.AppendUint(append(b, '-'), v.txns[last].gno, 10)
		}
		j = last + 1
	}
	return string(b)
}

// spot is a place in a log: rows of transaction txn that are delivered, told as event and row.
type spot struct{ server, txn, event, row int }

// token is the place as capturers spell it.
func (s *Source) token(p spot) []byte {
	v := s.logs[p.server]
	t := &rowv1.ResumeToken{Version: 1, ServerId: uint32(p.server), Event: uint64(p.event), Row: uint64(p.row),
		Start: &rowv1.Position{File: v.file[p.txn], Pos: v.pos[p.txn], ServerUuid: v.uuid}}
	if s.GTIDs {
		t.Start.Gtids = v.gtids(p.txn)
	}
	b, _ := proto.Marshal(t) // fails for text that is not UTF-8 alone
	return b
}

// parse reads a token.
func (s *Source) parse(token []byte) (p spot, ok bool) {
	t := new(rowv1.ResumeToken)
	if proto.Unmarshal(token, t) != nil || t.Start == nil {
		return p, false
	}
	v := s.logs[int(t.ServerId)]
	if v == nil {
		return p, false
	}
	for i := len(v.pos) - 1; i >= 0; i-- {
		if v.file[i] == t.Start.File && v.pos[i] == t.Start.Pos {
			return spot{v.n, i, int(t.Event), int(t.Row)}, true
		}
	}
	return p, false
}

// resolve says where the server that answers goes on from a place; why says why it cannot.
func (s *Source) resolve(p spot) (at spot, why string) {
	v := s.server
	if p.server != v.n {
		shared, known := v.shared[p.server]
		switch {
		case !known:
			return p, "the log was reset"
		case p.txn > shared || p.txn == shared && p.event+p.row > 0:
			return p, "the server lacks transactions that were delivered"
		case p.event+p.row > 0:
			return p, "the place is inside a transaction of another server"
		}
		p.server = v.n
	}
	if p.txn < v.purged {
		return p, "the log is purged"
	}
	return p, ""
}

// behind makes a checkpoint say one transaction less.
func (s *Source) behind(value []byte) []byte {
	o, err := offset.Decode(value)
	if err != nil || o.Token == nil {
		return value
	}
	p, ok := s.parse(o.Token)
	if !ok || p.txn == 0 {
		return value
	}
	p.txn, p.event, p.row = p.txn-1, 0, 0
	o.Token = s.token(p)
	return o.Append(nil)
}

// state returns a table's rows as they are before a transaction.
func (s *Source) state(table string, before int) []change {
	var out []change
	for key := int64(1); key <= int64(s.keys); key++ {
		r := s.rows[rowKey{table, key}]
		if r == nil {
			continue
		}
		n := len(r.changes)
		for n > 0 && r.changes[n-1].txn >= before {
			n--
		}
		if n > 0 && r.changes[n-1].op != 'd' {
			out = append(out, change{table, key, r.changes[n-1].version, 'r'})
		}
	}
	return out
}

// tableOf is the table of a data topic; empty for others.
func tableOf(topic string) string {
	table, ok := strings.CutPrefix(topic, Prefix+".")
	if !ok || !strings.HasPrefix(table, "db.") { // of transactions and heartbeats
		return ""
	}
	return table
}

// decode reads key, version and operation of an event's value. A delete tells the version before it.
func decode(value []byte) (k, version int64, op byte, ok bool) {
	i := bytes.Index(value, []byte(`"op":"`))
	if i < 0 {
		return 0, 0, 0, false
	}
	op = value[i+6]
	image, add := []byte(`"after":{"k":`), int64(0)
	if op == 'd' {
		image, add = []byte(`"before":{"k":`), 1
	}
	j := bytes.Index(value, image)
	if j < 0 {
		return 0, 0, 0, false
	}
	rest := value[j+len(image):]
	end := bytes.IndexByte(rest, ',')
	k, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if err != nil {
		return 0, 0, 0, false
	}
	rest = rest[end+len(`,"v":`):]
	version, err = strconv.ParseInt(string(rest[:bytes.IndexByte(rest, '}')]), 10, 64)
	return k, version + add, op, err == nil
}

// commitTime is when a transaction was committed, by the server's clock.
func commitTime(t *txn) time.Duration { return time.Duration(t.n) * time.Second }
