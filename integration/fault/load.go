package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/check"
	"github.com/rowmesh/rowmesh/integration/history"
	"github.com/rowmesh/rowmesh/integration/traffic"
)

// Load is a connector, what is written for it, and what comes of it.
type Load struct {
	// Name is the connector's and its topic.prefix; Tasks how many there are.
	Name  string
	Tasks int
	// Proxy is in front of the source: Source or Spare.
	Proxy string
	W     *traffic.Registers
	// Mix is all that is written, W among it.
	Mix *traffic.Mix
	*Stream

	c      *Cluster
	config map[string]string
	end    context.CancelFunc
	ended  chan error
	// moved: the source has had another primary. Files and positions of checkpoints are then of different servers, and GTIDs are what they are compared by.
	moved bool
	// errant: a server has had transactions that the one before it had not. Places by GTID are then no beginnings of one log, and the judge does without checkpoints.
	errant bool
	faults []check.Fault
}

// LoadOptions say what a load is.
type LoadOptions struct {
	// Name of the connector; its database is the name with _ for -.
	Name string
	// Tasks defaults to 2, Tables to 4, Writers to 3, Keys (of a writer in a table) to 20, Pause between the transactions of a writer to 20 ms, which is some
	// 300 changes a second in all.
	Tasks, Tables, Writers, Keys int
	Pause                        time.Duration
	Seed                         uint64
	// Proxy is in front of the source; default Source.
	Proxy string
	// Config replaces and adds options of the connector.
	Config map[string]string
	// Mix gives more workloads on the database of the load.
	Mix func(s traffic.Server) []traffic.Workload
	// Early begins to write before the connector is made, so that its snapshot meets rows that change.
	Early bool
}

func (o LoadOptions) withDefaults() LoadOptions {
	for _, x := range []struct {
		to *int
		n  int
	}{{&o.Tasks, 2}, {&o.Tables, 4}, {&o.Writers, 3}, {&o.Keys, 20}} {
		if *x.to == 0 {
			*x.to = x.n
		}
	}
	if o.Pause == 0 {
		o.Pause = 20 * time.Millisecond
	}
	if o.Proxy == "" {
		o.Proxy = Source
	}
	return o
}

// Load makes a connector with a workload, and returns once both run.
func (c *Cluster) Load(ctx context.Context, o LoadOptions) (*Load, error) {
	o = o.withDefaults()
	l := &Load{Name: o.Name, Tasks: o.Tasks, Proxy: o.Proxy, c: c, ended: make(chan error, 1)}
	database := strings.ReplaceAll(o.Name, "-", "_")
	l.W = &traffic.Registers{Addr: c.Net.Proxy(o.Proxy).Addr, User: servers.RootUser, Database: database, Tables: o.Tables, Writers: o.Writers, Keys: o.Keys, Pause: o.Pause, Seed: o.Seed}
	server := traffic.Server{Addr: l.W.Addr, User: l.W.User, Database: database}
	l.Mix = &traffic.Mix{Server: server, Workloads: []traffic.Workload{l.W}}
	if o.Mix != nil {
		l.Mix.Workloads = append(l.Mix.Workloads, o.Mix(server)...)
	}
	if err := l.Mix.Setup(ctx); err != nil {
		return nil, err
	}
	wctx, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	if o.Early {
		go func() { l.ended <- l.Mix.Run(wctx) }()
	}
	more := map[string]string{"tasks.max": fmt.Sprint(o.Tasks)}
	for k, v := range o.Config {
		more[k] = v
	}
	l.config = c.Config(o.Name, o.Proxy, database, more)
	if err := c.Create(ctx, o.Name, l.config, o.Tasks); err != nil {
		end()
		return nil, err
	}
	var err error
	if l.Stream, err = c.followTopics(o.Name, database); err != nil {
		end()
		return nil, err
	}
	if !o.Early {
		go func() { l.ended <- l.Mix.Run(wctx) }()
	}
	return l, l.Recovered(ctx, time.Now(), time.Minute)
}

// Note notes for the report what is done now.
func (l *Load) Note(name, target string, from time.Time) {
	l.faults = append(l.faults, check.Fault{AtMS: from.UnixMilli(), UntilMS: time.Now().UnixMilli(), Name: name, Target: target})
}

// Lag is how long ago the newest change that has come of the table that is furthest behind was committed.
func (l *Load) Lag() time.Duration {
	_, at := l.behind()
	return time.Since(at)
}

// behind returns the table whose newest change that came is the oldest, and when that was committed.
func (l *Load) behind() (table string, at time.Time) {
	at = time.Now().Add(time.Hour)
	for i := range l.W.Tables {
		name := fmt.Sprintf("r%d", i)
		if n := l.Newest(name); n.Before(at) {
			table, at = name, n
		}
	}
	return table, at
}

// Recovered waits until of each table something has come that was committed after a moment.
func (l *Load) Recovered(ctx context.Context, since time.Time, limit time.Duration) error {
	return Until(ctx, limit, "changes of all tables", func() error {
		select {
		case err := <-l.ended:
			l.ended <- err
			return fmt.Errorf("the workload has ended: %w", err)
		default:
		}
		if table, at := l.behind(); !at.After(since) {
			return fmt.Errorf("the newest change of %s is of %s before it", table, since.Sub(at))
		}
		return nil
	})
}

// maxLag is what a load may be behind once all is well again.
const maxLag = 5 * time.Second

