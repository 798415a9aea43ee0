package broken

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/check"
	"github.com/rowmesh/rowmesh/integration/fault"
	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) {
	if code, ok := fault.Member(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(harness.Main(m))
}

// rule is a rule of the protocol, what provokes its absence, and what that breaks.
type rule struct {
	name    string
	provoke func(ctx context.Context, s *fault.Stage) error
	want    []check.ID // one of which must be found
}

var rules = []rule{
	{"etcd-checkpoint", zombies, []check.ID{"I3", "I4"}},
	{"reuse-after-unclean", lateEnds, []check.ID{"I1", "I3"}},
	{"read-to-stable", openTransaction, []check.ID{"I3"}},
	{"skip-delivery-errors", refusedRecords, []check.ID{"I1"}},
	{"no-confirm", withoutEtcd, []check.ID{"I15"}},
}

// budget is how long it may take to find a broken rule, from the first row of a load.
const budget = 2 * time.Minute

func worker(ctx context.Context, s *fault.Stage) (name string, err error) {
	err = fault.Until(ctx, 30*time.Second, "a publisher of the load", func() error {
		name, err = s.WorkerOf(ctx, s.Load.Name, 0)
		return err
	})
	return name, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d): // the fault lasts so long
		return nil
	}
}

// zombies stops a publisher until another has its lanes, and lets it go on; then it kills one between the rows and the checkpoint.
func zombies(ctx context.Context, s *fault.Stage) error {
	for range 2 {
		name, err := worker(ctx, s)
		if err != nil {
			return err
		}
		if err := s.Signal(name, syscall.SIGSTOP); err != nil {
			return err
		}
		err = s.Load.Recovered(ctx, time.Now(), 40*time.Second)
		if cont := s.Signal(name, syscall.SIGCONT); err == nil {
			err = cont
		}
		if err != nil {
			return err
		}
	}
	for range 5 {
		name, err := worker(ctx, s)
		if err != nil {
			return err
		}
		if err := s.Bounce(ctx, name); err != nil {
			return err
		}
		if err := s.Load.Recovered(ctx, time.Now(), 40*time.Second); err != nil {
			return err
		}
	}
	return nil
}

// lateEnds ends the connection over which a commit is sent, and delivers it later, in the middle of a transaction that follows.
func lateEnds(ctx context.Context, s *fault.Stage) error {
	for range 12 {
		delay := time.Duration(80+s.Rnd.IntN(400)) * time.Millisecond
		a := s.Net.Apply(fault.Rule{From: "publisher-*", To: "kafka-*", Kafka: &fault.Requests{Keys: []int16{fault.EndTxn}, Treat: fault.Late, Delay: delay}, Times: 1})
		err := fault.Until(ctx, 20*time.Second, "a commit to be held back", func() error {
			if a.Hits() == 0 {
				return fmt.Errorf("none yet")
			}
			return nil
		})
		a.Heal()
		if err != nil {
			return err
		}
		if err := pause(ctx, delay+time.Second); err != nil {
			return err
		}
		if err := s.Load.Recovered(ctx, time.Now(), time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// openTransaction keeps a transaction open in all partitions of the offsets topic while a publisher dies and starts again.
func openTransaction(ctx context.Context, s *fault.Stage) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.Kafkas()...), kgo.TransactionalID("broken-other"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(50*time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	for p := range int32(3) { // as many as clusters of package fault give it
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: fault.Offsets, Partition: p, Key: []byte("somebody else"), Value: []byte("{}")}).FirstErr(); err != nil {
			return err
		}
	}
	if err := pause(ctx, 2*time.Second); err != nil { // commits behind it
		return err
	}
	name, err := worker(ctx, s)
	if err != nil {
		return err
	}
	if err := s.Bounce(ctx, name); err != nil {
		return err
	}
	if err := pause(ctx, 10*time.Second); err != nil { // its lanes start, or wait for the transaction
		return err
	}
	if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return err
	}
	return s.Load.Recovered(ctx, time.Now(), time.Minute)
}

// refusedRecords lets the broker refuse the records of a topic for a while.
func refusedRecords(ctx context.Context, s *fault.Stage) error {
	topic := s.Load.Name + "." + s.Load.W.Database + ".r0"
	if err := s.SetTopic(ctx, topic, "max.message.bytes=100"); err != nil {
		return err
	}
	err := pause(ctx, 3*time.Second)
	if back := s.SetTopic(ctx, topic, "max.message.bytes"); err == nil {
		err = back
	}
	if err != nil {
		return err
	}
	return s.Load.Recovered(ctx, time.Now(), 90*time.Second)
}

