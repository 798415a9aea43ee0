package roundtrip

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// follower reads a server's topics as a consumer does.
type follower struct {
	mu      sync.Mutex
	records map[string][]*kgo.Record // by topic
	total   int
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

func (f *follower) of(topic string) []*kgo.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.records[topic])
}

func (r *run) prefix(mode int) string    { return fmt.Sprintf("roundtrip-%s-%d", r.part, mode) }
func (r *run) connector(mode int) string { return r.prefix(mode) }

// follow reads all tables' topics from now to the end of the test.
func (r *run) follow() *follower {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.mesh.Kafka), kgo.ConsumeRegex(), kgo.ConsumeTopics(fmt.Sprintf(`^roundtrip-%s-\d+\.rows$`, r.part)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		r.Fatal(err)
	}
	f := &follower{records: map[string][]*kgo.Record{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cl.Close()
		for ctx.Err() == nil {
			fetches := cl.PollFetches(ctx)
			f.mu.Lock()
			fetches.EachRecord(func(x *kgo.Record) {
				f.records[x.Topic] = append(f.records[x.Topic], x)
				f.total++
			})
			f.mu.Unlock()
		}
	}()
	r.Cleanup(func() { cancel(); <-done })
	return f
}

// connect creates the connectors and waits for their snapshots.
func (r *run) connect() {
	for k, m := range modes {
		r.mesh.Create(r, r.connector(k), r.mesh.Connector(r.part, r.addr, r.prefix(k), database, map[string]string{
			"table.include.list": fmt.Sprintf(`%s\.m%d_.*`, database, k), "decimal.handling.mode": m.decimal, "time.precision.mode": m.time,
			"binary.handling.mode": m.binary, "bigint.unsigned.handling.mode": m.bigint, "enable.time.adjuster": "false",
			"value.converter.replace.null.with.default": "false", "key.converter.replace.null.with.default": "false",
			// One topic for all tables: a broker takes longer to make hundreds of topics than all of this test.
			"topic.naming.strategy": "io.debezium.schema.DefaultRegexTopicNamingStrategy", "topic.regex": `([^.]+)\..*\.m.*`, "topic.replacement": "$1.rows",
			"topic.key.enforce.uniqueness":                           "false",
			"schema.history.internal.store.only.captured.tables.ddl": "true", "event.converting.failure.handling.mode": "fail",
		}))
	}
	for k := range modes {
		harness.Await(r, 3*time.Minute, "snapshot of "+r.connector(k), func() error {
			_, s := r.mesh.Call(r, http.MethodGet, "/connectors/"+r.connector(k)+"/status", nil)
			r.failed(s)
			_, body := r.mesh.Call(r, http.MethodGet, "/connectors/"+r.connector(k)+"/offsets", nil)
			if !strings.Contains(body, `"pos"`) || strings.Contains(body, "INITIAL") {
				return fmt.Errorf("offsets %s, status %s", body, s)
			}
			return nil
		})
	}
}

// failed ends the test if a connector's status says that it or a table of it has stopped.
func (r *run) failed(status string) {
	r.Helper()
	if !strings.Contains(status, "FAILED") && !strings.Contains(status, "stopped at") {
		return
	}
	for _, t := range r.tables {
		if strings.Contains(status, t.name+" ") || strings.Contains(status, t.name+".") || strings.Contains(status, t.name+":") {
			status += "\n" + t.create
		}
	}
	r.Fatalf("%.6000s", status)
}

// expected is an event that must come.
type expected struct {
	op            string // "" is a tombstone
	before, after []cell
	key           []cell // of the row that the event's key names
	inserted      bool   // after is what an insert left
}

