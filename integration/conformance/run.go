package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

// Case is a case.json.
type Case struct {
	Note    string            `json:"note"`
	Config  map[string]string `json:"config"`
	Engines []string          `json:"engines"`
	// Restart: the connector is stopped before stream.sql and resumed after it.
	Restart bool `json:"restart"`
	// NoStream: the connector never streams, so that no marker comes.
	NoStream bool `json:"noStream"`
}

func load(dir string) (Case, error) {
	var c Case
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	return c, err
}

// statements splits a file: a statement ends with ; at a line's end, a line that begins with "-- " is a comment.
func statements(sql string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.SplitSeq(sql, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "-- ") || trimmed == "" && b.Len() == 0 {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(trimmed, ";") {
			out = append(out, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
			continue
		}
		b.WriteByte('\n')
	}
	if s := strings.TrimSpace(b.String()); s != "" {
		out = append(out, s)
	}
	return out
}

// runner runs one case on one engine.
type runner struct {
	t         *testing.T
	mesh      *harness.Mesh
	kafka     *kgo.Client // also asks about topics
	dir       string
	engine    string
	addr      string
	c         Case
	name      string // database and topic prefix
	connector string
	sql       *client.Conn
	seen      atomic.Int64 // highest marker in Kafka
	next      int64        // last marker written
	// mayFail: the recording ends in a failure, so a failure ends this run too, and is kept in failed.
	mayFail bool
	failed  string
	refused *refusal // the recording's answer to the request that should create the connector; nil: it was created
}

// refusal is how a connector was refused.
type refusal struct {
	Code int `json:"code"`
	Body struct {
		Message string `json:"message"`
	} `json:"body"`
}

// ending is what end.ENGINE.json says of how a case ended.
type ending struct {
	Failed string   `json:"failed"`
	Create *refusal `json:"create"`
}

func end(dir, engine string) (e ending, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "end."+engine+".json"))
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	return e, err
}

// checkRefusal checks that the connector is refused as in the recording. The 500 with which one of the two answers any invalid option is none to follow.
func (r *runner) checkRefusal(config map[string]string) {
	r.t.Helper()
	code, body := r.mesh.Call(r.t, http.MethodPost, "/connectors", map[string]any{"name": r.connector, "config": config})
	if code != http.StatusBadRequest {
		r.t.Fatalf("created or refused with %d, want 400: %s", code, body)
	}
	var got struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		r.t.Fatal(err)
	}
	if want := r.refused; want.Code == code && got.Message != want.Body.Message {
		r.t.Errorf("refused with\n%s\nwant\n%s", got.Message, want.Body.Message)
	}
}

// markerTopic holds the marker's records.
func (r *runner) markerTopic() string {
	if t := r.c.Config["_marker_topic"]; t != "" {
		return strings.ReplaceAll(t, "$DB", r.name)
	}
	return r.name + "." + r.name + ".zz_marker"
}

