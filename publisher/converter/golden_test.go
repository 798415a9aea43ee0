package converter

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/config"
)

// cases are the recorded records of a real Debezium, of which the goldens here were made.
const cases = "../../integration/conformance/testdata/cases"

// golden is what the Java converter of a file made of one key or value: testdata/README.md says how it was recorded.
type golden struct {
	Case, Engine string
	Line         int
	Part         string
	Topic        string
	Bytes        *[]byte
	Schemas      map[uint32]string // those that were registered with this record, by id
	Error        string
}

// registeredGoldens are the converters of testdata/golden and their options, and how many records of a case differ on purpose.
var registeredGoldens = []struct {
	file, class string
	options     map[string]string
	differ      map[string]int
}{
	{"avro", "avro", nil, nil},
	// Dates before 1582 are of the calendar that the database and google.type.Date count in, not of Julius Caesar's, which Java's Calendar changes to.
	// And 24:00:00 is not 00:00:00.
	{"protobuf", "protobuf", nil, map[string]int{"ty-time-not-null-range": 1, "ty-defaults-temporal-connect": 5, "ty-temporal-connect": 5}},
	{"jsonschema", "jsonschema", nil, nil},
	{"avro-options", "avro", map[string]string{"connect.meta.data": "false", "scrub.invalid.names": "true", "ignore.default.for.nullables": "true", "discard.type.doc.default": "true"}, nil},
	{"avro-record-subjects", "avro", map[string]string{"key.subject.name.strategy": "io.confluent.kafka.serializers.subject.RecordNameStrategy",
		"value.subject.name.strategy": "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy"}, nil},
	{"protobuf-optional", "protobuf", map[string]string{"optional.for.nullables": "true", "scrub.invalid.names": "true"}, map[string]int{"ty-temporal-connect": 5}},
	{"protobuf-wrapper", "protobuf", map[string]string{"wrapper.for.nullables": "true", "ignore.default.for.nullables": "true"}, map[string]int{"ty-temporal-connect": 5}},
	{"jsonschema-options", "jsonschema", map[string]string{"object.additional.properties": "false", "decimal.format": "NUMERIC", "ignore.default.for.nullables": "true"}, nil},
	{"cloudevents", "cloudevents", nil, nil},
	{"cloudevents-mariadb", "cloudevents", nil, nil},
	{"cloudevents-plain", "cloudevents", map[string]string{"json.schemas.enable": "false", "extension.attributes.enable": "false", "json.decimal.format": "NUMERIC", "schema.cloudevents.name": "my-events"}, nil},
	{"cloudevents-json-avro", "cloudevents", map[string]string{"data.serializer.type": "avro"}, nil},
	{"cloudevents-avro-avro", "cloudevents", map[string]string{"serializer.type": "avro", "data.serializer.type": "avro"}, nil},
}

func TestGoldens(t *testing.T) {
	inputs := newInputs(t)
	for _, g := range registeredGoldens {
		t.Run(g.file, func(t *testing.T) { checkGoldens(t, inputs, g.file, g.class, g.options, g.differ) })
	}
}

func checkGoldens(t *testing.T, inputs *inputs, file, class string, given map[string]string, differ map[string]int) {
	registry := newFakeRegistry(t)
	converters := map[string]record.Converter{}
	for role, part := range []string{"key", "value"} {
		options := map[string]string{"schema.registry.url": registry.URL, "avro.schema.registry.url": registry.URL}
		for k, v := range given {
			options[k] = v
		}
		c, err := New(Role(role), config.NewConverter(class, options), nil)
		if err != nil {
			t.Fatal(err)
		}
		converters[part] = c
	}
	java := map[uint32]string{}
	n, failed := 0, 0
	differing := map[string]int{}
	goldens := readGoldens(t, file)
	if c, ok := converters["value"].(*cloudEvents); ok {
		c.uriBase = recordedRegistry(goldens)
	}
	for _, g := range goldens {
		n++
		d := inputs.read(t, g)
		got, null, err := converters[g.Part].Append([]byte("before"), g.Topic, nil, d)
		if why := compare(registry, java, g, got, null, err); why != "" {
			if differing[g.Case]++; differing[g.Case] <= differ[g.Case] {
				continue
			}
			if failed++; failed <= 5 {
				t.Errorf("%s/%s line %d %s: %s", g.Case, g.Engine, g.Line, g.Part, why)
			}
		}
	}
	if failed > 5 {
		t.Errorf("%d of %d differ", failed, n)
	}
	for name, want := range differ {
		if differing[name] < want {
			t.Errorf("%s: %d records differ, want %d: the list of differences is longer than it need be", name, differing[name], want)
		}
	}
	if n == 0 {
		t.Fatal("no goldens")
	}
	t.Logf("%d keys and values", n)
}

