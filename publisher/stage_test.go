package publisher

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/transform"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/row"
)

// stageConfig is a connector with Debezium's defaults and these options.
func stageConfig(flavor string, raw map[string]string) *config.Connector {
	json := config.Converter{Class: "json", Schemas: true, NullDefault: true}
	return &config.Connector{
		Flavor: config.Flavor(flavor), TopicPrefix: "srv", KeyConverter: json, ValueConverter: json, TimeAdjuster: true, TombstonesOnDelete: true, IncludeSchemaChanges: true,
		ExtendedHeaders: true, UnavailableValue: "__debezium_unavailable_value", Raw: raw,
	}
}

// encode runs recorded messages of a capturer through an encoder, and a stage if there is one, and prints the records.
func encode(t testing.TB, cfg *config.Connector, staged bool, messages []*capturev1.SubscribeResponse) []string {
	t.Helper()
	encoderCfg, s := cfg, (*stage)(nil)
	if staged {
		var err error
		if s, err = newStage(cfg, transform.Env{Now: time.Now}, nil); err != nil {
			t.Fatal(err)
		}
		encoderCfg = encoderConfig(*cfg)
	}
	enc, err := convert.New(encoderCfg, convert.Options{RunID: "run", Shapes: staged, Now: func() int64 { return 1_700_000_000_123_456_789 }})
	if err != nil {
		t.Fatal(err)
	}
	if s != nil {
		s.contextHeaders(enc.ContextHeaders())
	}
	return encodeBy(t, enc, s, messages)
}

// encodeBy is encode by an encoder and a stage, nil for none.
func encodeBy(t testing.TB, enc *convert.Encoder, s *stage, messages []*capturev1.SubscribeResponse) []string {
	t.Helper()
	var out []string
	var err error
	for _, m := range messages {
		var o convert.Output
		switch m := m.Message.(type) {
		case *capturev1.SubscribeResponse_Schema:
			err = enc.AddTable(m.Schema)
		case *capturev1.SubscribeResponse_Batch:
			err = enc.Batch(m.Batch, &o)
		case *capturev1.SubscribeResponse_Ddl:
			err = enc.Ddl(m.Ddl, &o)
		}
		if err != nil {
			t.Fatal(err)
		}
		of := &o
		if s != nil {
			if of, err = s.run(t.Context(), &o, func(_ int, e *stageError) error { return e }); err != nil {
				t.Fatal(err)
			}
		}
		for i := range of.Records {
			out = append(out, printed(enc, of, &of.Records[i]))
		}
	}
	return out
}

// printed is a record as text: where it goes, key, value and headers.
func printed(enc *convert.Encoder, o *convert.Output, r *convert.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%d hash %d key %q value %q", r.Topic.Name, r.Partition, r.Hash, o.Bytes(r.Key), o.Bytes(r.Value))
	for _, h := range r.Headers {
		fmt.Fprintf(&b, " %s=%s", h.Key, o.Bytes(h.Value))
	}
	for _, h := range enc.Headers(nil, o, r) {
		fmt.Fprintf(&b, " %s=%s", h.Key, h.Value)
	}
	return b.String()
}

