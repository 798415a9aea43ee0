package history

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded returns the values of the schema history in the recordings of a real Debezium.
func recorded(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "integration", "conformance", "testdata", "cases", "*", "golden.*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			if !strings.HasPrefix(lines.Text(), `{"topic":"«history»"`) {
				continue
			}
			var r struct{ Value string }
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			out = append(out, r.Value)
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return out
}

// What a real Debezium wrote is read, and written again to the same bytes.
func TestRecordedIsReadAndWrittenAgain(t *testing.T) {
	all := recorded(t)
	bad := 0
	for _, value := range all {
		r, err := Parse([]byte(value))
		if err != nil {
			t.Fatalf("%v\n%s", err, value)
		}
		if strings.Contains(value, "transaction_data_collection_order_") {
			continue // the events of an open transaction, which nobody reads in a history
		}
		if diff := cmp.Diff(value, string(r.Append(nil))); diff != "" {
			if bad++; bad > 3 {
				t.Fatal("and more")
			}
			t.Errorf("-debezium +again\n%s", diff)
		}
		for i := range r.Changes {
			if c := &r.Changes[i]; (c.Definition() == "") != (c.Type == Drop) {
				t.Errorf("definition of %s %s is %q", c.Type, c.Table, c.Definition())
			}
		}
	}
	t.Logf("%d records", len(all))
}