// recordedRegistry returns the address of the registry that stands in recorded events.
func recordedRegistry(goldens []golden) string {
	address := regexp.MustCompile(`mock://s\d+`)
	for _, g := range goldens {
		if g.Bytes != nil && address.Match(*g.Bytes) {
			return string(address.Find(*g.Bytes))
		}
	}
	return ""
}

// compare says how ours differs from Java's; ids may differ, but they must stand for the same schema.
func compare(registry *fakeRegistry, java map[uint32]string, g golden, got []byte, null bool, err error) string {
	switch {
	case g.Error != "":
		if err == nil {
			return "Java fails and we do not: " + g.Error
		}
		return ""
	case err != nil:
		return err.Error()
	case !bytes.HasPrefix(got, []byte("before")):
		return "what was before is gone"
	case null || g.Bytes == nil:
		if null != (g.Bytes == nil) {
			return fmt.Sprintf("null is %v, want %v", null, g.Bytes == nil)
		}
		return ""
	}
	for id, text := range g.Schemas {
		java[id] = text
	}
	got, want := got[len("before"):], *g.Bytes
	if len(want) < 5 || want[0] != magic || java[binary.BigEndian.Uint32(want[1:])] == "" {
		if !bytes.Equal(got, want) { // no registered schema
			return difference(string(got), string(want))
		}
		return ""
	}
	id := binary.BigEndian.Uint32(want[1:])
	if len(got) < 5 {
		return fmt.Sprintf("only %x", got)
	}
	if ours := registry.text(int(binary.BigEndian.Uint32(got[1:]))); ours != java[id] {
		return "schema: " + difference(ours, java[id])
	}
	if !bytes.Equal(got[5:], want[5:]) {
		return fmt.Sprintf("bytes:\ngot  %x\nwant %x", got[5:], want[5:])
	}
	return ""
}

func difference(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	from := max(0, i-80)
	return fmt.Sprintf("\ngot  …%.300s\nwant …%.300s", got[from:], want[from:])
}

func readGoldens(t testing.TB, file string) (out []golden) {
	f, err := os.Open(filepath.Join("testdata", "golden", file+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var g golden
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// inputs reads the recorded records, and keeps their schemas: one pointer for each, as a lane has it.
type inputs struct {
	lines   map[string][]string
	schemas map[string][]*record.Schema
}

func newInputs(testing.TB) *inputs {
	return &inputs{map[string][]string{}, map[string][]*record.Schema{}}
}

func (in *inputs) read(t testing.TB, g golden) record.Data {
	at := filepath.Join(cases, g.Case)
	name := at + "/" + g.Engine
	if in.lines[name] == nil {
		in.lines[name] = readLines(t, filepath.Join(at, "golden."+g.Engine+".jsonl"))
		for _, line := range readLines(t, filepath.Join(at, "schemas."+g.Engine+".jsonl")) {
			if line == "" {
				continue
			}
			s, err := record.ParseSchema([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			in.schemas[name] = append(in.schemas[name], s)
		}
	}
	var r struct {
		Key, Value             string
		KeySchema, ValueSchema int
	}
	if err := json.Unmarshal([]byte(in.lines[name][g.Line]), &r); err != nil {
		t.Fatal(err)
	}
	text, schema := r.Value, in.schemas[name][r.ValueSchema]
	if g.Part == "key" {
		text, schema = r.Key, in.schemas[name][r.KeySchema]
	}
	v, err := record.DecodePayload([]byte(text), schema, &record.Slab{})
	if err != nil {
		t.Fatal(err)
	}
	return record.Data{Schema: schema, Value: v}
}

func readLines(t testing.TB, file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
