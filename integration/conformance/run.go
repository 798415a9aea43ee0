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
		case verb == "await":
			r.await("await")
		default:
			r.t.Fatalf("%s: directive %q is not known", name, s)
		}
	}
}

// await writes markers until the connector has produced one of them.
func (r *runner) await(what string) {
	r.t.Helper()
	begin, first := time.Now(), r.next+1
	var wrote time.Time
	for r.seen.Load() < first {
		if time.Since(wrote) > time.Second { // without a snapshot of rows, one that was too early never comes
			wrote = time.Now()
			r.next++
			r.exec("set timestamp=1700000000")
			r.exec(fmt.Sprintf("insert into `%s`.zz_marker values (%d)", r.name, r.next))
		}
		_, status := r.mesh.Call(r.t, http.MethodGet, "/connectors/"+r.connector+"/status", nil)
		if strings.Contains(status, "FAILED") {
			r.t.Fatalf("%s: %.3000s", what, status)
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
		if v == "<unset>" {
			delete(config, k)
		}
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go r.watch(watching)
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
	if !r.c.NoStream {
		r.await("end")
	}
	r.put("stop")
	got := actual(r.read(ctx))
	if names := r.topics(ctx); len(names) > 0 { // the other engine's run uses the same names
		if _, err := kadm.NewClient(r.kafka).DeleteTopics(ctx, names...); err != nil {
			r.t.Fatal(err)
		}
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
		if t == r.name || strings.HasPrefix(t, r.name+".") || t == "__debezium-heartbeat."+r.name {
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
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.mesh.Kafka), kgo.ConsumeTopics(r.name+"."+r.name+".zz_marker"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
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

// read reads the case's topics to their ends, committed records only, and leaves the marker's out.
func (r *runner) read(ctx context.Context) []*kgo.Record {
	names := r.topics(ctx)
	if len(names) == 0 {
		return nil
	}
	ends, err := kadm.NewClient(r.kafka).ListEndOffsets(ctx, names...)
	if err != nil {
		r.t.Fatal(err)
	}
	from := map[string]map[int32]kgo.Offset{}
	left := map[string]int64{}
	ends.Each(func(l kadm.ListedOffset) {
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
			if !x.Attrs.IsControl() && !strings.HasSuffix(x.Topic, ".zz_marker") {
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
