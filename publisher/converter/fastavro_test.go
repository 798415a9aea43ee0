package converter

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/publisher/record"
)

// fastavroProgram reads each value by its schema, writes what it has read again, and says where that is not the same bytes. It is a reader and a writer that share nothing
// with this package.
const fastavroProgram = `
import binascii, io, json, sys
import fastavro
schemas, n, bad = {}, 0, 0

def plain(s):
    """As numbers and bytes: decimals have more than one spelling, and Python's times end at midnight, where the database's do not."""
    if isinstance(s, dict):
        return {k: plain(v) for k, v in s.items() if k != "logicalType"}
    return [plain(v) for v in s] if isinstance(s, list) else s

for line in sys.stdin:
    c = json.loads(line)
    text, data = c["schema"], binascii.unhexlify(c["bytes"])
    if text not in schemas:
        schemas[text] = fastavro.parse_schema(plain(json.loads(text)), {})
    s, source, out = schemas[text], io.BytesIO(data), io.BytesIO()
    try:
        value = fastavro.schemaless_reader(source, s, return_record_name=True)
        fastavro.schemaless_writer(out, s, value)
        problem = "%d bytes are left" % (len(data) - source.tell()) if source.read(1) else "" if out.getvalue() == data else "it is written as %s" % out.getvalue().hex()
    except Exception as e:
        problem = repr(e)
    n += 1
    if problem:
        bad += 1
        if bad <= 5:
            print("%s: %s: %s" % (c["name"], problem, c["bytes"]))
print("read %d, %d wrong" % (n, bad))
sys.exit(1 if bad else 0)
`

// TestFastavro has a library of another language read and write again the Avro of every type case.
func TestFastavro(t *testing.T) {
	if testing.Short() {
		t.Skip("2000 texts through another process take seconds")
	}
	if err := exec.Command("python3", "-c", "import fastavro").Run(); err != nil {
		if os.Getenv("ROWMESH_REQUIRE_FASTAVRO") == "1" {
			t.Fatal(err)
		}
		t.Skip("needs Python with fastavro: pip install fastavro==1.13.1")
	}
	inputs, registry := newInputs(t), newFakeRegistry(t)
	converters := map[string]record.Converter{"key": newConverter(t, Key, "avro", "schema.registry.url="+registry.URL), "value": newConverter(t, Value, "avro", "schema.registry.url="+registry.URL)}
	var lines bytes.Buffer
	for _, g := range readGoldens(t, "avro") {
		if g.Error != "" || digitInNamespace.MatchString(g.Topic) {
			continue
		}
		b, null, err := converters[g.Part].Append(nil, g.Topic, nil, inputs.read(t, g))
		if err != nil {
			t.Fatalf("%s/%s line %d %s: %v", g.Case, g.Engine, g.Line, g.Part, err)
		}
		if null {
			continue
		}
		line, err := json.Marshal(map[string]string{"name": g.Case + "/" + g.Engine + " " + g.Part, "schema": registry.text(int(binary.BigEndian.Uint32(b[1:]))), "bytes": hex.EncodeToString(b[5:])})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	c := exec.CommandContext(t.Context(), "python3", "-c", fastavroProgram)
	c.Stdin = &lines
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 wrong") || strings.Contains(string(out), "read 0,") {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}
