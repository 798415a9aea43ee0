package schema

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/history"
)

// A table as a recorded history of a real Debezium tells it is read by the parser: the same columns, in the same order, of the same types, with the same key.
func TestRecordedDefinitions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "integration", "conformance", "testdata", "cases", "*", "golden.*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	tables := 0
	for _, name := range files {
		options := Options{Flavor: config.MySQL, Version: 90704}
		if strings.Contains(name, ".mariadb.") {
			options = Options{Flavor: config.MariaDB, Version: 110809}
		}
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
			var stored struct{ Value string }
			if err := json.Unmarshal(lines.Bytes(), &stored); err != nil {
				t.Fatal(err)
			}
			r, err := history.Parse([]byte(stored.Value))
			if err != nil {
				t.Fatal(err)
			}
			for i := range r.Changes {
				if c := &r.Changes[i]; c.Type != history.Drop {
					tables++
					compareDefinition(t, options, c)
				}
			}
		}
		f.Close()
	}
	t.Logf("%d tables", tables)
}

func compareDefinition(t *testing.T, options Options, c *history.Change) {
	t.Helper()
	text := c.Definition()
	got, err := ParseCreate(options, c.Database, text)
	if err != nil {
		t.Errorf("%s\n%v", text, err)
		return
	}
	var key []string
	for _, i := range got.Key {
		key = append(key, got.Columns[i].Name)
	}
	if got.Table != c.Table || len(got.Columns) != len(c.Model.Columns) || strings.Join(key, ",") != strings.Join(c.Model.Key, ",") {
		t.Errorf("%s\nis table %s with %d columns and key %v", text, got.Table, len(got.Columns), key)
		return
	}
	for i, want := range c.Model.Columns {
		col := got.Columns[i]
		if col.Name != want.Name || col.TypeName != want.TypeName || col.Nullable != want.Optional || len(col.Members) != len(want.Members) ||
			want.Charset != nil && col.Charset != *want.Charset && len(want.Members) == 0 {
			t.Errorf("%s\ncolumn %s is %v, want %+v", text, want.Name, col, want)
		}
	}
}
