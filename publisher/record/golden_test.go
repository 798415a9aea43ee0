package record

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldens are recorded records of the real converter, on each engine.
const goldens = "../../integration/conformance/testdata/cases"

// TestGoldenRoundTrip decodes each recorded key and value by its schema and encodes it again: the bytes must be the same, and so must those of the schema.
func TestGoldenRoundTrip(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(goldens, "*", "golden.*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in %s: %v", goldens, err)
	}
	texts := 0
	for _, file := range files {
		schemas := goldenSchemas(t, strings.Replace(file, "golden.", "schemas.", 1))
		key, value := goldenConverters(t, filepath.Join(filepath.Dir(file), "case.json"))
		eachLine(t, file, func(line string) {
			var r struct {
				Key, Value             *string
				KeySchema, ValueSchema *int
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			for _, part := range []struct {
				text      *string
				schema    *int
				converter *JSON
			}{{r.Key, r.KeySchema, key}, {r.Value, r.ValueSchema, value}} {
				if part.text == nil || part.schema == nil {
					continue
				}
				texts++
				schema := schemas[*part.schema]
				var slab Slab
				v, err := DecodePayload([]byte(*part.text), schema, &slab)
				if err != nil {
					t.Fatalf("%s: %s: %v", file, *part.text, err)
				}
				got, err := part.converter.AppendPayload(nil, schema, v)
				if err != nil {
					t.Fatalf("%s: %s: %v", file, *part.text, err)
				}
				if string(got) != *part.text {
					t.Fatalf("%s: %s", file, firstDifference(string(got), *part.text))
				}
			}
		})
	}
	if texts == 0 {
		t.Fatal("no recording has a schema")
	}
	t.Logf("%d texts of %d files", texts, len(files))
}

// goldenConverters returns the converters of a case.
func goldenConverters(t *testing.T, file string) (key, value *JSON) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Config map[string]string }
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	of := func(option string) *JSON {
		return &JSON{DecimalText: c.Config[option+".decimal.format"] == "NUMERIC", NullDefault: c.Config[option+".replace.null.with.default"] != "false"}
	}
	return of("key.converter"), of("value.converter")
}

// goldenSchemas parses the schemas of a recording, and renders each to the same bytes.
func goldenSchemas(t *testing.T, file string) []*Schema {
	var out []*Schema
	converter := &JSON{NullDefault: true}
	eachLine(t, file, func(line string) {
		s, err := ParseSchema([]byte(line))
		if err != nil {
			t.Fatalf("%s: %v: %s", file, err, line)
		}
		if got := string(converter.AppendSchema(nil, s)); got != line {
			t.Fatalf("%s: %s", file, firstDifference(got, line))
		}
		again, err := ParseSchema([]byte(line))
		if err != nil || !s.Equal(again) {
			t.Fatalf("%s: a schema that is read twice differs from itself: %v", file, err)
		}
		out = append(out, s)
	})
	return out
}

func eachLine(t *testing.T, file string, do func(string)) {
	f, err := os.Open(file)
	if os.IsNotExist(err) { // a case without schemas
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if lines.Text() != "" {
			do(lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func firstDifference(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	from := max(0, i-80)
	return fmt.Sprintf("\ngot  …%.200s\nwant …%.200s", got[from:], want[from:])
}
