package convert

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// TestGolden converts recorded row streams and compares every record with what a real Debezium and Kafka Connect wrote for the same statements.
// testdata/golden/CASE holds, per engine: messages.jsonl, the stream as our capturer sent it (SubscribeResponse as JSON); golden.jsonl and
// schemas.jsonl, the recorded records; differences.txt, the records that differ on purpose and why. ROWMESH_TEST_GOLDEN names another folder.
func TestGolden(t *testing.T) {
	root := filepath.Join("testdata", "golden")
	if dir := os.Getenv("ROWMESH_TEST_GOLDEN"); dir != "" {
		root = dir
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "messages.*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in %s: %v", root, err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		engine := strings.Split(filepath.Base(file), ".")[1]
		t.Run(filepath.Base(dir)+"/"+engine, func(t *testing.T) {
			t.Parallel()
			checkGolden(t, dir, engine)
		})
	}
}

func checkGolden(t *testing.T, dir, engine string) {
	cfg := goldenConfig(t, dir, engine)
	enc, err := New(cfg, Options{RunID: "run", Now: func() int64 { return 1_700_000_000_123_456_789 }})
	if err != nil {
		t.Fatal(err)
	}
	var out Output
	for _, line := range readLines(t, filepath.Join(dir, "messages."+engine+".jsonl")) {
		var m capturev1.SubscribeResponse
		if err := protojson.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		switch m := m.Message.(type) {
		case *capturev1.SubscribeResponse_Schema:
			err = enc.AddTable(m.Schema)
		case *capturev1.SubscribeResponse_Batch:
			err = enc.Batch(m.Batch, &out)
		case *capturev1.SubscribeResponse_Ddl:
			err = enc.Ddl(m.Ddl, &out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got := map[string][]string{}
	for i := range out.Records {
		r := &out.Records[i]
		text := fmt.Sprintf("key=%s\nvalue=%s\nheaders=", orNull(out.Bytes(r.Key)), orNull(out.Bytes(r.Value)))
		for _, h := range enc.Headers(nil, &out, r) {
			text += " " + h.Key + "=" + string(h.Value)
		}
		got[r.Topic.Name] = append(got[r.Topic.Name], mask(text))
	}
	want := goldenRecords(t, dir, engine)
	compareTopics(t, got, want, readDifferences(t, filepath.Join(dir, "differences."+engine+".txt")))
}

func orNull(b []byte) string {
	if b == nil {
		return "<null>"
	}
	return string(b)
}

// compareTopics compares the records of each topic in order. A record that differs must be named in allowed ("topic #index"), and one named there
// must differ.
func compareTopics(t *testing.T, got, want map[string][]string, allowed map[string]bool) {
	for topic, w := range want {
		g := got[topic]
		if len(g) != len(w) {
			t.Errorf("%s: %d records, want %d", topic, len(g), len(w))
		}
		for i := range min(len(g), len(w)) {
			name := fmt.Sprintf("%s #%d", topic, i)
			if same := g[i] == w[i]; !same && !allowed[name] {
				t.Errorf("%s:\n%s", name, firstDifference(g[i], w[i]))
			} else if same && allowed[name] {
				t.Errorf("%s is as recorded, but the differences say that it differs", name)
			}
		}
	}
	for topic, g := range got {
		if want[topic] == nil {
			t.Errorf("%s: %d records that nobody wrote; the first is\n%.300s", topic, len(g), g[0])
		}
	}
}

func firstDifference(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	from := max(0, i-80)
	return fmt.Sprintf("got  …%.200s\nwant …%.200s", got[from:], want[from:])
}

// goldenRecords returns the recorded records by topic, as text.
func goldenRecords(t *testing.T, dir, engine string) map[string][]string {
	schemas := readLines(t, filepath.Join(dir, "schemas."+engine+".jsonl"))
	full := func(schema *int, payload *string) string {
		switch {
		case payload == nil:
			return "<null>"
		case schema != nil:
			return `{"schema":` + schemas[*schema] + `,"payload":` + *payload + `}`
		}
		return *payload
	}
	out := map[string][]string{}
	for _, line := range readLines(t, filepath.Join(dir, "golden."+engine+".jsonl")) {
		var r struct {
			Topic                  string
			Key, Value             *string
			KeySchema, ValueSchema *int
			Headers                [][2]string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		// The history is Debezium's own; zz_marker is the table by which the recording found its end.
		if r.Topic == "«history»" || strings.Contains(line, "zz_marker") && (r.Value == nil || strings.Contains(*r.Value, `"ddl":`)) {
			continue
		}
		text := "key=" + full(r.KeySchema, r.Key) + "\nvalue=" + full(r.ValueSchema, r.Value) + "\nheaders="
		for _, h := range r.Headers {
			text += " " + h[0] + "=" + h[1]
		}
		out[r.Topic] = append(out[r.Topic], mask(text))
	}
	return out
}

// masks hide what differs between two runs: times, versions, places in the log. Times of 1700000000 are set by the statements and are compared.
var masks = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`("ts_(?:ms|us|ns)":)\d+`), "${1}0"},
	{regexp.MustCompile(`("version":)"[^"]+"`), `${1}""`},
	{regexp.MustCompile(`("file":)"[^"]+"`), `${1}""`},
	{regexp.MustCompile(`("pos":)[1-9]\d*`), "${1}1"},
	{regexp.MustCompile(`("gtid":)"[^"]+"`), `${1}""`},
	{regexp.MustCompile(`("thread":)(?:\d+|null)`), "${1}1"},
	{regexp.MustCompile(`("server_id":)[1-9]\d*`), "${1}1"},
	{regexp.MustCompile(`runId=\S+`), "runId="},
}

func mask(s string) string {
	for _, m := range masks {
		s = m.re.ReplaceAllString(s, m.to)
	}
	return s
}

// readDifferences reads the records that differ on purpose, a line each: "topic #index: reason".
func readDifferences(t *testing.T, file string) map[string]bool {
	out := map[string]bool{}
	if _, err := os.Stat(file); err != nil {
		return out
	}
	for _, line := range readLines(t, file) {
		name, _, _ := strings.Cut(line, ": ")
		out[name] = true
	}
	return out
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		out = append(out, s.Text())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// testConfig is a connector with Debezium's defaults.
func testConfig(prefix string) *config.Connector {
	json := config.Converter{Class: "json", Schemas: true, NullDefault: true}
	return &config.Connector{
		Flavor: config.MySQL, TopicPrefix: prefix, KeyConverter: json, ValueConverter: json, TimeAdjuster: true, TombstonesOnDelete: true,
		SkippedOperations: "t", IncludeSchemaChanges: true, ExtendedHeaders: true, UnavailableValue: "__debezium_unavailable_value",
	}
}

// goldenConfig is the config of a case: defaults, and the options of case.json that concern conversion.
func goldenConfig(t *testing.T, dir, engine string) *config.Connector {
	var c struct{ Config map[string]string }
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	db := strings.ReplaceAll(filepath.Base(dir), "-", "_")
	cfg := testConfig(db)
	cfg.Flavor = config.Flavor(engine)
	cfg.Raw = map[string]string{}
	lists := func(s string) []string { return strings.Split(strings.ReplaceAll(s, "$DB", db), ",") }
	for option, v := range c.Config {
		on := v == "true"
		cfg.Raw[option] = strings.ReplaceAll(v, "$DB", db)
		switch option {
		case "decimal.handling.mode":
			cfg.DecimalMode = v
		case "bigint.unsigned.handling.mode":
			cfg.BigintUnsignedMode = v
		case "time.precision.mode":
			cfg.TimeMode = v
		case "binary.handling.mode":
			cfg.BinaryMode = v
		case "enable.time.adjuster":
			cfg.TimeAdjuster = on
		case "schema.name.adjustment.mode":
			cfg.SchemaNameMode = v
		case "field.name.adjustment.mode":
			cfg.FieldNameMode = v
		case "include.schema.changes":
			cfg.IncludeSchemaChanges = on
		case "include.schema.comments":
			cfg.IncludeSchemaComments = on
		case "include.query":
			cfg.IncludeQuery = on
		case "tombstones.on.delete":
			cfg.TombstonesOnDelete = on
		case "skip.messages.without.change":
			cfg.SkipUnchanged = on
		case "extended.headers.enabled":
			cfg.ExtendedHeaders = on
		case "skipped.operations":
			cfg.SkippedOperations = strings.NewReplacer(",", "", "none", "").Replace(v)
		case "topic.delimiter":
			cfg.TopicDelimiter = v
		case "column.exclude.list":
			cfg.ExcludeColumns = lists(v)
		case "column.include.list":
			cfg.IncludeColumns = lists(v)
		case "message.key.columns":
			for k := range strings.SplitSeq(strings.ReplaceAll(v, "$DB", db), ";") {
				table, columns, _ := strings.Cut(k, ":")
				cfg.MessageKeyColumns = append(cfg.MessageKeyColumns, config.KeyColumns{Table: table, Columns: strings.Split(columns, ",")})
			}
		case "key.converter.schemas.enable":
			cfg.KeyConverter.Schemas = on
		case "value.converter.schemas.enable":
			cfg.ValueConverter.Schemas = on
		case "key.converter.replace.null.with.default":
			cfg.KeyConverter.NullDefault = on
		case "value.converter.replace.null.with.default":
			cfg.ValueConverter.NullDefault = on
		}
	}
	return cfg
}