// Settled waits until lag is small, and all tasks run.
func (l *Load) Settled(ctx context.Context, limit time.Duration) error {
	if err := l.Recovered(ctx, time.Now(), limit); err != nil {
		return err
	}
	return Until(ctx, limit, "small lag and all tasks of "+l.Name, func() error {
		if table, at := l.behind(); time.Since(at) > maxLag {
			return fmt.Errorf("%s is %s behind", table, time.Since(at))
		}
		return l.c.Running(ctx, l.Name, l.Tasks)
	})
}

// Quiesce ends the workload.
func (l *Load) Quiesce() error {
	l.end()
	err := <-l.ended
	l.ended <- err
	return err
}

// complete returns nil if the newest change of each key has come.
func (l *Load) complete() error {
	for table, keys := range l.W.Log() {
		newest := map[int64]int64{}
		all, err := l.Events(table)
		if err != nil {
			return err
		}
		for _, x := range all {
			newest[x.Key] = x.Version
		}
		for k, changes := range keys {
			last := changes[len(changes)-1]
			if got := newest[k]; got < last.Version && !(got == 0 && last.Op == 'd') {
				return fmt.Errorf("%s key %d has version %d of %d", table, k, got, last.Version)
			}
		}
	}
	return nil
}

// quiet is how long nothing may come before all has come, and every lane has moved on: longer than one without rows waits with its checkpoint, which is 5 s.
const quiet = 8 * time.Second

// Still waits until nothing has come for a while.
func (l *Load) Still(ctx context.Context) error {
	count, since := l.Count(), time.Now()
	return Until(ctx, 2*time.Minute, "the stream to end", func() error {
		if n := l.Count(); n != count {
			count, since = n, time.Now()
		}
		if time.Since(since) < quiet {
			return fmt.Errorf("%d events, the last %s ago", count, time.Since(since))
		}
		return nil
	})
}

// Judge ends the workload, waits until all of it has come, and judges the whole history of the load.
func (l *Load) Judge(ctx context.Context) (*check.Report, error) {
	j := check.New()
	if err := l.JudgeWith(ctx, j); err != nil {
		return nil, err
	}
	report := j.Finish()
	report.Seed, report.Recoveries = l.W.Seed, check.RecoveriesOf(report.Faults)
	return report, nil
}

// JudgeWith is Judge with a judge who may know more, and who is not asked for the report yet.
func (l *Load) JudgeWith(ctx context.Context, j *check.Judge) error {
	if err := l.Quiesce(); err != nil {
		return err
	}
	if err := Until(ctx, 2*time.Minute, "the stream to hold every last change", l.complete); err != nil {
		return err
	}
	if len(l.Mix.Workloads) > 1 {
		if err := l.Still(ctx); err != nil {
			return err
		}
		j.Quiet()
	}
	return l.Histories(ctx, j)
}

// Files brings the log files of the server that is the source now into a folder.
func (l *Load) Files(ctx context.Context, dir string) ([]string, error) {
	n, err := l.c.node(l.c.Primary(l.Proxy))
	if err != nil {
		return nil, err
	}
	return history.Fetch(ctx, l.c.database, n.addr(), dir)
}

// Histories gives a judge what the server has committed, what is in the topics, and who had which lane.
func (l *Load) Histories(ctx context.Context, j *check.Judge) error {
	server := l.c.Primary(l.Proxy)
	n, err := l.c.node(server)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(l.c.Dir, "log")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := l.Files(ctx, dir)
	if err != nil {
		return err
	}
	for _, f := range l.faults {
		j.Fault(f)
	}
	logs, err := filepath.Glob(filepath.Join(l.c.Dir, "publisher-*.log"))
	if err != nil {
		return err
	}
	owners, err := history.Owners(l.Name, logs...)
	if err != nil {
		return err
	}
	for _, o := range owners {
		j.Owner(o)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	run := history.Run{Files: files, Kafka: l.c.Kafkas()[0], Prefix: l.Name, Database: l.W.Database, Offsets: l.c.offsets, Accounts: traffic.AccountTable,
		Shapes: traffic.ShapeTable, ByGTID: l.moved}
	if l.errant {
		run.Offsets = ""
	}
	if err := run.Judge(ctx, j); err != nil {
		return err
	}
	return l.agree(ctx, j, n.addr())
}

// agree gives a judge the rows that the server has now, and fails if workload and server do not agree: neither would be worth anything.
func (l *Load) agree(ctx context.Context, j *check.Judge, addr string) error {
	tables, err := l.Mix.Tables(ctx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := history.Rows(ctx, j, addr, l.W.Database, table); err != nil {
			return err
		}
	}
	for table, keys := range l.W.Log() {
		for k, changes := range keys {
			if n := j.Versions(l.W.Database+"."+table, k); n != len(changes) {
				return fmt.Errorf("%s key %d: the workload committed %d changes, the server's log has %d", table, k, len(changes), n)
			}
		}
	}
	return nil
}

// Close ends the workload and the consumer, and deletes the connector.
func (l *Load) Close(ctx context.Context) error {
	l.end()
	l.Stream.Close()
	return l.c.Delete(ctx, l.Name)
}

// Verdict is nil if a report has no violations.
func Verdict(r *check.Report) error {
	var all []error
	for _, v := range r.Violations {
		all = append(all, errors.New(v.String()))
	}
	return errors.Join(all...)
}
