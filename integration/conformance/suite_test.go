package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// suite runs cases on one mesh and counts what it compared.
type suite struct {
	mesh    *harness.Mesh
	client  *kgo.Client
	allowed []Exception
	addrs   map[string]string
	began   time.Time

	mu     sync.Mutex
	counts map[string]*count // by engine
}

// count is what was compared on an engine.
type count struct{ cases, records, differ, failed int }

// run runs a case on an engine, if it was recorded there, and compares.
func (s *suite) run(t *testing.T, c Case, dir, engine string) {
	want, err := golden(dir, engine)
	if !c.On(engine) || os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := except(s.allowed, filepath.Base(dir), engine, want); err != nil {
		t.Fatal(err)
	}
	end, err := readEnding(dir, engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Run(engine, func(t *testing.T) {
		differ := 1 // unless it gets through
		defer func() { s.add(engine, want, differ, t.Failed()) }()
		target := &Target{REST: s.mesh.REST, Kafka: s.mesh.Kafka, Client: s.client, Engine: engine, Addr: s.addrs[engine], Say: t.Logf}
		whole := func(recs []*kgo.Record) bool {
			came := actual(recs)
			unsure(s.allowed, filepath.Base(dir), engine, came)
			differ, _ := compare(want, came, 0)
			return differ == 0
		}
		got, err := target.Play(t.Context(), Run{Dir: dir, Connector: nameOf(dir) + "_" + engine, MayFail: end.Failed != "", GoesOn: goesOn, Whole: whole})
		if err != nil {
			t.Fatal(err)
		}
		came := actual(got.Records)
		unsure(s.allowed, filepath.Base(dir), engine, came)
		if end.Failed != "" { // the history of the recording ends where Debezium died, and of ours nobody knows how often the lane had started
			delete(want, historyTopic+"/0")
			delete(came, historyTopic+"/0")
		}
		bad, told := compare(want, came, *differences)
		told = append(told, compareEnds(end, got.End)...)
		if differ = bad; len(told) > 0 {
			t.Errorf("%s\n%s\n%s", c.Note, strings.Join(told, "\n"), s.trace(t, nameOf(dir)+"_"+engine, got.Records))
		}
	})
}

// trace says where the records stand in their partitions, which shows what was aborted in front of them, and what the members logged about the connector.
func (s *suite) trace(t *testing.T, connector string, recs []*kgo.Record) string {
	var out []string
	var last *kgo.Record
	for _, r := range recs {
		if last == nil || last.Topic != r.Topic || last.Partition != r.Partition {
			out = append(out, fmt.Sprintf("%s/%d: offsets", r.Topic, r.Partition))
		}
		out[len(out)-1] += fmt.Sprintf(" %d", r.Offset)
		last = r
	}
	for _, name := range slices.Sorted(maps.Keys(s.mesh.Members)) {
		for line := range strings.SplitSeq(s.mesh.Log(t, name), "\n") {
			if strings.Contains(line, "connector="+connector+" ") || strings.Contains(line, "reader_of="+connector+"/") {
				out = append(out, line)
			}
		}
	}
	return strings.Join(out, "\n")
}

func (s *suite) add(engine string, want stream, differ int, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts[engine]
	n.cases++
	n.differ += differ
	for _, recs := range want.trimmed() {
		n.records += len(recs)
	}
	if failed {
		n.failed++
	}
}

// summary tells what was compared on an engine.
func (s *suite) summary(engine string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, allowed := s.counts[engine], 0
	for _, e := range s.allowed {
		if e.On(engine) {
			allowed++
		}
	}
	return fmt.Sprintf("%s: %d cases, %d failed; %d records compared, %d differ; %d differences allowed by testdata/allow.json; both engines took %.0f s", engine, n.cases, n.failed,
		n.records, n.differ, allowed, time.Since(s.began).Seconds())
}

// compareEnds compares how a case ended. The 500 with which Connect answers an invalid option of MySQL's connector is none to follow.
func compareEnds(want, got ending) (told []string) {
	switch {
	case want.Create == nil && got.Create != nil:
		return []string{fmt.Sprintf("the connector was refused with %d: %s", got.Create.Code, got.Create.message())}
	case want.Create != nil && got.Create == nil:
		return []string{fmt.Sprintf("the connector was created, want %d: %s", want.Create.Code, want.Create.message())}
	case want.Create != nil:
		if got.Create.Code != http.StatusBadRequest || want.Create.Code == http.StatusBadRequest && got.Create.message() != want.Create.message() {
			told = append(told, fmt.Sprintf("refused with %d %s\nwant %d %s", got.Create.Code, got.Create.message(), want.Create.Code, want.Create.message()))
		}
		return told
	case want.Failed != "": // with what ours ends depends on what it does in that place
		return nil
	}
	w, err := want.offsetFields()
	g, err2 := got.offsetFields()
	if err != nil || err2 != nil {
		return []string{fmt.Sprint(err, err2)}
	}
	if w != g {
		told = append(told, fmt.Sprintf("offsets at the end\n    want %s\n    got  %s", w, g))
	}
	return told
}
