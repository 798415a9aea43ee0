package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// older is testdata/older.json: what is different where a case runs on a server older than the one that it was recorded on.
type older struct {
	// Skip names cases that a server cannot run: it lacks the type, or a form of definition.
	Skip []struct {
		Case    string   `json:"case"`
		Servers []string `json:"servers"`
		Why     string   `json:"why"`
	} `json:"skip"`
	// Allow are differences of what the server holds, by the server's name in Engine.
	Allow []Exception `json:"allow"`
	// Settings are statements that make a server understand definitions as newer ones do.
	Settings map[string][]string `json:"settings"`
}

func (o older) skips(name, server string) (why string, ok bool) {
	for _, s := range o.Skip {
		if s.Case == name && slices.Contains(s.Servers, server) {
			return s.Why, true
		}
	}
	return "", false
}

// TestOlderServers runs the cases of types on older servers, with what was recorded on the new one: go test ./integration/conformance -run OlderServers/ty-json
func TestOlderServers(t *testing.T) {
	dirs, err := filepath.Glob(*cases + "/ty-*/case.json")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	allowed, err := exceptions("testdata/allow.json")
	if err != nil {
		t.Fatal(err)
	}
	var old older
	b, err := os.ReadFile("testdata/older.json")
	if err == nil {
		err = json.Unmarshal(b, &old)
	}
	if err != nil {
		t.Fatal(err)
	}
	servers := []string{string(harness.MySQL80), string(harness.MySQL57)}
	addrs := map[string]string{}
	for _, s := range servers {
		addrs[s] = harness.Addr(t, harness.Part(s))
		harness.Exec(t, harness.Root(t, addrs[s]), old.Settings[s]...)
	}
	mesh := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	cl, err := NewClient(mesh.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		name := filepath.Base(dir)
		if _, err := os.Stat(filepath.Join(dir, "golden.mysql.jsonl")); err != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, server := range servers { // one after the other: both write the same topics
				t.Run(server, func(t *testing.T) {
					if why, ok := old.skips(name, server); ok {
						t.Skip(why)
					}
					onOlder(t, &Target{REST: mesh.REST, Kafka: mesh.Kafka, Client: cl, Engine: "mysql", Addr: addrs[server], Say: t.Logf}, dir, server, allowed, old.Allow)
				})
			}
		})
	}
}

// onOlder runs a case on a server of another version and compares.
func onOlder(t *testing.T, target *Target, dir, server string, allowed, more []Exception) {
	want, err := golden(dir, "mysql")
	if err == nil {
		err = except(allowed, filepath.Base(dir), "mysql", want)
	}
	if err == nil {
		err = except(more, filepath.Base(dir), server, want)
	}
	if err != nil {
		t.Fatal(err)
	}
	end, err := readEnding(dir, "mysql")
	if err != nil {
		t.Fatal(err)
	}
	schemaChanges := nameOf(dir) + "/0"
	differ := func(recs []*kgo.Record) (bad int, told []string) {
		return compare(ageless(want, schemaChanges), ageless(actual(recs), schemaChanges), *differences)
	}
	got, err := target.Play(t.Context(), Run{Dir: dir, Connector: nameOf(dir) + "_" + server, MayFail: end.Failed != "", GoesOn: goesOn, Whole: func(recs []*kgo.Record) bool {
		bad, _ := differ(recs)
		return bad == 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	if bad, told := differ(got.Records); bad > 0 {
		t.Errorf("%d records differ\n%s", bad, strings.Join(told, "\n"))
	}
}

// caseTime is a time that a case set, or a masked one: whether the source tells it or the time of the commit depends on the server's version.
var caseTime = regexp.MustCompile(`"ts_(ms|us|ns)":(#|` + fixed + `\d*)`)

// ageless leaves out what depends on a server's version by its nature: the texts of definitions that it prints, and which of its clocks a row names.
func ageless(s stream, schemaChanges string) stream {
	out := stream{}
	for at, recs := range s {
		if at == schemaChanges || at == historyTopic+"/0" {
			continue
		}
		for _, r := range recs {
			out[at] = append(out[at], caseTime.ReplaceAllString(r, `"ts_$1":#`))
		}
	}
	return out
}
