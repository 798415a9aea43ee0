package reselect

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
	"github.com/rowmesh/rowmesh/services/source"
)

// answers is a session that gives the same answer to all queries.
type answers struct {
	asked  []string
	rows   [][]source.Value
	err    error
	closed int
}

func (a *answers) Query(_ context.Context, sql string) (*source.Result, error) {
	a.asked = append(a.asked, sql)
	return &source.Result{Rows: a.rows}, a.err
}

func (a *answers) Close() error {
	a.closed++
	return nil
}

func table() *rowv1.Table {
	return &rowv1.Table{Database: "d", Table: "t", Key: []uint32{0, 1}, Columns: []*rowv1.Column{
		{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT"}, {Name: "at", Kind: rowv1.Kind_KIND_TIMESTAMP, TypeName: "TIMESTAMP"},
		{Name: "doc", Kind: rowv1.Kind_KIND_STRING, TypeName: "TEXT"}, {Name: "raw", Kind: rowv1.Kind_KIND_BYTES, TypeName: "BLOB"},
		{Name: "n", Kind: rowv1.Kind_KIND_FLOAT32, TypeName: "FLOAT"},
	}}
}

// image is id 7, doc and raw that the log does not hold, n NULL.
func image() []row.Cell {
	return []row.Cell{{Present: true, Data: row.AppendInt(nil, 7)}, {Present: true, Data: row.AppendInt(nil, 1_700_000_000_000_000)}, {}, {}, {Present: true, Null: true}}
}

func TestComplete(t *testing.T) {
	const where = " FROM `d`.`t` WHERE `id` <=> 7 AND `at` <=> '2023-11-14 22:13:20' LIMIT 2"
	found := [][]source.Value{{{Text: "text"}, {Text: "\x00\xff"}, {Text: "0.10000000149011612"}}}
	for name, c := range map[string]struct {
		rule  config.Reselect
		rows  [][]source.Value
		asked string
		after string // doc, raw and n
	}{
		"all":               {config.Reselect{Unavailable: true, Nulls: true}, found, "SELECT `doc`, `raw`, `n`+0E0" + where, "text 00ff 0.1"},
		"unavailable":       {config.Reselect{Unavailable: true}, [][]source.Value{{{Text: "a"}, {Null: true}}}, "SELECT `doc`, `raw`" + where, "a NULL NULL"},
		"one of them":       {config.Reselect{Unavailable: true, Include: []string{"(?i)^(?:d.t:RAW)$"}}, [][]source.Value{{{Text: "b"}}}, "SELECT `raw`" + where, "- 62 NULL"},
		"all but one":       {config.Reselect{Unavailable: true, Exclude: []string{"^d.t:raw$"}}, [][]source.Value{{{Text: "b"}}}, "SELECT `doc`" + where, "b - NULL"},
		"by message key":    {config.Reselect{Nulls: true, EventKey: true}, [][]source.Value{{{Text: "1"}}}, "SELECT `n`+0E0 FROM `d`.`t` WHERE `id` <=> 7 LIMIT 2", "- - 1"},
		"gone":              {config.Reselect{Unavailable: true}, nil, "SELECT `doc`, `raw`" + where, "- - NULL"},
		"more than one":     {config.Reselect{Nulls: true}, [][]source.Value{{{Text: "1"}}, {{Text: "2"}}}, "SELECT `n`+0E0" + where, "- - NULL"},
		"nothing is wanted": {config.Reselect{}, found, "", "- - NULL"},
	} {
		s := &answers{rows: c.rows}
		p, err := New([]config.Reselect{c.rule}, func(context.Context) (Session, error) { return s, nil }, func(err error) { t.Errorf("%s: told %v", name, err) })
		if err != nil {
			t.Fatal(err)
		}
		r := convert.Row{Table: table(), Key: []int{0}, Value: []int{0, 1, 2, 3, 4}, After: image()}
		if err := p.Complete(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Join(s.asked, "; "); got != c.asked {
			t.Errorf("%s: asked %s\nwant %s", name, got, c.asked)
		}
		if got := printed(r.After[2:]); got != c.after {
			t.Errorf("%s: %s, want %s", name, got, c.after)
		}
	}
}

// printed spells a text, bytes and a float.
func printed(cells []row.Cell) string {
	var out []string
	for i, c := range cells {
		switch {
		case !c.Present:
			out = append(out, "-")
		case c.Null:
			out = append(out, "NULL")
		case i == 0:
			out = append(out, string(c.Data))
		case i == 1:
			out = append(out, strings.ToLower(hexOf(c.Data)))
		default:
			out = append(out, string(row.AppendJSON(nil, &rowv1.Column{Kind: rowv1.Kind_KIND_FLOAT32}, &c)))
		}
	}
	return strings.Join(out, " ")
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(digits[x>>4])
		s.WriteByte(digits[x&15])
	}
	return s.String()
}

// What the server refuses leaves the row as it is, and is told, or stops the lane with the server's kind of error. The next row has a new session.
func TestTrouble(t *testing.T) {
	for _, fails := range []bool{false, true} {
		s := &answers{err: errs.E(errs.Denied, "no SELECT on d.t")}
		opened, told := 0, []error(nil)
		p, err := New([]config.Reselect{{Unavailable: true, Fails: fails}}, func(context.Context) (Session, error) { opened++; return s, nil }, func(err error) { told = append(told, err) })
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			err = errors.Join(err, p.Complete(t.Context(), convert.Row{Table: table(), Value: []int{2}, After: image()}))
		}
		if fails != (err != nil) || fails != (len(told) == 0) || opened != 2 || s.closed != 2 {
			t.Errorf("fails %v: %v, told %v, %d sessions opened, %d closed", fails, err, told, opened, s.closed)
		}
		for _, e := range append(told, err) {
			if e != nil && (!strings.Contains(e.Error(), "d.t") || !strings.Contains(e.Error(), "post.processors")) {
				t.Errorf("the error names neither option nor table: %v", e)
			}
		}
	}
	if p, err := New(nil, nil, nil); p != nil || err != nil {
		t.Errorf("without post processors: %v, %v", p, err)
	}
	if _, err := New([]config.Reselect{{Include: []string{"("}}}, nil, nil); errs.KindOf(err) != errs.Invalid {
		t.Errorf("no expression: %v", err)
	}
}

