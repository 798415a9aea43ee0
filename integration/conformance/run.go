package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

// Run says how a case is to be run.
type Run struct {
	// Dir is the case's folder.
	Dir string
	// Connector is the connector's name. Connect remembers the offsets of a name after the connector is gone.
	Connector string
	// MayFail: a failure of the connector ends the run, and is part of its result.
	MayFail bool
	// GoesOn is how long what does not fail may still bring records after a failure, if Whole does not say before that all have come.
	GoesOn time.Duration
	// Whole reports that what has come is all that is to come; nil: nobody knows.
	Whole func([]*kgo.Record) bool
}

// Result is what a case brought.
type Result struct {
	// Records by topic, partition and offset; those of the schema history have the topic historyTopic.
	Records []*kgo.Record
	End     ending
}

// historyTopic stands for the topic of the schema history.
const historyTopic = "«history»"

// historyOf is the topic of the schema history that the base options name.
func historyOf(name string) string { return "history-" + name }

// runner runs one case.
type runner struct {
	*Target
	Run
	c         Case
	name      string // database and topic prefix
	stream    []string
	inputs    []string
	histories []string
	sql       *client.Conn
	sessions  []*client.Conn
	seen      atomic.Int64  // highest marker in Kafka
	news      chan struct{} // 1: seen has changed
	next      int64         // last marker written
	end       ending
}

