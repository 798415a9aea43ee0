package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// smallTable has a key, a text with a default, and a number that must not be NULL.
func smallTable() *rowv1.Table {
	dflt := "none"
	return &rowv1.Table{SchemaId: 7, Database: "db", Table: "t", Key: []uint32{0}, Columns: []*rowv1.Column{
		{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT", Position: 1},
		{Name: "note", Kind: rowv1.Kind_KIND_STRING, TypeName: "VARCHAR", Position: 2, Nullable: true, HasDefault: true, DefaultExpression: &dflt},
		{Name: "n", Kind: rowv1.Kind_KIND_INT, TypeName: "INT", Position: 3},
		{Name: "at", Kind: rowv1.Kind_KIND_TIME, TypeName: "TIME", Position: 4, Nullable: true},
	}}
}

// image packs a row of smallTable; a nil leaves the column out if partial, "NULL" is NULL.
func image(partial bool, cells ...any) []byte {
	present, nulls := byte(0), byte(0)
	var data []byte
	for i, c := range cells {
		if c == nil {
			continue
		}
		present |= 1 << i
		switch v := c.(type) {
		case int:
			data = row.AppendInt(data, int64(v))
		case string:
			if v == "NULL" {
				nulls |= 1 << i
			} else {
				data = row.AppendBytes(data, v)
			}
		}
	}
	if partial {
		return append([]byte{present, nulls}, data...)
	}
	return append([]byte{nulls}, data...)
}

func oneGroup(op byte, flags byte, rows int, payload ...[]byte) *rowv1.Batch {
	var all []byte
	for _, p := range payload {
		all = append(all, p...)
	}
	return &rowv1.Batch{Seq: 3, File: "f.1", GroupSchema: []uint32{7}, GroupOp: []byte{op}, GroupFlags: []byte{flags}, GroupRows: []uint32{uint32(rows)},
		GroupEnd: []uint32{uint32(len(all))}, GroupPos: []uint64{99}, GroupTime: []uint32{1700000000}, GroupTxn: []uint32{0}, Payload: all}
}

func newEncoder(t *testing.T, change func(*config.Connector)) *Encoder {
	t.Helper()
	cfg := testConfig("p")
	cfg.KeyConverter.Schemas, cfg.ValueConverter.Schemas = false, false
	if change != nil {
		change(cfg)
	}
	enc, err := New(cfg, Options{RunID: "run", Now: func() int64 { return 1_700_000_000_123_456_789 }})
	if err != nil {
		t.Fatal(err)
	}
	if err := enc.AddTable(smallTable()); err != nil {
		t.Fatal(err)
	}
	return enc
}

// shapes describes records as "topic key op before after", null for null.
func shapes(t *testing.T, o *Output) []string {
	t.Helper()
	var out []string
	for i := range o.Records {
		r := &o.Records[i]
		text := r.Topic.Name + " " + orNull(o.Bytes(r.Key))
		if v := o.Bytes(r.Value); v != nil {
			var e struct {
				Op            string
				Before, After json.RawMessage
			}
			if err := json.Unmarshal(v, &e); err != nil {
				t.Fatalf("%s: %v", v, err)
			}
			text += fmt.Sprintf(" %s %s %s", e.Op, e.Before, e.After)
		} else {
			text += " <null>"
		}
		out = append(out, text)
	}
	return out
}

func TestOperations(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Connector)
		batch  *rowv1.Batch
		want   []string
	}{
		"create": {nil, oneGroup('c', 0, 2, image(false, 1, "x", 5, 0), image(false, 2, "NULL", 6, "NULL")), []string{
			`p.db.t {"id":1} c null {"id":1,"note":"x","n":5,"at":0}`, `p.db.t {"id":2} c null {"id":2,"note":"none","n":6,"at":null}`}},
		"null kept": {func(c *config.Connector) { c.ValueConverter.NullDefault = false }, oneGroup('c', 0, 1, image(false, 2, "NULL", 6, "NULL")),
			[]string{`p.db.t {"id":2} c null {"id":2,"note":null,"n":6,"at":null}`}},
		"delete": {nil, oneGroup('d', 0, 1, image(false, 1, "x", 5, 0)), []string{
			`p.db.t {"id":1} d {"id":1,"note":"x","n":5,"at":0} null`, `p.db.t {"id":1} <null>`}},
		"delete without tombstone": {func(c *config.Connector) { c.TombstonesOnDelete = false }, oneGroup('d', 0, 1, image(false, 1, "x", 5, 0)),
			[]string{`p.db.t {"id":1} d {"id":1,"note":"x","n":5,"at":0} null`}},
		"key change": {nil, oneGroup('u', 0, 1, image(false, 1, "x", 5, 0), image(false, 2, "x", 5, 0)), []string{
			`p.db.t {"id":1} d {"id":1,"note":"x","n":5,"at":0} null`, `p.db.t {"id":1} <null>`,
			`p.db.t {"id":2} c null {"id":2,"note":"x","n":5,"at":0}`}},
		"skipped":  {func(c *config.Connector) { c.SkippedOperations = "cu" }, oneGroup('c', 0, 1, image(false, 1, "x", 5, 0)), nil},
		"truncate": {func(c *config.Connector) { c.SkippedOperations = "" }, oneGroup('t', 0, 0), []string{`p.db.t <null> t null null`}},
		"unchanged": {func(c *config.Connector) { c.SkipUnchanged = true; c.ExcludeColumns = []string{`db\.t\.n`} },
			oneGroup('u', 0, 2, image(false, 1, "x", 5, 0), image(false, 1, "x", 6, 0), image(false, 1, "x", 5, 0), image(false, 1, "y", 5, 0)),
			[]string{`p.db.t {"id":1} u {"id":1,"note":"x","at":0} {"id":1,"note":"y","at":0}`}},
		"message key": {func(c *config.Connector) {
			c.MessageKeyColumns = []config.KeyColumns{{Table: `(.*)\.T`, Columns: []string{"n", "note"}}}
		},
			oneGroup('c', 0, 1, image(false, 1, "x", 5, 0)), []string{`p.db.t {"n":5,"note":"x"} c null {"id":1,"note":"x","n":5,"at":0}`}},
		// Partial images.
		"minimal update": {nil, oneGroup('u', row.PartialBefore|row.PartialAfter, 1, image(true, 1, nil, nil, nil), image(true, nil, "y", nil, nil)),
			[]string{`p.db.t {"id":1} u null {"id":1,"note":"y","n":null,"at":null}`}},
		"noblob update": {nil, oneGroup('u', row.PartialAfter, 1, image(false, 1, "x", 5, 0), image(true, nil, nil, 6, nil)),
			[]string{`p.db.t {"id":1} u {"id":1,"note":"x","n":5,"at":0} {"id":1,"note":"x","n":6,"at":0}`}},
		"noblob update without the text": {nil, oneGroup('u', row.PartialBefore|row.PartialAfter, 1, image(true, 1, nil, 5, 0), image(true, 1, nil, 6, 0)),
			[]string{`p.db.t {"id":1} u {"id":1,"note":"__debezium_unavailable_value","n":5,"at":0} {"id":1,"note":"__debezium_unavailable_value","n":6,"at":0}`}},
		"minimal update of the key": {nil, oneGroup('u', row.PartialBefore|row.PartialAfter, 1, image(true, 1, nil, nil, nil), image(true, 2, nil, nil, nil)),
			[]string{`p.db.t {"id":1} d {"id":1,"note":"__debezium_unavailable_value","n":null,"at":null} null`, `p.db.t {"id":1} <null>`,
				`p.db.t {"id":2} c null {"id":2,"note":"__debezium_unavailable_value","n":null,"at":null}`}},
		"minimal insert": {nil, oneGroup('c', row.PartialAfter, 1, image(true, 1, nil, 5, nil)),
			[]string{`p.db.t {"id":1} c null {"id":1,"note":"none","n":5,"at":null}`}},
	} {
		t.Run(name, func(t *testing.T) {
			var out Output
			if err := newEncoder(t, c.change).Batch(c.batch, &out); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, shapes(t, &out)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeyChangeHeaders(t *testing.T) {
	enc := newEncoder(t, nil)
	var out Output
	if err := enc.Batch(oneGroup('u', 0, 1, image(false, 1, "x", 5, 0), image(false, 2, "x", 5, 0)), &out); err != nil {
		t.Fatal(err)
	}
	want := []string{`__debezium.newkey={"id":2}`, `__debezium.newkey={"id":2}`, `__debezium.oldkey={"id":1}`}
	for i := range out.Records {
		h := enc.Headers(nil, &out, &out.Records[i])
		if got := h[0].Key + "=" + string(h[0].Value); len(h) != 5 || got != want[i] {
			t.Errorf("record %d: %d headers, first %s, want %s", i, len(h), got, want[i])
		}
		if got := h[4].Key + "=" + string(h[4].Value); got != "__debezium.context.runId=run" {
			t.Errorf("record %d: last header %s", i, got)
		}
	}
}

// TestConvertFailure: 25 hours are no time of day in time.precision.mode=connect.
func TestConvertFailure(t *testing.T) {
	day := 25 * 3600 * 1_000_000
	batch := oneGroup('c', 0, 3, image(false, 1, "x", 5, 1000), image(false, 2, "x", 5, day), image(false, 3, "x", 5, 2000))
	mode := func(m string) func(*config.Connector) {
		return func(c *config.Connector) { c.TimeMode, c.ConvertFailure = "connect", m }
	}
	var out Output
	if err := newEncoder(t, mode("warn")).Batch(batch, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Records) != 3 || out.Warned != 1 || out.Warnings[0].Column != "at" || out.Warnings[0].Row != 1 {
		t.Errorf("warn: %d records, %d warnings %v", len(out.Records), out.Warned, out.Warnings)
	}
	if got := shapes(t, &out)[1]; !strings.HasSuffix(got, `"at":null}`) {
		t.Errorf("warn: %s", got)
	}
	out.Reset()
	if err := newEncoder(t, mode("skip")).Batch(batch, &out); err != nil || out.Warned != 0 || len(out.Records) != 3 {
		t.Errorf("skip: %v, %d warnings", err, out.Warned)
	}
	out.Reset()
	err := newEncoder(t, mode("fail")).Batch(batch, &out)
	var bad *RowError
	if !errors.As(err, &bad) || errs.KindOf(err) != errs.Invalid || len(out.Records) != 1 {
		t.Fatalf("fail: %v after %d records", err, len(out.Records))
	}
	if bad.Table != "t" || bad.Column != "at" || bad.File != "f.1" || bad.Pos != 99 || bad.Row != 1 {
		t.Errorf("fail: the place is %+v", bad)
	}
	out.Reset()
	enc := newEncoder(t, mode("fail"))
	enc.opts.Tolerate = true
	if err := enc.Batch(batch, &out); err != nil || len(out.Records) != 2 || len(out.Failed) != 1 || out.Failed[0].Index != 1 {
		t.Errorf("tolerated: %v, %d records, failed %v", err, len(out.Records), out.Failed)
	}
}

// TestBadBatches: whatever a batch says, there is an error of a kind and no panic.
func TestBadBatches(t *testing.T) {
	good := func() *rowv1.Batch {
		return oneGroup('u', 0, 1, image(false, 1, "x", 5, 0), image(false, 1, "y", 5, 0))
	}
	for name, spoil := range map[string]func(*rowv1.Batch){
		"unknown schema":  func(b *rowv1.Batch) { b.GroupSchema[0] = 8 },
		"no operations":   func(b *rowv1.Batch) { b.GroupOp = nil },
		"end outside":     func(b *rowv1.Batch) { b.GroupEnd[0]++ },
		"too many rows":   func(b *rowv1.Batch) { b.GroupRows[0] = 1 << 31 },
		"too few rows":    func(b *rowv1.Batch) { b.GroupRows[0] = 0 },
		"cut":             func(b *rowv1.Batch) { b.Payload = b.Payload[:5]; b.GroupEnd[0] = 5 },
		"wrong operation": func(b *rowv1.Batch) { b.GroupOp[0] = '?' },
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			spoil(b)
			var out Output
			err := newEncoder(t, nil).Batch(b, &out)
			if k := errs.KindOf(err); err == nil || k != errs.Corrupt && k != errs.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, leave := range map[string]func(*rowv1.Batch){
		"no places":       func(b *rowv1.Batch) { b.GroupPos, b.GroupTime, b.GroupTxn = nil, nil, nil },
		"wild references": func(b *rowv1.Batch) { b.GroupTxn, b.TxnSid = []uint32{1 << 31}, []uint32{77} },
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			leave(b)
			var out Output
			if err := newEncoder(t, nil).Batch(b, &out); err != nil || len(out.Records) != 1 {
				t.Errorf("%d records, %v", len(out.Records), err)
			}
		})
	}
}

// FuzzPayload: images may hold anything.
func FuzzPayload(f *testing.F) {
	f.Add(image(false, 1, "x", 5, 0), byte('c'), byte(0))
	f.Add(image(true, 1, nil, 5, nil), byte('d'), byte(3))
	f.Fuzz(func(t *testing.T, payload []byte, op, flags byte) {
		var out Output
		b := oneGroup(op, flags, 1, payload)
		if err := newEncoder(t, nil).Batch(b, &out); err == nil {
			for i := range out.Records {
				if v := out.Bytes(out.Records[i].Value); v != nil && !json.Valid(v) {
					t.Fatalf("%s", v)
				}
			}
		}
	})
}

func TestSchemaVersions(t *testing.T) {
	enc := newEncoder(t, nil)
	for id := uint32(8); id < 20; id++ {
		table := smallTable()
		table.SchemaId = id
		if err := enc.AddTable(table); err != nil {
			t.Fatal(err)
		}
	}
	if len(enc.plans) != maxPlansPerTable || enc.plans[19] == nil {
		t.Errorf("%d plans are kept, want %d", len(enc.plans), maxPlansPerTable)
	}
	table := smallTable()
	table.SchemaId, table.Table = 19, "other"
	if err := enc.AddTable(table); err != nil {
		t.Fatal(err)
	}
	if p := enc.plans[19]; p.table.Table != "other" || len(enc.byTable[tableName{"db", "t"}]) != maxPlansPerTable-1 {
		t.Errorf("schema 19 is of %s, of t there are %v", p.table.Table, enc.byTable[tableName{"db", "t"}])
	}
}

func TestBadTables(t *testing.T) {
	enc := newEncoder(t, nil)
	table := smallTable()
	table.Columns[1].Kind = 99
	if err := enc.AddTable(table); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "note") {
		t.Errorf("unknown kind: %v", err)
	}
	if err := enc.AddTable(&rowv1.Table{SchemaId: 9, Database: "db", Table: "empty"}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("no columns: %v", err)
	}
	table = smallTable()
	table.Key = []uint32{4}
	if err := enc.AddTable(table); errs.KindOf(err) != errs.Invalid {
		t.Errorf("key outside of the table: %v", err)
	}
}

func TestBadConfigs(t *testing.T) {
	for name, change := range map[string]func(*config.Connector){
		"message.key.columns":   func(c *config.Connector) { c.MessageKeyColumns = []config.KeyColumns{{Table: "("}} },
		"column.exclude.list":   func(c *config.Connector) { c.ExcludeColumns = []string{"["} },
		"column.include.list":   func(c *config.Connector) { c.IncludeColumns = []string{"*"} },
		"value.converter":       func(c *config.Connector) { c.ValueConverter.Class = "bytearray" },
		"topic.naming.strategy": func(c *config.Connector) { c.TopicStrategy = "com.example.Own" },
	} {
		cfg := testConfig("p")
		change(cfg)
		if _, err := New(cfg, Options{}); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	enc := newEncoder(t, nil)
	var out Output
	enc.Heartbeat(&out)
	r := &out.Records[0]
	got := r.Topic.Name + " " + string(out.Bytes(r.Key)) + " " + string(out.Bytes(r.Value))
	if want := `__debezium-heartbeat.p {"serverName":"p"} {"ts_ms":1700000000123}`; got != want || r.Partition != 0 || len(enc.Headers(nil, &out, r)) != 0 {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSchemaChangesOfParts(t *testing.T) {
	enc := newEncoder(t, nil)
	for name, c := range map[string]struct {
		ddl  *capturev1.Ddl
		want string
	}{
		"passing": {&capturev1.Ddl{Database: "db", Statement: "rename table w to tmp", Tables: []string{"tmp", "w", "other"},
			Changes: []*capturev1.TableChange{{Database: "db", Table: "tmp", Type: capturev1.ChangeType_CHANGE_TYPE_ALTER, Passing: true}}}, `"tableChanges":[]`},
		"database":  {&capturev1.Ddl{Database: "db", Statement: "create database db"}, `"table":null`},
		"settings":  {&capturev1.Ddl{Snapshot: true, Statement: "SET character_set_server=utf8mb4"}, `"table":null`},
		"index":     {&capturev1.Ddl{Database: "db", Statement: "create unique index u on t (n)", Changes: []*capturev1.TableChange{{Table: "t"}}}, `"table":""`},
		"versioned": {&capturev1.Ddl{Database: "db", Statement: "create table t (id int) /*!50100 partition by hash (id) */;"}, `"ddl":"create table t (id int) /*!50100 partition by hash (id)"`},
	} {
		var out Output
		if err := enc.Ddl(c.ddl, &out); err != nil || len(out.Records) != 1 {
			t.Fatalf("%s: %d records, %v", name, len(out.Records), err)
		}
		if v := string(out.Bytes(out.Records[0].Value)); !strings.Contains(v, c.want) || !json.Valid([]byte(v)) {
			t.Errorf("%s: %s lacks %s", name, v, c.want)
		}
	}
	var out Output
	if err := enc.Ddl(&capturev1.Ddl{Statement: "truncate t", Truncated: []string{"db.t"}}, &out); err != nil || len(out.Records) != 0 {
		t.Errorf("truncate: %d records, %v", len(out.Records), err)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{sanitizeTopic("p.db.Über tab", false), "p.db._ber_tab"},
		{sanitizeTopic("p.db.a_b😀", true), "p.db.a_u005fb_ud83d_ude00"},
		{sanitizeTopic("..", false), "__"},
		{sanitizeTopic(strings.Repeat("x", 300), false), strings.Repeat("x", 249)},
		{nameMode("none").field("1st col"), "1st col"},
		{nameAvro.field("1st col"), "_1st_col"},
		{nameAvro.schema("9p.t-a.Key"), "_9p.t_a.Key"},
		{nameAvroUnicode.field("1a_b"), "_u0031a_u005fb"},
		{nameAvroUnicode.schema("p_q.t-a.Key"), "p_u005fq.t_u002da.Key"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}
