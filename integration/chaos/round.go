package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/rowmesh/rowmesh/integration/check"
	"github.com/rowmesh/rowmesh/integration/fault"
	"github.com/rowmesh/rowmesh/integration/traffic"
)

// round is a connector's life under faults.
type round struct {
	c      *fault.Cluster
	o      options
	n      uint64
	kinds  []fault.Fault
	own    adversary
	rnd    *rand.Rand
	load   *fault.Load
	faults []check.Fault
	report *check.Report
	bad    []string
	// broken: the cluster is not what it should be.
	broken bool
}

func newRound(c *fault.Cluster, o options, n uint64) (*round, error) {
	r := &round{c: c, o: o, n: n, rnd: rand.New(rand.NewPCG(o.seed, n))}
	kinds, err := chosen(o, &r.own)
	if err != nil {
		return nil, err
	}
	for _, f := range kinds {
		if !r.shaped() || !withoutEtcd.MatchString(f.String()) {
			r.kinds = append(r.kinds, f)
		}
	}
	return r, nil
}

// wrong notes something that is wrong.
func (r *round) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.bad = append(r.bad, text)
	log.Printf("round %d: WRONG: %s", r.n, text)
}

// shaped says whether the round's tables change their columns: in every second one. A change waits for etcd to keep it, and the rows behind it wait too, so faults that
// want data to go on without etcd are done in the others.
func (r *round) shaped() bool { return r.n%2 == 0 }

// withoutEtcd are faults that take etcd away for longer than data may wait.
var withoutEtcd = regexp.MustCompile(`^E2 `)

// mix are the workloads beside registers: some 500 changes a second in all.
func mix(seed uint64, shaped bool) func(s traffic.Server) []traffic.Workload {
	return func(s traffic.Server) []traffic.Workload {
		all := []traffic.Workload{
			&traffic.Bank{Server: s, Tables: 3, Writers: 2, Accounts: 10, Pause: 40 * time.Millisecond, Seed: seed},
			&traffic.Unique{Server: s, Writers: 1, Pause: 100 * time.Millisecond, Seed: seed},
			&traffic.Big{Server: s, Rows: 5000, Pause: 20 * time.Second},
			&traffic.Idle{Server: s, Every: 20 * time.Second},
		}
		if shaped {
			all = append(all, &traffic.Shapes{Server: s, Tables: 2, Keys: 20, Pause: 50 * time.Millisecond, Every: 4 * time.Second, Seed: seed})
		}
		return all
	}
}

const (
	// doLimit is how long a fault may take, the longest of the catalogue are five minutes.
	doLimit = 7 * time.Minute
	// wellLimit is how long a load may take to be well once all is healed; patience is when a round is given up.
	wellLimit, patience = 30 * time.Second, 3 * time.Minute
)

// run does faults for the time of a round, then judges all.
func (r *round) run(ctx context.Context) (err error) {
	name := fmt.Sprintf("chaos-%d", r.n)
	r.load, err = r.c.Load(ctx, fault.LoadOptions{Name: name, Tasks: 1 + r.rnd.IntN(4), Tables: 6, Seed: r.rnd.Uint64N(1 << 32), Mix: mix(r.rnd.Uint64N(1<<32), r.shaped()),
		Early: r.rnd.IntN(2) == 0, Config: fault.WideConfig()})
	if err != nil {
		r.broken = true
		return err
	}
	w := &watch{c: r.c, l: r.load}
	wctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); w.run(wctx) }()
	s := &fault.Stage{Cluster: r.c, Load: r.load, Rnd: r.rnd, Long: r.o.long}
	for begin := time.Now(); time.Since(begin) < r.o.round && err == nil && ctx.Err() == nil; {
		for _, i := range r.rnd.Perm(len(r.kinds)) { // each kind once before one comes again
			if time.Since(begin) >= r.o.round || ctx.Err() != nil {
				break
			}
			if err = r.inject(ctx, s, w, r.kinds[i]); err != nil {
				break
			}
			wait(ctx, time.Duration(r.rnd.IntN(1000))*time.Millisecond) // a calm moment, now and then as long as two samples
		}
	}
	stop()
	<-ended
	if err != nil {
		r.broken = true
		return err
	}
	return r.judge(context.WithoutCancel(ctx), w)
}