func recordedMessages(t testing.TB, file string) []*capturev1.SubscribeResponse {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []*capturev1.SubscribeResponse
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		m := &capturev1.SubscribeResponse{}
		if err := protojson.Unmarshal(lines.Bytes(), m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestStageChangesNothing: without transforms, and with the JSON converter, the two steps write what the encoder writes alone, byte for byte, in every
// recorded stream: all column types, key changes, tombstones, statements, transactions.
func TestStageChangesNothing(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("convert", "testdata", "golden", "*", "messages.*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	records := 0
	for _, file := range files {
		engine := strings.Split(filepath.Base(file), ".")[1]
		messages := recordedMessages(t, file)
		for _, c := range []config.Converter{{Class: "json", Schemas: true, NullDefault: true}, {Class: "json"}, {Class: "json", Schemas: true, DecimalText: true}} {
			cfg := stageConfig(engine, map[string]string{})
			cfg.KeyConverter, cfg.ValueConverter = c, c
			want, got := encode(t, cfg, false, messages), encode(t, cfg, true, messages)
			if len(got) != len(want) {
				t.Fatalf("%s: %d records, want %d", file, len(got), len(want))
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%s, converter %+v, record %d:\ngot  %s\nwant %s", file, c, i, got[i], want[i])
				}
			}
			records += len(got)
		}
	}
	t.Logf("%d records of %d recordings", records, len(files))
}

// TestStageRejects: a record that a transform fails on goes to reject with its stage and class, and the others go on.
func TestStageRejects(t *testing.T) {
	cfg := stageConfig("mysql", map[string]string{
		"transforms": "m", "transforms.m.type": "org.apache.kafka.connect.transforms.MaskField$Value", "transforms.m.fields": "op",
		"transforms.m.replacement": "*"})
	cfg.IncludeSchemaChanges = false
	messages := recordedMessages(t, filepath.Join("convert", "testdata", "golden", "be-rows-key-change", "messages.mysql.jsonl"))
	s, err := newStage(cfg, transform.Env{Now: time.Now}, nil)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := convert.New(encoderConfig(*cfg), convert.Options{RunID: "run", Shapes: true, Now: func() int64 { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	kept, rejected, tombstones := 0, 0, 0
	for _, m := range messages {
		var o convert.Output
		switch m := m.Message.(type) {
		case *capturev1.SubscribeResponse_Schema:
			err = enc.AddTable(m.Schema)
		case *capturev1.SubscribeResponse_Batch:
			err = enc.Batch(m.Batch, &o)
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Records {
			if o.Records[i].Value.Len < 0 {
				tombstones++
			}
		}
		out, err := s.run(t.Context(), &o, func(i int, e *stageError) error {
			rejected++
			if o.Records[i].Value.Len >= 0 || e.stage != stageTransformation || e.class != "org.apache.kafka.connect.transforms.MaskField$Value" {
				t.Errorf("rejected in %s by %s: %v", e.stage, e.class, e)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range out.Records {
			kept++
			if v := string(out.Bytes(out.Records[i].Value)); !strings.Contains(v, `"op":"*"`) {
				t.Errorf("not masked: %.200s", v)
			}
		}
	}
	if tombstones == 0 || rejected != tombstones || kept == 0 {
		t.Errorf("%d tombstones, %d rejected, %d kept", tombstones, rejected, kept)
	}
}

// BenchmarkStage is the second step as a whole, per record of the wide table: what the encoder alone costs, and with the stage, without transforms and with the
// most usual one.
func BenchmarkStage(b *testing.B) {
	const rows = 256
	batch := &rowv1.Batch{Seq: 1, File: "binlog.000001", TxnFlags: []byte{0}, TxnCommitUs: []uint64{1_700_000_000_000_000}, GroupTxn: []uint32{0}, GroupSchema: []uint32{1},
		GroupOp: []byte{'u'}, GroupRows: []uint32{rows}, GroupPos: []uint64{4}, GroupTime: []uint32{1_700_000_000}, GroupFlags: []byte{0}}
	for i := range int64(rows) {
		batch.Payload = wideImage(wideImage(batch.Payload, i), i)
	}
	batch.GroupEnd = []uint32{uint32(len(batch.Payload))}
	unwrap := map[string]string{"transforms": "u", "transforms.u.type": "io.debezium.transforms.ExtractNewRecordState"}
	for _, c := range []struct {
		name    string
		staged  bool
		schemas bool
		raw     map[string]string
	}{{"encoder-alone", false, false, nil}, {"no-transform", true, false, nil}, {"no-transform-schemas", true, true, nil}, {"unwrap", true, false, unwrap}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := stageConfig("mysql", c.raw)
			cfg.KeyConverter.Schemas, cfg.ValueConverter.Schemas = c.schemas, c.schemas
			s, err := newStage(cfg, transform.Env{Now: time.Now}, nil)
			if err != nil {
				b.Fatal(err)
			}
			encoderCfg := cfg
			if c.staged {
				encoderCfg = encoderConfig(*cfg)
			}
			enc, err := convert.New(encoderCfg, convert.Options{Shapes: c.staged, Now: func() int64 { return 1 }})
			if err != nil {
				b.Fatal(err)
			}
			if err := enc.AddTable(wideTable()); err != nil {
				b.Fatal(err)
			}
			s.contextHeaders(enc.ContextHeaders())
			var o convert.Output
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				o.Reset()
				if err := enc.Batch(batch, &o); err != nil {
					b.Fatal(err)
				}
				if !c.staged {
					continue
				}
				if _, err := s.run(b.Context(), &o, func(_ int, e *stageError) error { return e }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/record")
		})
	}
}

// TestKeyChangeHeaders: both ways of writing the header of a key change spell Connect's dates and times alike, as Kafka's Values.convertToString does.
func TestKeyChangeHeaders(t *testing.T) {
	column := func(i uint32, name string, kind rowv1.Kind, typ string, length uint32) *rowv1.Column {
		return &rowv1.Column{Name: name, Kind: kind, TypeName: typ, TypeExpression: typ, Position: i, Length: &length}
	}
	table := &rowv1.Table{SchemaId: 1, Database: "db", Table: "t", Key: []uint32{0, 1, 2, 3}, Columns: []*rowv1.Column{
		column(1, "d", rowv1.Kind_KIND_DATE, "DATE", 0), column(2, "t", rowv1.Kind_KIND_TIME, "TIME", 3), column(3, "dt", rowv1.Kind_KIND_DATETIME, "DATETIME", 3),
		column(4, "s", rowv1.Kind_KIND_STRING, "VARCHAR", 9)}}
	image := func(b []byte, day uint64) []byte {
		b = row.AppendUint(append(b, 0), row.PackDate(2024, 2, day))
		b = row.AppendInt(b, 3_723_004_000) // 01:02:03.004
		b = row.AppendDatetime(b, row.PackDatetime(row.PackDate(2024, 2, day), 0, 0, 0, (day-28)*5000))
		return row.AppendBytes(b, `a"\`)
	}
	batch := &rowv1.Batch{Seq: 1, File: "binlog.000001", TxnFlags: []byte{0}, TxnCommitUs: []uint64{1}, GroupTxn: []uint32{0}, GroupSchema: []uint32{1}, GroupOp: []byte{'u'},
		GroupRows: []uint32{1}, GroupPos: []uint64{4}, GroupTime: []uint32{1}, GroupFlags: []byte{0}, Payload: image(image(nil, 28), 29)}
	batch.GroupEnd = []uint32{uint32(len(batch.Payload))}
	messages := []*capturev1.SubscribeResponse{{Message: &capturev1.SubscribeResponse_Schema{Schema: table}}, {Message: &capturev1.SubscribeResponse_Batch{Batch: batch}}}
	cfg := stageConfig("mysql", map[string]string{})
	cfg.TimeMode = "connect"
	want, got := encode(t, cfg, false, messages), encode(t, cfg, true, messages)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("record %d:\nstage   %s\nencoder %s", i, got[i], want[i])
		}
	}
	const header = `__debezium.newkey={"d":2024-02-29,"t":01:02:03.004Z,"dt":2024-02-29T00:00:00.005Z,"s":"a\"\\"}`
	if !strings.Contains(want[0], header) {
		t.Errorf("no %s in %s", header, want[0])
	}
	if old := `__debezium.oldkey={"d":2024-02-28,"t":01:02:03.004Z,"dt":2024-02-28,`; !strings.Contains(want[2], old) {
		t.Errorf("no %s in %s", old, want[2])
	}
}
