package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// cases is where the recordings are: -cases runs others than the suite's own.
var cases = flag.String("cases", "testdata/cases", "folder of the cases")

// differences bounds what is printed.
var differences = flag.Int("differences", 12, "how many records of a case, and fields of a record, are told that differ")

// atOnce is how many cases run side by side: they mostly wait.
const atOnce = 6

// TestConformance runs every case on every engine it was recorded on: go test ./integration/conformance -run Conformance/ty-json
func TestConformance(t *testing.T) {
	dirs, err := filepath.Glob(*cases + "/*/case.json")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	allowed, err := exceptions("testdata/allow.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d allowed differences", len(allowed))
	addrs := map[string]string{"mysql": harness.Addr(t, harness.MySQL), "mariadb": harness.Addr(t, harness.MariaDB)}
	mesh := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	cl, err := kgo.NewClient(kgo.SeedBrokers(mesh.Kafka), kgo.MetadataMinAge(20*time.Millisecond)) // the default of 5 s hides topics made since
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	slots := make(chan struct{}, atOnce)
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			c, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			// One engine after the other: both write the same topics.
			for _, engine := range []string{"mysql", "mariadb"} {
				if len(c.Engines) > 0 && !slices.Contains(c.Engines, engine) {
					continue
				}
				want, err := golden(dir, engine)
				if os.IsNotExist(err) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := except(allowed, filepath.Base(dir), engine, want); err != nil {
					t.Fatal(err)
				}
				ending, err := end(dir, engine)
				if err != nil {
					t.Fatal(err)
				}
				t.Run(engine, func(t *testing.T) {
					name := strings.ReplaceAll(filepath.Base(dir), "-", "_")
					r := &runner{t: t, mesh: mesh, kafka: cl, dir: dir, engine: engine, addr: addrs[engine], c: c, name: name, connector: name + "_" + engine,
						mayFail: ending.Failed != "", refused: ending.Create}
					if bad := compare(want, r.run(t.Context()), *differences); len(bad) > 0 {
						t.Errorf("%s\n%s", c.Note, strings.Join(bad, "\n"))
					}
				})
			}
		})
	}
}

func TestCompareSeesEveryKindOfDifference(t *testing.T) {
	rec := func(v string) string { return "key=k\nvalue=" + v + "\nheaders=" }
	want := stream{"t/0": {rec("1"), rec("2")}}
	for what, got := range map[string]stream{
		"missing": {"t/0": {rec("1")}}, "more": {"t/0": {rec("1"), rec("2"), rec("3")}}, "order": {"t/0": {rec("2"), rec("1")}},
		"topic": {"t/0": {rec("1"), rec("2")}, "u/0": {rec("1")}}, "nothing": {},
	} {
		if len(compare(want, got, 1)) == 0 {
			t.Errorf("%s: no difference seen", what)
		}
	}
	if d := compare(want, stream{"t/0": {rec("1"), rec("2")}}, 1); len(d) > 0 {
		t.Errorf("the same differs: %v", d)
	}
}

func TestMaskKeepsFixedTimes(t *testing.T) {
	got := mask(`{"version":"3.6.1","ts_ms":1700000000000,"ts_us":1795369867951001,"pos":17,"file":"binlog.000001","thread":null}`)
	want := `{"version":"#","ts_ms":1700000000000,"ts_us":#,"pos":#,"file":"#","thread":#}`
	if got != want {
		t.Errorf("got %s", fmt.Sprint(got))
	}
}