// inject does one fault, heals all, and waits until the load is well. The error says that it does not come back.
func (r *round) inject(ctx context.Context, s *fault.Stage, w *watch, f fault.Fault) error {
	w.begin()
	begin := time.Now()
	dctx, cancel := context.WithTimeout(ctx, doLimit)
	err := f.Do(s, dctx)
	cancel()
	ctx, interrupted := context.WithoutCancel(ctx), ctx.Err() != nil // what was begun is healed
	if err != nil && !interrupted {
		r.wrong("%s: %v", f, err)
		keepLogs(r.c, r.o.report, r.n)
	}
	until := time.Now()
	if err := fault.Until(ctx, patience, "healing", func() error { return r.c.Heal(ctx) }); err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	healed := time.Now()
	if err := r.load.Settled(ctx, patience); err != nil {
		keepLogs(r.c, r.o.report, r.n)
		return fmt.Errorf("%s: the load does not come back: %w", f, err)
	}
	took := time.Since(healed)
	if took > wellLimit {
		r.wrong("%s: well only %.1f s after all was healed (I14)", f, took.Seconds())
	}
	gap := w.well()
	x := check.Fault{AtMS: begin.UnixMilli(), UntilMS: until.UnixMilli(), Name: f.String(), RecoveredMS: max(took.Milliseconds(), 1), GapMS: gap.Milliseconds()}
	several := r.own.take()
	if len(several) == 0 {
		r.faults = append(r.faults, x)
	}
	for _, name := range several { // each is an injection, and what was measured is of all of them
		x.Name, x.Target = name, f.String()
		r.faults = append(r.faults, x)
	}
	log.Printf("%-70s %5.1f s, gap %5.1f s, well after %.1f s", f, until.Sub(begin).Seconds(), gap.Seconds(), took.Seconds())
	return nil
}

// judge ends the load and judges all that it has left.
func (r *round) judge(ctx context.Context, w *watch) error {
	j := check.New()
	for _, f := range r.faults {
		j.Fault(f)
	}
	for _, s := range w.samples {
		j.Sample(s)
	}
	begin := time.Now()
	if err := r.load.JudgeWith(ctx, j); err != nil {
		return err
	}
	r.report = j.Finish()
	r.report.Name, r.report.Seed = fmt.Sprintf("chaos, round %d", r.n), r.o.seed
	r.report.Recoveries = check.RecoveriesOf(r.faults)
	for _, v := range r.report.Violations {
		r.wrong("%s", v)
	}
	log.Printf("round %d: %d faults, %d changes, %d events, %d records and markers, %d checkpoints judged in %.1f s; violations %v",
		r.n, len(r.faults), r.report.Changes, r.report.Events, r.report.Raw, r.report.Checkpoints, time.Since(begin).Seconds(), r.report.Count)
	if len(r.report.Violations) > 0 {
		keepLogs(r.c, r.o.report, r.n)
		if err := r.evidence(ctx); err != nil {
			r.wrong("its evidence could not be kept: %v", err)
		}
	}
	return save(r.report, filepath.Join(r.o.report, fmt.Sprintf("round-%03d", r.n)))
}

// save writes a report as JSON and as a page.
func save(r *check.Report, path string) error {
	for ending, write := range map[string]func(f *os.File) error{".json": func(f *os.File) error { return r.WriteJSON(f) }, ".html": func(f *os.File) error { return r.WriteHTML(f) }} {
		f, err := os.Create(path + ending)
		if err != nil {
			return err
		}
		err = write(f)
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keepLogs copies what the members have logged to the reports of a round.
func keepLogs(c *fault.Cluster, to string, n uint64) {
	dir := filepath.Join(to, fmt.Sprintf("logs-%03d", n))
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.log"))
	if err != nil || os.MkdirAll(dir, 0o755) != nil {
		return
	}
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			os.WriteFile(filepath.Join(dir, filepath.Base(name)), b[max(0, len(b)-maxLog):], 0o644)
		}
	}
}

// maxLog is how much is kept of a log's end.
const maxLog = 4 << 20

// clean removes what the round has left: the connector, topics, the database, the servers' logs up to here, the logs of processes that have ended.
func (r *round) clean(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if r.load == nil {
		return nil
	}
	if err := r.load.Quiesce(); err != nil {
		r.wrong("the workload: %v", err)
	}
	if err := r.load.Close(ctx); err != nil {
		return err
	}
	err := r.c.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
		all, err := adm.ListTopics(ctx)
		if err != nil {
			return err
		}
		var mine []string
		for _, name := range all.Names() {
			if strings.HasPrefix(name, r.load.Name+".") || name == r.load.Name || strings.HasSuffix(name, "history-"+r.load.Name) {
				mine = append(mine, name)
			}
		}
		_, err = adm.DeleteTopics(ctx, mine...)
		return err
	})
	if err != nil {
		return err
	}
	if err := dropLogs(r.c.Dir); err != nil {
		return err
	}
	primary := r.c.Primary(fault.Source)
	if err := r.c.Exec(ctx, primary, "drop database "+r.load.W.Database, "flush binary logs"); err != nil {
		return err
	}
	for _, server := range []string{"mysql-1", "mysql-2"} {
		if server != primary {
			if err := r.c.CatchUp(ctx, server, primary); err != nil {
				return err
			}
		}
		if err := r.c.Exec(ctx, server, "flush binary logs", "purge binary logs before now()"); err != nil {
			return err
		}
	}
	return nil
}

// dropLogs removes the logs of lives of processes that are over: "name.N.log", of which the one written last is the newest life's.
func dropLogs(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.*.log"))
	if err != nil {
		return err
	}
	newest := map[string]os.FileInfo{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(info.Name(), ".")
		over := newest[name]
		if over == nil || !info.ModTime().Before(over.ModTime()) {
			newest[name] = info
		} else {
			over = info
		}
		if over != nil {
			if err := os.Remove(filepath.Join(dir, over.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