// Play runs a case and returns what came.
func (t *Target) Play(ctx context.Context, run Run) (res Result, err error) {
	name := nameOf(run.Dir)
	r := &runner{Target: t, Run: run, name: name, news: make(chan struct{}, 1)}
	if r.c, err = Load(run.Dir); err != nil {
		return res, err
	}
	if r.stream, err = streamed(run.Dir, t.Engine, name); err != nil {
		return res, err
	}
	r.inputs, r.histories = inputs(r.stream), append(histories(r.c, r.stream, name), historyOf(name))
	defer func() {
		for _, c := range r.sessions {
			c.Close()
		}
	}()
	defer func() {
		if e := r.clean(context.WithoutCancel(ctx)); e != nil && err == nil {
			err = e
		}
	}()
	if err := r.clean(ctx); err != nil {
		return res, err
	}
	config, err := r.prepare(ctx)
	if err != nil {
		return res, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go r.watch(watching)
	code, body, err := r.call(ctx, http.MethodPost, "/connectors", map[string]any{"name": r.Connector, "config": config})
	if err != nil {
		return res, err
	}
	if code != http.StatusCreated {
		r.end.Create = &refusal{Code: code, Body: json.RawMessage(body)}
		return Result{End: r.end}, nil
	}
	if err := r.live(ctx); err != nil {
		return res, err
	}
	records, err := r.read(ctx)
	return Result{Records: records, End: r.end}, err
}

// prepare makes the database and the topics that the case writes to, and returns the connector's config.
func (r *runner) prepare(ctx context.Context) (map[string]string, error) {
	var err error
	if r.sql, err = r.connect(""); err != nil {
		return nil, err
	}
	if err := r.exec("create database `" + r.name + "` character set utf8mb4"); err != nil {
		return nil, err
	}
	for _, f := range []string{"setup.sql", "setup." + r.Engine + ".sql"} {
		b, err := os.ReadFile(filepath.Join(r.Dir, f))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := r.play(ctx, statements(strings.ReplaceAll(string(b), "$DB", r.name))); err != nil {
			return nil, err
		}
	}
	if err := r.exec("create table `" + r.name + "`.zz_marker (id int primary key)"); err != nil {
		return nil, err
	}
	config := (&harness.Mesh{Kafka: r.Kafka}).Connector(harness.Part(r.Engine), r.Addr, r.name, r.name, map[string]string{
		"schema.history.internal.store.only.captured.databases.ddl": "true", "poll.interval.ms": "50",
	})
	for k, v := range r.c.Config {
		config[k] = strings.NewReplacer("$DB", r.name, "$KAFKA", r.Kafka).Replace(v)
		if v == "<unset>" || strings.HasPrefix(k, "_") { // what begins with _ is for the runner
			delete(config, k)
		}
	}
	if len(r.inputs) > 0 {
		if _, err := kadm.NewClient(r.Client).CreateTopics(ctx, 1, 1, nil, r.inputs...); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// live runs the case from the connector's creation to its stop.
func (r *runner) live(ctx context.Context) error {
	if r.c.NoStream {
		if err := r.settled(ctx); err != nil {
			return err
		}
	}
	for _, what := range []string{"start", "streaming"} { // the first one may come with the snapshot
		if err := r.await(ctx, what); err != nil {
			return err
		}
	}
	if r.c.Restart {
		if err := r.stop(ctx); err != nil {
			return err
		}
	}
	if err := r.play(ctx, r.stream); err != nil {
		return err
	}
	if r.c.Restart {
		if _, err := r.ask(ctx, http.MethodPut, "/connectors/"+r.Connector+"/resume", nil); err != nil {
			return err
		}
	}
	if err := r.await(ctx, "end"); err != nil {
		return err
	}
	time.Sleep(r.Settle) // records of other partitions that were sent before the marker's
	if err := r.stop(ctx); err != nil {
		return err
	}
	offsets, err := r.ask(ctx, http.MethodGet, "/connectors/"+r.Connector+"/offsets", nil)
	r.end.Offsets = json.RawMessage(offsets)
	return err
}

// clean removes what a run leaves, and what an earlier one has left: both engines' runs use the same names.
func (r *runner) clean(ctx context.Context) error {
	if _, _, err := r.call(ctx, http.MethodDelete, "/connectors/"+r.Connector, nil); err != nil {
		return err
	}
	err := until(ctx, 20*time.Second, "deletion of the topics of "+r.name, func() error {
		names, err := r.topics(ctx)
		if err != nil || len(names) == 0 {
			return err
		}
		if _, err := kadm.NewClient(r.Client).DeleteTopics(ctx, names...); err != nil {
			return err
		}
		return fmt.Errorf("left: %v", names)
	})
	if err != nil {
		return err
	}
	sql, err := r.connect("")
	if err != nil {
		return err
	}
	// A transaction that an earlier run left prepared holds the tables for ever.
	if _, err := sql.Execute("set session lock_wait_timeout = 30"); err != nil {
		return err
	}
	for _, db := range []string{r.name, r.name + "_2"} {
		if _, err := sql.Execute("drop database if exists `" + db + "`"); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) connect(database string) (*client.Conn, error) {
	c, err := client.Connect(r.Addr, servers.RootUser, "", database)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", r.Addr, err)
	}
	r.sessions = append(r.sessions, c)
	_, err = c.Execute("set names utf8mb4")
	return c, err
}

func (r *runner) exec(q string) error {
	if _, err := r.sql.Execute(q); err != nil {
		return fmt.Errorf("%.200s: %w", q, err)
	}
	return nil
}

// play runs statements and directives. A statement that the server refuses is part of some cases: the next one runs.
func (r *runner) play(ctx context.Context, all []string) error {
	sessions := map[string]*client.Conn{}
	session := ""
	for _, s := range all {
		if sessions[session] == nil {
			c, err := r.connect(r.name)
			if err != nil {
				return err
			}
			sessions[session] = c
		}
		verb, arg, ok := directive(s)
		switch {
		case !ok:
			if _, err := sessions[session].Execute(s); err != nil {
				r.Say("%v in: %.120s", err, s)
			}
		case verb == "conn":
			session = arg
		default:
			if err := r.direct(ctx, verb, arg); err != nil {
				return fmt.Errorf("--@ %s %s: %w", verb, arg, err)
			}
		}
	}
	return nil
}

// direct does what a line of a case asks for that is no statement.
func (r *runner) direct(ctx context.Context, verb, arg string) error {
	switch verb {
	case "sleep":
		d, err := time.ParseDuration(arg)
		time.Sleep(d) // the case says so
		return err
	case "await":
		return r.await(ctx, "await")
	case "stop":
		return r.stop(ctx)
	case "resume":
		_, err := r.ask(ctx, http.MethodPut, "/connectors/"+r.Connector+"/resume", nil)
		return err
	case "config":
		_, err := r.ask(ctx, http.MethodPatch, "/connectors/"+r.Connector+"/config", arg)
		return err
	case "kafka":
		return r.produce(ctx, arg)
	case "records":
		return r.records(ctx, arg)
	}
	return fmt.Errorf("the directive is not known")
}