// withoutEtcd cuts a publisher off from etcd until others have its lanes, and for as long again.
func withoutEtcd(ctx context.Context, s *fault.Stage) error {
	name, err := worker(ctx, s)
	if err != nil {
		return err
	}
	a := s.Net.Apply(fault.Rule{From: name, To: "etcd-*", Hold: fault.Both})
	err = pause(ctx, 20*time.Second)
	a.Heal()
	if err != nil {
		return err
	}
	return s.Load.Recovered(ctx, time.Now(), time.Minute)
}

// build builds rowmesh with breakable rules.
func build(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "rowmesh-broken")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "failpoint broken", "-o", program, "github.com/rowmesh/rowmesh/deploy/rowmesh").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// begin gives a cluster publishers with a rule out of force, and a load; an empty rule breaks none.
func begin(t *testing.T, c *fault.Cluster, broken string, n uint64) *fault.Stage {
	t.Helper()
	t.Setenv("ROWMESH_BROKEN", broken)
	t.Setenv("ROWMESH_BROKEN_ETCD", etcdAddresses(c))
	for _, name := range c.Names("publisher") {
		if err := c.Bounce(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	l, err := c.Load(t.Context(), fault.LoadOptions{Name: "broken-" + strings.ReplaceAll(broken, "_", "-") + fmt.Sprint(n), Seed: n, Config: map[string]string{"rowmesh.commit.interval.ms": "100"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &fault.Stage{Cluster: c, Load: l, Rnd: rand.New(rand.NewPCG(n, 1))}
}

func etcdAddresses(c *fault.Cluster) string {
	var all []string
	for i := 1; ; i++ {
		p := c.Net.Proxy(fmt.Sprintf("etcd-%d", i))
		if p == nil {
			return strings.Join(all, ",")
		}
		all = append(all, p.Addr)
	}
}

// verdict ends a load and judges it.
func verdict(t *testing.T, l *fault.Load) *check.Report {
	t.Helper()
	if err := l.Quiesce(); err != nil {
		t.Fatal(err)
	}
	if err := l.Still(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := check.New()
	if err := l.Histories(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	r := j.Finish()
	r.Name, r.Seed = t.Name(), l.W.Seed
	t.Logf("%d changes, %d events, %d confirmations of owners judged; violations %v", r.Changes, r.Events, len(r.Owners), r.Count)
	return r
}

// TestBrokenRulesAreFound runs each broken rule under the schedule that provokes it, and then the sound protocol under all of them.
func TestBrokenRulesAreFound(t *testing.T) {
	if os.Getenv("ROWMESH_FULL") != "1" {
		t.Skip("takes minutes: set ROWMESH_FULL=1")
	}
	dir := t.TempDir()
	c, err := fault.Start(t.Context(), fault.Options{Dir: dir, Program: build(t, dir), Seed: 1, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for i, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			s := begin(t, c, r.name, uint64(i+1))
			from := time.Now()
			if err := r.provoke(t.Context(), s); err != nil {
				t.Logf("while it was provoked: %v", err) // what is broken may well stand still; the judge has the word
			}
			if err := c.Heal(t.Context()); err != nil {
				t.Fatal(err)
			}
			report := verdict(t, s.Load)
			if !report.Has(r.want...) {
				t.Errorf("not found; want one of %v, got %v\n%s", r.want, report.Violations, c.Logs())
			} else if took := time.Since(from); took > budget {
				t.Errorf("found after %s, which is more than %s", took, budget)
			}
			for _, v := range report.Violations[:min(3, len(report.Violations))] {
				t.Log(v)
			}
		})
	}
	t.Run("sound", func(t *testing.T) {
		s := begin(t, c, "", uint64(len(rules)+1))
		for _, r := range rules {
			if err := r.provoke(t.Context(), s); err != nil {
				t.Fatalf("%s: %v\n%s", r.name, err, c.Logs())
			}
		}
		for _, v := range verdict(t, s.Load).Violations {
			t.Error(v)
		}
	})
}

// TestOnlyTaggedBuildsAreBroken proves that no other build has anything of the broken rules, and that those with the tag can be built.
func TestOnlyTaggedBuildsAreBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a package: not under -short")
	}
	const publisher = "github.com/rowmesh/rowmesh/publisher"
	for tag, want := range map[string]string{"": "sound.go", "broken": "broken.go"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", tag, "-f", "{{range .GoFiles}}{{.}} {{end}}", publisher).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"sound.go", "broken.go"} {
			if has := strings.Contains(string(out), file+" "); has != (file == want) {
				t.Errorf("tag %q: has %s: %v", tag, file, has)
			}
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", "-tags", "broken", publisher).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