// expect makes of the log what must come, and compares the log with what was selected.
func (r *run) expect(t *table, rows []logged) []expected {
	var out []expected
	tags := make([]int, 0, len(t.states[snapshotPhase]))
	for tag := range t.states[snapshotPhase] {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	for _, tag := range tags { // their order is the server's: compare finds them by tag
		s := t.states[snapshotPhase][tag]
		out = append(out, expected{op: "r", after: s, key: s, inserted: true})
	}
	for _, l := range rows {
		before, after := r.state(t, l, l.before), r.state(t, l, l.after)
		switch {
		case l.op == 'd':
			out = append(out, t.deletion(before)...)
		case l.op == 'u' && t.keyChanges(before, after):
			out = append(append(out, t.deletion(before)...), expected{op: "c", after: after, key: after})
		case l.op == 'u' && r.unlogged(t):
			out = append(out, expected{op: "u", after: after, key: after}) // before is null where the log does not hold all of it
		default:
			out = append(out, expected{op: string(l.op), before: before, after: after, key: after, inserted: l.op == 'c'})
		}
	}
	return out
}

func (t *table) deletion(before []cell) []expected {
	return []expected{{op: "d", before: before, key: before}, {key: before}}
}

// unlogged says whether updates of a table lack columns whose type has no placeholder: MariaDB logs generated columns of inserts only.
func (r *run) unlogged(t *table) bool {
	return r.g.mariadb && slices.ContainsFunc(t.columns, func(c *column) bool { return c.expr != "" && c.fam != text })
}

func (t *table) keyChanges(before, after []cell) bool {
	return slices.ContainsFunc(t.key, func(i int) bool { return before[i].log != after[i].log })
}

// state returns what was selected of a row of the log, and compares the two.
func (r *run) state(t *table, l logged, values []any) []cell {
	if values == nil {
		return nil
	}
	if len(values) != len(t.columns) {
		r.Fatalf("the log has %d columns of %s", len(values), t.create)
	}
	ver, _ := strconv.Atoi(fmt.Sprint(values[t.ver]))
	tag, _ := strconv.Atoi(fmt.Sprint(values[t.tag]))
	s := t.states[ver][tag]
	if s == nil {
		r.Fatalf("%s: the log has tag %d in version %d, which was not selected", t.name, tag, ver)
	}
	s = slices.Clone(s)
	for i, c := range t.columns {
		r.logged++
		if r.g.mariadb && l.op != 'c' && c.expr != "" {
			s[i] = cell{null: true, unknown: c.fam == text}
		}
		if got, ok := c.sameLogged(s[i], values[i]); !ok {
			r.differ(t, tag, c, fmt.Sprintf("go-mysql %q, SELECT %+v", got, s[i]))
		}
	}
	return s
}

// mostDifferences bounds what is printed.
const mostDifferences = 25

func (r *run) differ(t *table, tag int, c *column, what string) {
	r.Helper()
	if r.wrong++; r.wrong <= mostDifferences {
		r.Errorf("%s tag %d, column %s (%s, mode %+v): %.1500s\n  %.3000s", t.name, tag, c.name, c.definition(r.g.mariadb), modes[t.mode], what, t.create)
	}
}

// read decodes the records of a connector and sorts them by table. A tombstone follows its delete and names no table.
func (r *run) read(recs []*kgo.Record) map[string][]*event {
	d, out, table := decoder{schemas: map[string]*field{}}, map[string][]*event{}, ""
	for _, x := range recs {
		e, err := d.event(x.Key, x.Value)
		if err != nil {
			r.Fatalf("%s %d: %v", x.Topic, x.Offset, err)
		}
		if !e.tombstone {
			table = e.source.Table
		}
		out[table] = append(out[table], e)
	}
	return out
}

// compare compares a table's events with what must come.
func (r *run) compare(t *table, want []expected, got []*event) {
	if len(want) != len(got) {
		r.wrong++
		r.Errorf("%s: %d events, want %d\n  %.3000s", t.name, len(got), len(want), t.create)
	}
	snapshot := map[string]expected{}
	for _, w := range want {
		if w.op == "r" {
			snapshot[w.after[t.tag].event] = w
		}
	}
	for i, e := range got[:min(len(want), len(got))] {
		w := want[i]
		if w.op == "r" && e.op == "r" {
			w = snapshot[e.after["tag"].text]
			delete(snapshot, e.after["tag"].text)
		}
		if e.op != w.op || w.op == "" != e.tombstone {
			r.wrong++
			r.Errorf("%s event %d is %q, want %q: %s\n  %.3000s", t.name, i, e.op, w.op, e.text, t.create)
			return
		}
		r.image(t, e, w, w.before, e.before)
		r.image(t, e, w, w.after, e.after)
		r.key(t, e, w)
		if w.inserted {
			r.defaults(t, e)
		}
	}
}

func (r *run) image(t *table, e *event, w expected, want []cell, got map[string]value) {
	if want == nil && got == nil {
		return
	}
	if want == nil || len(got) != len(t.columns) {
		r.wrong++
		r.Errorf("%s: an image of %d columns, want %d: %s\n  %.3000s", t.name, len(got), len(want), e.text, t.create)
		return
	}
	for i, c := range t.columns {
		r.value(t, e, c, want, i, got)
	}
}

func (r *run) value(t *table, e *event, c *column, row []cell, i int, got map[string]value) {
	r.values++
	v, ok := got[c.name]
	w := row[i]
	tag, _ := strconv.Atoi(row[t.tag].event)
	switch {
	case !ok:
		r.differ(t, tag, c, "the event has no such field: "+e.text)
	case w.zero && c.null && r.g.mariadb && c.fam == timestamp && e.op != "r":
		if v.null || v.text != "1970-01-01 00:00:00" { // MariaDB's connector takes the zero timestamp of the log for the epoch
			r.differ(t, tag, c, fmt.Sprintf("%s event %+v, want the epoch for %+v", e.op, v, w))
		}
	case w.zero && !c.null:
		if v.null || !strings.HasPrefix(v.text, "1970-01-01") {
			r.differ(t, tag, c, fmt.Sprintf("%s event %+v, want the epoch for %+v", e.op, v, w))
		}
	case w.unknown:
		if v.null || v.text != "__debezium_unavailable_value" {
			r.differ(t, tag, c, fmt.Sprintf("%s event %+v, want the placeholder", e.op, v))
		}
	case (w.null || w.zero) != v.null, !v.null && !c.sameText(w.event, v.text):
		r.differ(t, tag, c, fmt.Sprintf("%s event %+v, want %+v", e.op, v, w))
	}
}

// key compares a record's key with the columns of the table's key.
func (r *run) key(t *table, e *event, w expected) {
	if len(e.key) != len(t.key) {
		r.wrong++
		r.Errorf("%s: a key of %d fields, want %d: %s\n  %.3000s", t.name, len(e.key), len(t.key), e.text, t.create)
		return
	}
	for _, i := range t.key {
		r.value(t, e, t.columns[i], w.key, i, e.key)
	}
}

// defaults compares what a row got by default with the default that the event's schema tells.
func (r *run) defaults(t *table, e *event) {
	tag, _ := strconv.Atoi(e.after["tag"].text)
	for i, c := range t.columns {
		if !t.defaults[[2]int{tag, i}] || r.g.mariadb && c.fam == bytesType { // of which MariaDB's connector tells none
			continue
		}
		f := e.row.at(c.name)
		if f == nil || f.Default == nil {
			r.differ(t, tag, c, "the schema tells no default")
			continue
		}
		d, err := f.decode(f.Default)
		if v := e.after[c.name]; err != nil || v.null || !c.sameText(v.text, d) {
			r.differ(t, tag, c, fmt.Sprintf("the schema's default %s is %q (%v), the row got %+v", f.Default, d, err, v))
		}
	}
}