func (r *runner) connect() *client.Conn {
	r.t.Helper()
	c, err := client.Connect(r.addr, servers.RootUser, "", "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if _, err := c.Execute("set names utf8mb4"); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// file runs a file of the case, if there is one. A statement that the server refuses is part of some cases: the next one runs.
func (r *runner) file(name string) {
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		r.t.Fatal(err)
	}
	sessions := map[string]*client.Conn{}
	session := func(n string) *client.Conn {
		if sessions[n] == nil {
			sessions[n] = r.connect()
			if _, err := sessions[n].Execute("use `" + r.name + "`"); err != nil {
				r.t.Fatal(err)
			}
		}
		return sessions[n]
	}
	c := session("")
	for _, s := range statements(strings.ReplaceAll(string(b), "$DB", r.name)) {
		verb, arg, _ := strings.Cut(strings.TrimPrefix(s, "--@ "), " ")
		switch {
		case !strings.HasPrefix(s, "--@ "):
			if _, err := c.Execute(s); err != nil {
				r.t.Logf("%s: %v in: %.120s", name, err, s)
			}
		case verb == "sleep":
			d, err := time.ParseDuration(arg)
			if err != nil {
				r.t.Fatal(err)
			}
			time.Sleep(d) // the case says so
		case verb == "conn":
			c = session(arg)
		default:
			r.directive(name, verb, arg)
		}
	}
}

// directive does what a line of a case asks for that is no statement.
func (r *runner) directive(file, verb, arg string) {
	r.t.Helper()
	switch verb {
	case "await":
		r.await("await")
	case "stop", "resume":
		r.put(verb)
	case "config":
		if code, body := r.mesh.Call(r.t, http.MethodPatch, "/connectors/"+r.connector+"/config", arg); code/100 != 2 {
			r.t.Fatalf("config %s: %d %s", arg, code, body)
		}
	case "kafka":
		f := strings.SplitN(arg, " ", 3)
		if len(f) != 3 {
			r.t.Fatalf("%s: --@ kafka needs a topic, a key and a value, not %q", file, arg)
		}
		rec := &kgo.Record{Topic: f[0], Key: []byte(f[1]), Value: []byte(f[2])}
		if err := r.kafka.ProduceSync(r.t.Context(), rec).FirstErr(); err != nil {
			r.t.Fatal(err)
		}
	default:
		r.t.Fatalf("%s: directive %q is not known", file, verb)
	}
}

// inputs makes the topics that the case itself writes to, and returns their names: nothing of them is compared.
func (r *runner) inputs(ctx context.Context) (topics []string) {
	for _, f := range []string{"stream.sql", "stream." + r.engine + ".sql"} {
		b, err := os.ReadFile(filepath.Join(r.dir, f))
		if err != nil {
			continue
		}
		for _, s := range statements(strings.ReplaceAll(string(b), "$DB", r.name)) {
			if rest, ok := strings.CutPrefix(s, "--@ kafka "); ok {
				if topic, _, _ := strings.Cut(rest, " "); !slices.Contains(topics, topic) {
					topics = append(topics, topic)
				}
			}
		}
	}
	if len(topics) > 0 {
		if _, err := kadm.NewClient(r.kafka).CreateTopics(ctx, 1, 1, nil, topics...); err != nil {
			r.t.Fatal(err)
		}
	}
	return topics
}

// goesOn is how long a lane that has failed may still bring what comes after, where the recording ends in a failure: some commits, and a slow machine.
const goesOn = 3 * time.Second

// await writes markers until the connector has produced one of them.
func (r *runner) await(what string) {
	r.t.Helper()
	if r.c.NoStream || r.failed != "" {
		return
	}
	begin, first := time.Now(), r.next+1
	var wrote, failed time.Time
	for r.seen.Load() < first {
		if time.Since(wrote) > time.Second { // without a snapshot of rows, one that was too early never comes
			wrote = time.Now()
			r.next++
			r.exec("set timestamp=1700000000")
			r.exec(fmt.Sprintf("insert into `%s`.zz_marker values (%d)", r.name, r.next))
		}
		_, status := r.mesh.Call(r.t, http.MethodGet, "/connectors/"+r.connector+"/status", nil)
		if strings.Contains(status, "FAILED") {
			if r.failed = status; !r.mayFail {
				r.t.Fatalf("%s: %.3000s", what, status)
			}
			// The recording ends there. Ours may go on with other tables.
			if failed.IsZero() {
				failed = time.Now()
			} else if time.Since(failed) > goesOn {
				return
			}
		}
		if time.Since(begin) > 60*time.Second {
			r.t.Fatalf("%s: no marker after 60 s: %s", what, status)
		}
		time.Sleep(50 * time.Millisecond) // the connector is in other processes
	}
}

func (r *runner) exec(q string) {
	r.t.Helper()
	if _, err := r.sql.Execute(q); err != nil {
		r.t.Fatalf("%s: %v", q, err)
	}
}

func (r *runner) put(action string) {
	r.t.Helper()
	if code, body := r.mesh.Call(r.t, http.MethodPut, "/connectors/"+r.connector+"/"+action, nil); code/100 != 2 {
		r.t.Fatalf("%s: %d %s", action, code, body)
	}
}

// run runs the case and returns what came.
func (r *runner) run(ctx context.Context) stream {
	r.sql = r.connect()
	r.exec("drop database if exists `" + r.name + "`")
	r.exec("create database `" + r.name + "` character set utf8mb4")
	r.file("setup.sql")
	r.file("setup." + r.engine + ".sql")
	r.exec("create table `" + r.name + "`.zz_marker (id int primary key)")
	config := r.mesh.Connector(harness.Part(r.engine), r.addr, r.name, r.name, map[string]string{
		"schema.history.internal.store.only.captured.databases.ddl": "true", "poll.interval.ms": "50",
	})
	for k, v := range r.c.Config {
		config[k] = strings.ReplaceAll(v, "$DB", r.name)
		if v == "<unset>" || strings.HasPrefix(k, "_") { // what begins with _ is for this suite
			delete(config, k)
		}
	}
	inputs := r.inputs(ctx)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go r.watch(watching)
	if r.refused != nil {
		r.checkRefusal(config)
		return stream{}
	}
	r.mesh.Create(r.t, r.connector, config)
	defer r.mesh.Call(r.t, http.MethodDelete, "/connectors/"+r.connector, nil)
	if r.c.NoStream {
		r.settled()
	} else {
		r.await("snapshot or stream")
		r.await("stream")
	}
	if r.c.Restart {
		r.put("stop")
	}
	r.file("stream.sql")
	r.file("stream." + r.engine + ".sql")
	if r.c.Restart {
		r.put("resume")
	}
	r.await("end")
	r.put("stop")
	names := r.topics(ctx)
	got := actual(r.read(ctx, slices.DeleteFunc(slices.Clone(names), func(t string) bool { return slices.Contains(inputs, t) })))
	if names = append(names, inputs...); len(names) > 0 { // the other engine's run uses the same names
		if _, err := kadm.NewClient(r.kafka).DeleteTopics(ctx, names...); err != nil {
			r.t.Fatal(err)
		}
		harness.Await(r.t, 20*time.Second, "deletion of the topics", func() error {
			if left := r.topics(ctx); len(left) > 0 {
				return fmt.Errorf("left: %v", left)
			}
			return nil
		})
	}
	return got
}

// topics lists the case's topics.
func (r *runner) topics(ctx context.Context) (names []string) {
	topics, err := kadm.NewClient(r.kafka).ListTopics(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for t := range topics {
		d := r.c.Config["topic.delimiter"]
		if t == r.name || strings.HasPrefix(t, r.name+".") || t == "__debezium-heartbeat."+r.name || strings.HasPrefix(t, "x-"+r.name) ||
			d != "" && strings.HasPrefix(t, r.name+d) {
			names = append(names, t)
		}
	}
	return names
}

// settled waits until a connector that does not stream has nothing more to say: its offset no longer says that a snapshot runs.
func (r *runner) settled() {
	harness.Await(r.t, 60*time.Second, "end of the snapshot", func() error {
		_, body := r.mesh.Call(r.t, http.MethodGet, "/connectors/"+r.connector+"/offsets", nil)
		if !strings.Contains(body, `"file"`) || strings.Contains(body, "INITIAL") {
			return fmt.Errorf("offsets: %s", body)
		}
		return nil
	})
}

// markerID is the id in a marker's key, with or without a schema before it.
var markerID = regexp.MustCompile(`"id":(\d+)`)

// watch notes the marker's records.
func (r *runner) watch(ctx context.Context) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.mesh.Kafka), kgo.ConsumeTopics(r.markerTopic()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		r.t.Error(err)
		return
	}
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(x *kgo.Record) {
			m := markerID.FindAllSubmatch(x.Key, -1)
			if len(m) == 0 {
				return
			}
			if id, err := strconv.ParseInt(string(m[len(m)-1][1]), 10, 64); err == nil && id > r.seen.Load() {
				r.seen.Store(id)
			}
		})
	}
}

