package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
)

// shownEvents is how many of the last events stand on the screen.
const shownEvents = 8

// tail follows the demo's topics.
type tail struct {
	mu     sync.Mutex
	events []string
	count  int64
	first  chan struct{} // closed at the first event of this run
}

func newTail() *tail { return &tail{first: make(chan struct{})} }

// run reads the topics of the demo from their end, or from their start where they do not exist yet, until ctx ends.
func (t *tail) run(ctx context.Context, kafka string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(kafka, ",")...), kgo.ConsumeRegex(), kgo.ConsumeTopics(`^`+demoPrefix+`\.`+demoDatabase+`\..*`),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ConsumeStartOffset(kgo.NewOffset().AfterMilli(time.Now().UnixMilli())),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		f.EachRecord(func(r *kgo.Record) {
			if len(r.Value) > 0 {
				t.add(event(r))
			}
		})
	}
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		close(t.first)
	}
	t.count++
	t.events = append(t.events, line)
	if len(t.events) > shownEvents {
		t.events = t.events[1:]
	}
}

func (t *tail) last() ([]string, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.events...), t.count
}

// event renders one Debezium event as a line.
func event(r *kgo.Record) string {
	var e struct {
		Op            string
		Before, After json.RawMessage
	}
	if json.Unmarshal(r.Value, &e) != nil {
		return fmt.Sprintf("%-22s %.120s", r.Topic, r.Value)
	}
	row := e.After
	if e.Op == "d" {
		row = e.Before
	}
	return fmt.Sprintf("%-22s %s %.140s", r.Topic, e.Op, row)
}

// view prints the mesh's state: in place on a terminal, a line now and then elsewhere.
type view struct {
	out     io.Writer
	tty     bool
	header  string
	control controlv1.ControlServiceClient
	tail    *tail
	begin   time.Time
	rows    uint64
	at      time.Time
	rate    float64
	lines   int // of the screen below the header that stand from last time

	failures int // calls in a row that the coordinator did not answer
}

func (v *view) run(ctx context.Context) {
	v.at = time.Now()
	every := time.Second
	if !v.tty {
		every = 5 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			v.show(ctx)
		}
	}
}

func (v *view) show(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	m, err := v.control.GetMesh(ctx, &controlv1.GetMeshRequest{})
	if err != nil {
		// One failure is the end of the run, or a coordinator that is being started again.
		if v.failures++; v.failures > 1 {
			fmt.Fprintln(v.out, "the coordinator does not answer:", err)
			v.lines = 0
		}
		return
	}
	v.failures = 0
	now := time.Now()
	var rows uint64
	lag := int64(-1)
	for _, p := range m.Progress {
		rows += p.Rows
		lag = max(lag, p.LagMs)
	}
	if rows >= v.rows { // a lane that moves counts anew
		v.rate = float64(rows-v.rows) / now.Sub(v.at).Seconds()
	}
	v.rows, v.at = rows, now
	events, seen := v.tail.last()
	if !v.tty {
		fmt.Fprintf(v.out, "%4.0fs  %.1f rows/s, lag %s, %d events seen; %s\n", now.Sub(v.begin).Seconds(), v.rate, lagText(lag), seen, owners(m))
		if len(events) > 0 {
			fmt.Fprintln(v.out, "       ", events[len(events)-1])
		}
		return
	}
	lines := []string{v.header, fmt.Sprintf("up %s   %.1f rows/s   lag %s   %d events", now.Sub(v.begin).Round(time.Second), v.rate, lagText(lag), seen), ""}
	lines = append(lines, mesh(m)...)
	lines = append(lines, "", "last events")
	for _, e := range events {
		lines = append(lines, "  "+e)
	}
	lines = append(lines, "", "Ctrl-C stops everything; the data stay for the next start")
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.lines)
	}
	for _, l := range lines {
		if r := []rune(l); len(r) > 156 {
			l = string(r[:156])
		}
		b.WriteString(l + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	v.lines = len(lines)
	io.WriteString(v.out, b.String())
}

// rateText is the last rate seen.
func (v *view) rateText() string { return fmt.Sprintf("%.1f rows/s", v.rate) }

func lagText(ms int64) string {
	if ms < 0 {
		return "unknown"
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

// owners says in a few words who runs what.
func owners(m *controlv1.GetMeshResponse) string {
	var s []string
	for _, l := range m.Lanes {
		s = append(s, fmt.Sprintf("lane %d on %s", l.Task, orNobody(l.Owner)))
	}
	for _, o := range m.Sources {
		s = append(s, "source on "+orNobody(o.Owner))
	}
	return strings.Join(append(s, "leader "+orNobody(m.Leader)), ", ")
}

func orNobody(s string) string {
	if s == "" {
		return "nobody"
	}
	return s
}

func mesh(m *controlv1.GetMeshResponse) []string {
	progress := map[string]*controlv1.LaneProgress{}
	for _, p := range m.Progress {
		progress[fmt.Sprint(p.Connector, "/", p.Task)] = p
	}
	var out []string
	for _, l := range m.Lanes {
		line := fmt.Sprintf("  lane %s/%d  on %s  generation %d", l.Connector, l.Task, orNobody(l.Owner), l.Generation)
		if p := progress[fmt.Sprint(l.Connector, "/", l.Task)]; p != nil {
			line += fmt.Sprintf("  %d rows  %d commits  at %s:%d", p.Rows, p.Commits, p.GetPosition().GetFile(), p.GetPosition().GetPos())
			if p.SnapshotTable != "" {
				line += fmt.Sprintf("  snapshot of %s: %d of about %d rows", p.SnapshotTable, p.SnapshotRowsDone, p.SnapshotRowsEstimated)
			}
		}
		out = append(out, line)
	}
	for _, s := range m.Sources {
		out = append(out, fmt.Sprintf("  source %s  on %s  generation %d", s.Id, orNobody(s.Owner), s.Generation))
	}
	var ids []string
	for _, x := range m.Members {
		id := x.Id
		if id == m.Leader {
			id += " (leader)"
		}
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return append(out, "  members "+strings.Join(ids, ", "))
}
