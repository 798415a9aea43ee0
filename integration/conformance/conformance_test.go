package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue { // one for each processor, which is for tests that do not wait; cases do
		if err := p.Value.Set(strconv.Itoa(atOnce)); err != nil {
			panic(err)
		}
	}
	os.Exit(harness.Main(m))
}

// cases is where the recordings are: -cases runs others than the suite's own.
var cases = flag.String("cases", "testdata/cases", "folder of the cases")

// differences bounds what is printed.
var differences = flag.Int("differences", 12, "how many records of a case, and fields of a record, are told that differ")

// atOnce is how many cases run side by side, unless -parallel says otherwise: a case waits for most of its second.
const atOnce = 10

// goesOn is how long a lane that has failed may still bring what comes after, where the recording ends in a failure: a start and some commits, on a slow machine. It
// is waited for only where something is missing.
const goesOn = 30 * time.Second

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
	mesh := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	cl, err := NewClient(mesh.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	s := &suite{mesh: mesh, client: cl, allowed: allowed, addrs: map[string]string{"mysql": harness.Addr(t, harness.MySQL), "mariadb": harness.Addr(t, harness.MariaDB)},
		counts: map[string]*count{"mysql": {}, "mariadb": {}}, began: time.Now()}
	t.Cleanup(func() { // when all cases have ended
		for _, engine := range []string{"mysql", "mariadb"} {
			t.Log(s.summary(engine))
		}
	})
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Alone() { // those that are run before all others, which wait for the end of this loop
				t.Parallel()
			}
			for _, engine := range []string{"mysql", "mariadb"} { // one after the other: both write the same topics
				if c.Alone() {
					cleared(t, s.addrs[engine])
				}
				s.run(t, c, dir, engine)
			}
		})
	}
}

// cleared drops the databases that other cases have left.
func cleared(t *testing.T, addr string) {
	t.Helper()
	conn := harness.Root(t, addr)
	res, err := conn.Execute("SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')")
	if err != nil {
		t.Fatal(err)
	}
	var drops []string
	for i := range res.RowNumber() {
		name, err := res.GetString(i, 0)
		if err != nil {
			t.Fatal(err)
		}
		drops = append(drops, "DROP DATABASE `"+strings.ReplaceAll(name, "`", "``")+"`")
	}
	harness.Exec(t, conn, drops...)
}

func TestCompareSeesEveryKindOfDifference(t *testing.T) {
	rec := func(v string) string { return "key=k\nvalue=" + v + "\nheaders=" }
	want := stream{"t/0": {rec("1"), rec("2")}}
	for what, got := range map[string]stream{
		"missing": {"t/0": {rec("1")}}, "more": {"t/0": {rec("1"), rec("2"), rec("3")}}, "order": {"t/0": {rec("2"), rec("1")}},
		"topic": {"t/0": {rec("1"), rec("2")}, "u/0": {rec("1")}}, "nothing": {},
	} {
		if bad, told := compare(want, got, 1); bad == 0 || len(told) == 0 {
			t.Errorf("%s: no difference seen", what)
		}
	}
	if bad, told := compare(want, stream{"t/0": {rec("1"), rec("2")}}, 1); bad > 0 || len(told) > 0 {
		t.Errorf("the same differs: %v", told)
	}
}

func TestMaskKeepsFixedTimes(t *testing.T) {
	got := mask(`{"version":"3.6.1","ts_ms":1700000000000,"ts_us":1795369867951001,"pos":17,"file":"binlog.000001","thread":null}`)
	want := `{"version":"#","ts_ms":1700000000000,"ts_us":#,"pos":#,"file":"#","thread":#}`
	if got != want {
		t.Errorf("got %s", fmt.Sprint(got))
	}
}