// Each type comes from a real server as the log has it.
func TestTypesOnServer(t *testing.T) {
	addr := os.Getenv("ROWMESH_TEST_MYSQL")
	if addr == "" || testing.Short() {
		t.Skip("needs a real MySQL: set ROWMESH_TEST_MYSQL=host:port and leave out -short")
	}
	conn, err := source.Connect(t.Context(), source.Config{Addr: addr, User: "root"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range []string{"drop database if exists suite_reselect", "create database suite_reselect",
		"create table suite_reselect.t (id varbinary(9) primary key, i int, u bigint unsigned, f float, d double, p decimal(9,3), s varchar(20), b varbinary(9), e enum('x','y'), z set('x','y','z'), " +
			"bt bit(9), dt date, ts timestamp(6) null, tm time(3), dm datetime(2), yr year, j json)",
		"insert into suite_reselect.t values (x'00ff', -5, 18446744073709551615, 16777217, 1e-10, -12.345, 'Ünï 😀', x'00ff', 'y', 'x,z', b'100000001', '2024-02-29', '2024-02-29 12:34:56.123456', " +
			"'-12:34:56.789', '2024-02-29 12:34:56.78', 2024, '{\"a\":1}')"} {
		if err := conn.Exec(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	defer conn.Exec(context.WithoutCancel(t.Context()), "drop database suite_reselect")
	n := func(v uint32) *uint32 { return &v }
	col := func(name string, k rowv1.Kind) *rowv1.Column {
		return &rowv1.Column{Name: name, Kind: k, TypeName: "X"}
	}
	tab := &rowv1.Table{Database: "suite_reselect", Table: "t", Key: []uint32{0}, Columns: []*rowv1.Column{
		col("id", rowv1.Kind_KIND_BYTES), col("i", rowv1.Kind_KIND_INT), col("u", rowv1.Kind_KIND_UINT), col("f", rowv1.Kind_KIND_FLOAT32), col("d", rowv1.Kind_KIND_FLOAT64),
		{Name: "p", Kind: rowv1.Kind_KIND_DECIMAL, Scale: n(3)}, col("s", rowv1.Kind_KIND_STRING), col("b", rowv1.Kind_KIND_BYTES), col("e", rowv1.Kind_KIND_ENUM), col("z", rowv1.Kind_KIND_SET),
		col("bt", rowv1.Kind_KIND_BIT), col("dt", rowv1.Kind_KIND_DATE), col("ts", rowv1.Kind_KIND_TIMESTAMP), col("tm", rowv1.Kind_KIND_TIME), col("dm", rowv1.Kind_KIND_DATETIME),
		col("yr", rowv1.Kind_KIND_YEAR), col("j", rowv1.Kind_KIND_JSON)}}
	day := row.PackDate(2024, 2, 29)
	want := [][]byte{{0, 0xff}, row.AppendInt(nil, -5), row.AppendUint(nil, math.MaxUint64), binary.LittleEndian.AppendUint32(nil, math.Float32bits(16777216)),
		binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e-10)), {0xcf, 0xc7}, []byte("Ünï 😀"), {0, 0xff}, row.AppendUint(nil, 2), row.AppendUint(nil, 5), row.AppendUint(nil, 257),
		row.AppendUint(nil, day), row.AppendInt(nil, 1709210096123456), row.AppendInt(nil, -45296789000), row.AppendDatetime(nil, row.PackDatetime(day, 12, 34, 56, 780000)),
		row.AppendUint(nil, 2024), []byte(`{"a": 1}`)}
	r := convert.Row{Table: tab, After: make([]row.Cell, len(tab.Columns))}
	r.After[0] = row.Cell{Present: true, Data: []byte{0, 0xff}}
	for i := range tab.Columns {
		r.Value = append(r.Value, i)
	}
	p, err := New([]config.Reselect{{Unavailable: true}}, func(context.Context) (Session, error) { return conn, nil }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Complete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for i, c := range r.After {
		if d := cmp.Diff(want[i], c.Data); d != "" {
			t.Errorf("%s: %s", tab.Columns[i].Name, d)
		}
	}
}
