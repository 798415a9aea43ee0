package fault

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) {
	if code, ok := Member(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(harness.Main(m))
}

// full says that faults that take long are done too.
func full() bool { return os.Getenv("ROWMESH_FULL") == "1" }

// seed is that of all schedules of the tests.
const seed = 5

// start starts a cluster for a test, or skips it where there are no servers.
func start(t *testing.T, o Options) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real servers: not under -short")
	}
	o.Dir, o.Seed, o.Log = t.TempDir(), seed, t.Logf
	c, err := Start(t.Context(), o)
	if err != nil {
		if os.Getenv("ROWMESH_REQUIRE_REAL") == "1" || c != nil {
			t.Fatal(err)
		}
		t.Fatalf("no cluster: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs())
		}
		c.Close()
	})
	return c
}

// stage makes a load on a cluster.
func stage(t *testing.T, c *Cluster, o LoadOptions) *Stage {
	t.Helper()
	o.Seed = seed
	l, err := c.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return &Stage{Cluster: c, Load: l, Rnd: rand.New(rand.NewPCG(seed, uint64(len(o.Name)))), Long: full()}
}

// faults does faults to a stage, each as a test of its own, and judges the whole.
func faults(t *testing.T, s *Stage, all []Fault) {
	t.Helper()
	for _, f := range all {
		t.Run(f.String(), func(t *testing.T) {
			if f.Long && !full() {
				t.Skip("takes long: set ROWMESH_FULL=1")
			}
			s.Options.Log = t.Logf
			if _, err := s.Run(t.Context(), f); err != nil {
				t.Error(err)
				t.Log(s.Logs())
				if err := s.Heal(t.Context()); err != nil {
					t.Log(err)
				}
			}
		})
	}
	s.Options.Log = t.Logf
	judge(t, s.Load)
}

// judge judges the whole history of a load.
func judge(t *testing.T, l *Load) {
	t.Helper()
	begin := time.Now()
	r, err := l.Judge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Name = t.Name()
	if err := Verdict(r); err != nil {
		t.Error(err)
	}
	t.Logf("%s: %d changes committed; %d events, %d checkpoints, %d records and markers judged in %.1f s, %d of %d pieces of Kafka transactions bound by checkpoints; violations %v",
		l.Name, r.Changes, r.Events, r.Checkpoints, r.Raw, time.Since(begin).Seconds(), r.Bound, r.Segments, r.Count)
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFaults does the faults of groups P, N, E, K, M, G, D and T, one after the other, to a running load, and judges the whole history of each group.
func TestFaults(t *testing.T) {
	c := start(t, Options{Brokers: 2, Replica: true, EtcdQuota: 24 << 20})
	for _, g := range []struct{ name, letters string }{{"processes", "PGDT"}, {"network", "N"}, {"etcd", "E"}, {"kafka", "K"}, {"database", "M"}} {
		t.Run(g.name, func(t *testing.T) {
			c.Options.Log = t.Logf
			faults(t, stage(t, c, LoadOptions{Name: "fault-" + g.name}), Group(g.letters))
		})
	}
}
