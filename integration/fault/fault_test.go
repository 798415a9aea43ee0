package fault

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
	"github.com/rowmesh/rowmesh/services/failpoint"
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

// TestFaults does the faults of all groups, one after the other, to a running load, and judges the whole history of each load. One cluster is used for all: to start it takes
// as long as ten faults.
func TestFaults(t *testing.T) {
	c := start(t, Options{Brokers: 2, Replica: true, Spare: true, EtcdQuota: 24 << 20})
	config := WideConfig()
	config["database.ssl.mode"] = "disabled" // so that bytes of the log can be changed on their way
	t.Run("running", func(t *testing.T) {
		c.Options.Log = t.Logf
		all := slices.DeleteFunc(Group("PNGCDTEK"), func(f Fault) bool { return f.OneLane })
		faults(t, stage(t, c, LoadOptions{Name: "fault-running", Config: config}), all)
	})
	if full() {
		t.Run("one lane", func(t *testing.T) {
			c.Options.Log = t.Logf
			all := slices.DeleteFunc(Catalogue(), func(f Fault) bool { return !f.OneLane })
			faults(t, stage(t, c, LoadOptions{Name: "fault-lane", Tasks: 1, Config: config}), all)
		})
	}
	t.Run("snapshots", func(t *testing.T) { testSnapshots(t, c) })
	t.Run("statements", func(t *testing.T) { testScripts(t, c) })
	t.Run("database", func(t *testing.T) {
		c.Options.Log = t.Logf
		faults(t, stage(t, c, LoadOptions{Name: "fault-database", Config: config}), Group("M"))
	})
	t.Run("stops", func(t *testing.T) { testStops(t, c) })
	t.Run("points", func(t *testing.T) {
		passed := c.Passed()
		for _, name := range failpoint.All() {
			if !passed[name] {
				t.Errorf("no process has passed the failpoint %s", name)
			}
		}
	})
}

// TestFaultsOnMariaDB does those faults to a MariaDB that meet the way to a source and what lanes remember of it.
func TestFaultsOnMariaDB(t *testing.T) {
	if !full() {
		t.Skip("takes long: set ROWMESH_FULL=1")
	}
	c := start(t, Options{Database: servers.MariaDB, EtcdQuota: 24 << 20})
	all := slices.DeleteFunc(Group("PNG"), func(f Fault) bool { return f.Alone || f.OneLane || f.Long })
	for _, f := range Group("M") {
		if f.ID == "M1" || f.ID == "M35" || f.ID == "M15" {
			all = append(all, f)
		}
	}
	faults(t, stage(t, c, LoadOptions{Name: "fault-mariadb", Config: WideConfig()}), slices.DeleteFunc(all, func(f Fault) bool { return f.ID == "N15" }))
}

// testScripts does to one connector what statements can do.
func testScripts(t *testing.T, c *Cluster) {
	c.Options.Log = t.Logf
	s := stage(t, c, LoadOptions{Name: "fault-statements", Proxy: Spare, Tasks: 1, Tables: 1, Writers: 1})
	for _, x := range Scripts() {
		t.Run(x.ID+" "+x.Name, func(t *testing.T) {
			if err := s.RunScript(t.Context(), x); err != nil {
				t.Error(err)
			}
		})
	}
	if err := s.Load.Quiesce(); err != nil {
		t.Error(err)
	}
	if err := s.Load.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// testStops does what a lane does not live through by itself, each to a connector of its own, while a load on another server goes on. Last come two that lanes wait half a minute
// for, in case that what they miss still comes: one is a failover that loses what was told, and ends the pair.
func testStops(t *testing.T, c *Cluster) {
	c.Options.Log = t.Logf
	other := stage(t, c, LoadOptions{Name: "fault-others"})
	for _, x := range Stops() {
		t.Run(x.String(), func(t *testing.T) {
			testStop(t, c, x)
			if err := other.Load.Settled(t.Context(), settleLimit); err != nil {
				t.Errorf("others: %v", err)
			}
		})
	}
	judge(t, other.Load)
	t.Run("after half a minute", func(t *testing.T) {
		for _, x := range LateStops() {
			t.Run(x.String(), func(t *testing.T) {
				t.Parallel()
				testStop(t, c, x)
			})
		}
	})
}

func testStop(t *testing.T, c *Cluster, x Stop) {
	if x.Long && !full() {
		t.Skip("takes long: set ROWMESH_FULL=1")
	}
	if x.Proxy == "" {
		x.Proxy = Spare
	}
	name := fmt.Sprintf("stop-%08x", crc32.ChecksumIEEE([]byte(x.String())))
	p, err := c.NewPlace(t.Context(), name, x.Proxy, x.Config)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := x.Do(p, t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%.1f s", time.Since(begin).Seconds())
	if err := p.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}