// markersWithin is how long the markers of a commit may take to reach all its partitions. A lane that failed leaves a transaction open: nothing comes then.
const markersWithin = 3 * time.Second

// ends returns the ends of topics as committed. A transaction is over for its consumers partition by partition: that the marker's was seen says nothing of
// the others, so it waits until nothing is open. What a lane has left open when it failed is none of the result.
func (r *runner) ends(ctx context.Context, names []string) kadm.ListedOffsets {
	r.t.Helper()
	adm := kadm.NewClient(r.kafka)
	for begin := time.Now(); ; {
		committed, err := adm.ListCommittedOffsets(ctx, names...)
		if err != nil {
			r.t.Fatal(err)
		}
		all, err := adm.ListEndOffsets(ctx, names...)
		if err != nil {
			r.t.Fatal(err)
		}
		open := committed.Error() != nil
		all.Each(func(l kadm.ListedOffset) {
			c, _ := committed.Lookup(l.Topic, l.Partition)
			open = open || l.Err != nil || c.Offset != l.Offset
		})
		if !open || time.Since(begin) > markersWithin {
			return committed
		}
		time.Sleep(20 * time.Millisecond) // the broker announces nothing
	}
}

// read reads topics to their ends, committed records only, and leaves the marker's out.
func (r *runner) read(ctx context.Context, names []string) []*kgo.Record {
	if len(names) == 0 {
		return nil
	}
	ends := r.ends(ctx, names)
	from := map[string]map[int32]kgo.Offset{}
	left := map[string]int64{}
	ends.Each(func(l kadm.ListedOffset) {
		if l.Err != nil {
			r.t.Fatalf("end of %s/%d: %v", l.Topic, l.Partition, l.Err)
		}
		if l.Offset == 0 {
			return
		}
		left[fmt.Sprintf("%s/%d", l.Topic, l.Partition)] = l.Offset
		if from[l.Topic] == nil {
			from[l.Topic] = map[int32]kgo.Offset{}
		}
		from[l.Topic][l.Partition] = kgo.NewOffset().At(0)
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.mesh.Kafka), kgo.ConsumePartitions(from), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var recs []*kgo.Record
	for len(left) > 0 {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			r.t.Fatalf("could not read to the end of %v", left)
		}
		f.EachRecord(func(x *kgo.Record) {
			at := fmt.Sprintf("%s/%d", x.Topic, x.Partition)
			if x.Offset >= left[at]-1 {
				delete(left, at)
			}
			if !x.Attrs.IsControl() && !strings.HasSuffix(x.Topic, "zz_marker") {
				recs = append(recs, x)
			}
		})
	}
	slices.SortStableFunc(recs, func(a, b *kgo.Record) int {
		if a.Topic != b.Topic {
			return strings.Compare(a.Topic, b.Topic)
		}
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(a.Offset - b.Offset)
	})
	return recs
}
