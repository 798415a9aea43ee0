// Command chaos runs a cluster of real processes for hours, with all workloads, under a random schedule of all faults that can be healed, and judges all that comes of
// it:
//
//	go run ./integration/chaos -duration 1h -seed 7 -report DIR
//
// It goes by rounds of some minutes. Each has a connector, a database and topics of its own, a schedule that follows from seed and round alone, and the whole judgement
// at its end, after which its data are removed: so disk and memory are bounded, and what goes wrong is known soon. A round is run again with -from and -rounds. Faults,
// processes and the network do not take the same time twice, so a seed repeats the schedule, not the moment.
//
// Between faults the load must be well: little lag, no lane without an owner. Between rounds the processes must be back to what they had at the end of the first one:
// goroutines, file descriptors, memory. It ends with code 1 if anything was violated, or if a fault could not be done.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/rowmesh/rowmesh/integration/fault"
)

// options are what the flags say.
type options struct {
	duration, round time.Duration
	seed, from      uint64
	rounds          int
	long            bool
	only            string
	report, dir     string
	program         string
	publishers      int
}

func main() {
	if code, ok := fault.Member(os.Args); ok {
		os.Exit(code)
	}
	var o options
	flag.DurationVar(&o.duration, "duration", time.Hour, "no round begins after this time")
	flag.DurationVar(&o.round, "round", 5*time.Minute, "how long faults are done in a round")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what the schedule follows from")
	flag.Uint64Var(&o.from, "from", 1, "the first round: to run one again")
	flag.IntVar(&o.rounds, "rounds", 0, "how many rounds at most; 0: as many as there is time for")
	flag.BoolVar(&o.long, "long", false, "faults last as long as the catalogue says: minutes, some of them")
	flag.StringVar(&o.only, "only", "", "a regular expression of the faults that are done; empty: all")
	flag.StringVar(&o.report, "report", "", "folder for the reports; empty: a temporary one, which is named at the end")
	flag.StringVar(&o.dir, "dir", "", "folder for the data, which are removed at the end; empty: a temporary one")
	flag.StringVar(&o.program, "program", "", "rowmesh, built with the tag failpoint; empty: it is built")
	flag.IntVar(&o.publishers, "publishers", 3, "how many publishers")
	flag.Parse()
	debug.SetGCPercent(25) // the judge keeps much and drops little
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	good, err := run(ctx, o)
	if err != nil {
		log.Print(err)
	}
	if !good {
		os.Exit(1)
	}
}

// run does all rounds and says whether nothing was wrong.
func run(ctx context.Context, o options) (good bool, err error) {
	kinds, err := chosen(o, &adversary{})
	if err != nil {
		return false, err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "chaos"); err != nil {
			return false, err
		}
	}
	defer os.RemoveAll(o.dir)
	if o.report == "" {
		if o.report, err = os.MkdirTemp("", "chaos-report"); err != nil {
			return false, err
		}
	}
	if err := os.MkdirAll(o.report, 0o755); err != nil {
		return false, err
	}
	log.Printf("seed %d, %d kinds of faults, reports in %s", o.seed, len(kinds), o.report)
	c, err := fault.Start(ctx, fault.Options{Dir: o.dir, Program: o.program, Seed: o.seed, Publishers: o.publishers, Brokers: 2, Replica: true, Log: log.Printf})
	if err != nil {
		return false, err
	}
	defer c.Close()
	sum := newSummary(o.seed)
	base := &base{c: c}
	begin := time.Now()
	for n := o.from; time.Since(begin) < o.duration && (o.rounds == 0 || n < o.from+uint64(o.rounds)) && ctx.Err() == nil; n++ {
		r, err := newRound(c, o, n)
		if err != nil {
			return false, err
		}
		if err := r.run(ctx); err != nil {
			r.wrong("the round could not go on: %v", err)
			keepLogs(c, o.report, n)
		}
		if err := r.clean(ctx); err != nil {
			r.wrong("its data could not be removed: %v", err)
		}
		for _, text := range base.compare(ctx) {
			r.wrong("%s", text)
		}
		sum.add(r)
		if err := sum.write(filepath.Join(o.report, "summary.json")); err != nil {
			return false, err
		}
		if r.broken {
			break // what the next one would stand on is not known
		}
	}
	sum.Seconds = time.Since(begin).Seconds()
	fmt.Print(sum.text())
	return sum.good(), sum.write(filepath.Join(o.report, "summary.json"))
}
