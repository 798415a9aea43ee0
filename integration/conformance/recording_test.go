package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What is written as a recording is read as the same stream, whatever the bytes are.
func TestRecordingIsReadAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a-case")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "case.json"), []byte(`{"note":"n","config":{}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	schema := `{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},"payload":`
	records := []*kgo.Record{
		{Topic: "t", Key: []byte(schema + `{"id":1}}`), Value: []byte(schema + `{"id":1,"s":"<&>\u2028\"\\"}}`), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}},
		{Topic: "t", Key: []byte(schema + `{"id":2}}`)},
		{Topic: "t", Value: []byte(`{"schema":{"type":"int32"}, "payload":1}`)}, // blanks: not what a schema and a payload give
		{Topic: "t", Partition: 1, Key: []byte("text"), Value: []byte{0xff, 0, 1}},
		{Topic: historyTopic, Value: []byte("{}")},
	}
	end := ending{Offsets: []byte(`{"offsets":[{"partition":{"server":"a_case"},"offset":{"file":"binlog.000001","pos":4,"gtids":"x:1","row":1}}]}`)}
	if err := (Result{Records: records, End: end}).Write(dir, "mysql"); err != nil {
		t.Fatal(err)
	}
	got, err := golden(dir, "mysql")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(actual(records), got); d != "" {
		t.Errorf("stream (-written +read):\n%s", d)
	}
	if len(got) != 3 {
		t.Errorf("%d partitions, want 3: two and the history's", len(got))
	}
	back, err := readEnding(dir, "mysql")
	if err != nil {
		t.Fatal(err)
	}
	fields, err := back.offsetFields()
	if want := `{"server":"a_case"}: file=# gtids=# pos=#`; err != nil || fields != want {
		t.Errorf("offsets %s, %v; want %s", fields, err, want)
	}
}
