package binlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/go-cmp/cmp"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/charset"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/row"
)

// tee hands every packet to a second reader.
type tee struct {
	packetSource
	seen func(packet []byte)
}

func (t *tee) next() ([]byte, error) {
	b, err := t.packetSource.next()
	if err == nil {
		t.seen(bytes.Clone(b))
	}
	return b, err
}

// TestAgainstGoMySQL makes random tables with random rows and compares every cell with what go-mysql's decoder makes of the same bytes.
func TestAgainstGoMySQL(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		seed := uint64(time.Now().UnixNano())
		if v := os.Getenv("ROWMESH_TEST_SEED"); v != "" {
			seed, _ = strconv.ParseUint(v, 10, 64)
		}
		t.Logf("ROWMESH_TEST_SEED=%d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		s.exec("set time_zone='+00:00', sql_mode=''")
		st := s.dial(s.here())
		oracle := newOracle(s)
		st.src = &tee{st.src, oracle.packet}
		shapes := map[string]*rowv1.Table{}
		for i := range 12 {
			name := fmt.Sprintf("t%d", i)
			randomTable(s, rnd, name)
			shapes[name] = s.shape(name)
		}
		plans := map[*TableMap]*Plan{}
		cells := 0
		s.ours(st, func(ev *Event) {
			if ev.Kind != Rows {
				return
			}
			p := plans[ev.Table]
			if p == nil {
				var err error
				if p, err = Compile(ev.Table, shapes[ev.Table.Name]); err != nil {
					t.Fatal(err)
				}
				plans[ev.Table] = p
			}
			got := decodeAll(t, p, ev, shapes[ev.Table.Name])
			want := oracle.rows(t, shapes[ev.Table.Name])
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("%s.%s %c at %d (-go-mysql +ours):\n%s", ev.Table.Database, ev.Table.Name, ev.Op, ev.Pos, d)
			}
			for _, r := range got {
				cells += len(r)
			}
		})
		if cells < 5000 {
			t.Fatalf("only %d cells compared", cells)
		}
		t.Logf("%d cells agree", cells)
	})
}

// decodeAll appends the event's rows in pieces and spells each cell.
func decodeAll(t *testing.T, p *Plan, ev *Event, sh *rowv1.Table) [][]string {
	t.Helper()
	l := row.NewLayout(sh.Columns)
	var images [][]string
	for first := 0; ; {
		out, n, done, err := p.Append(nil, ev, first, 300)
		if err != nil {
			t.Fatal(err)
		}
		flags := p.Flags(ev)
		for range n {
			for im := range ev.Op.Images() {
				cells := make([]row.Cell, len(sh.Columns))
				partial := flags&row.PartialAfter != 0
				if ev.Op == row.Delete || ev.Op == row.Update && im == 0 {
					partial = flags&row.PartialBefore != 0
				}
				if out, err = l.Split(cells, out, partial); err != nil {
					t.Fatalf("split: %v", err)
				}
				spelled := make([]string, len(cells))
				for i := range cells {
					spelled[i] = spell(&cells[i], sh.Columns[i])
				}
				images = append(images, spelled)
			}
		}
		if len(out) != 0 {
			t.Fatalf("%d bytes left behind the images", len(out))
		}
		first += n
		if done {
			return images
		}
	}
}

// spell writes a packed cell in a form that both decoders can reach.
func spell(c *row.Cell, col *rowv1.Column) string {
	switch {
	case !c.Present:
		return "absent"
	case c.Null:
		return "NULL"
	}
	switch col.Kind {
	case rowv1.Kind_KIND_INT, rowv1.Kind_KIND_TIME:
		return strconv.FormatInt(c.Int(), 10)
	case rowv1.Kind_KIND_TIMESTAMP:
		if c.Int() == 0 {
			return "0000-00-00 00:00:00.000000"
		}
		return time.UnixMicro(c.Int()).UTC().Format("2006-01-02 15:04:05.000000")
	case rowv1.Kind_KIND_UINT, rowv1.Kind_KIND_YEAR, rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		return strconv.FormatUint(c.Uint(), 10)
	case rowv1.Kind_KIND_FLOAT32:
		return fmt.Sprint(math.Float32frombits(c.Fixed32()))
	case rowv1.Kind_KIND_FLOAT64:
		return fmt.Sprint(math.Float64frombits(c.Fixed64()))
	case rowv1.Kind_KIND_DECIMAL:
		return spellDecimal(c.Data, int(col.GetScale()))
	case rowv1.Kind_KIND_DATE:
		y, m, d := row.UnpackDate(c.Uint())
		return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
	case rowv1.Kind_KIND_DATETIME:
		date, h, mi, s, us := row.UnpackDatetime(c.Fixed64())
		y, m, d := row.UnpackDate(date)
		return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d.%06d", y, m, d, h, mi, s, us)
	case rowv1.Kind_KIND_JSON:
		return normalJSON(string(c.Data))
	}
	return string(c.Data)
}

func spellDecimal(b []byte, scale int) string {
	v := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	sign := ""
	if v.Sign() < 0 {
		sign = "-"
		v.Neg(v)
	}
	s := v.String()
	for len(s) <= scale {
		s = "0" + s
	}
	if scale > 0 {
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	return sign + s
}

func normalJSON(s string) string {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return "bad JSON " + err.Error() + ": " + s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// oracle is go-mysql's decoder, fed with the same packets.
type oracle struct {
	parser *replication.BinlogParser
	last   *replication.RowsEvent
	err    error
}

func newOracle(s *server) *oracle {
	o := &oracle{parser: replication.NewBinlogParser()}
	if s.flavor == config.MariaDB {
		o.parser.SetFlavor("mariadb")
	}
	o.parser.SetTimestampStringLocation(time.UTC)
	return o
}

func (o *oracle) packet(b []byte) {
	if b[0] != 0 {
		return
	}
	e, err := o.parser.Parse(b[1:])
	if err != nil {
		o.err = err
		return
	}
	if r, ok := e.Event.(*replication.RowsEvent); ok {
		o.last = r
	}
}

func (o *oracle) rows(t *testing.T, sh *rowv1.Table) [][]string {
	t.Helper()
	if o.err != nil {
		t.Fatalf("go-mysql: %v", o.err)
	}
	var out [][]string
	for i, r := range o.last.Rows {
		skipped := map[int]bool{}
		for _, c := range o.last.SkippedColumns[i] {
			skipped[c] = true
		}
		spelled := make([]string, len(r))
		for j, v := range r {
			if spelled[j] = spellOracle(v, sh.Columns[j], o.last.Table.ColumnType[j], o.last.Table.ColumnMeta[j]); skipped[j] {
				spelled[j] = "absent"
			}
		}
		out = append(out, spelled)
	}
	return out
}

func spellOracle(v any, col *rowv1.Column, typ byte, meta uint16) string {
	if v == nil {
		return "NULL"
	}
	text := fmt.Sprint(v)
	if b, ok := v.([]byte); ok {
		text = string(b)
	}
	switch col.Kind {
	case rowv1.Kind_KIND_UINT:
		n, _ := strconv.ParseInt(text, 10, 64)
		if n < 0 { // MariaDB does not log signedness unless asked to
			return strconv.FormatUint(uint64(n)&(1<<(8*intSize(typ))-1), 10)
		}
	case rowv1.Kind_KIND_INT:
		// go-mysql misreads the signs of MySQL 8.0.15, which does not count YEAR among the numbers.
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			shift := 64 - 8*intSize(typ)
			return strconv.FormatInt(int64(n<<shift)>>shift, 10)
		}
	case rowv1.Kind_KIND_BIT, rowv1.Kind_KIND_ENUM, rowv1.Kind_KIND_SET:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.FormatUint(uint64(n), 10)
		}
	case rowv1.Kind_KIND_DATETIME, rowv1.Kind_KIND_TIMESTAMP:
		if !strings.Contains(text, ".") {
			text += "."
		}
		return text + strings.Repeat("0", 26-len(text))
	case rowv1.Kind_KIND_TIME:
		return spellTime(text)
	case rowv1.Kind_KIND_BYTES:
		if columnType(typ) == typeString {
			return text + strings.Repeat("\x00", int(meta&0xff)-len(text))
		}
	case rowv1.Kind_KIND_STRING:
		if dec, ok := charset.Decoder(col.Charset); ok && dec != nil {
			return string(dec(nil, []byte(text)))
		}
	case rowv1.Kind_KIND_JSON:
		return normalJSON(text)
	}
	return text
}

// spellTime turns -hh:mm:ss.ffffff into microseconds.
func spellTime(s string) string {
	sign := int64(1)
	if strings.HasPrefix(s, "-") {
		sign, s = -1, s[1:]
	}
	clock, frac, _ := strings.Cut(s, ".")
	var h, m, sec int64
	fmt.Sscanf(clock, "%d:%d:%d", &h, &m, &sec)
	us, _ := strconv.ParseInt((frac + "000000")[:6], 10, 64)
	return strconv.FormatInt(sign*((h*3600+m*60+sec)*1e6+us), 10)
}

// Where the server writes full metadata, the log alone gives the shapes, and they read as those of the catalogue do.
func TestShapeFromMetadata(t *testing.T) {
	bothServers(t, func(t *testing.T, s *server) {
		if v := s.query("show global variables like 'binlog_row_metadata'"); len(v) == 0 || v[0][1] != "FULL" {
			t.Skip("needs a server with binlog_row_metadata=FULL")
		}
		s.exec("create table f (id int unsigned primary key, `naïve` varchar(30) character set latin1, e enum('a','ü'), s set('x','y'), b varbinary(9), " +
			"d decimal(9,3) unsigned, y year, ts timestamp(3) null, bt bit(3), txt mediumtext, bl tinyblob, u bigint, g point)")
		st := s.dial(s.here())
		s.exec("insert into f values (4294967295,'ä','ü','x,y',x'00ff',1.5,1999,now(3),5,'t','b',-1,ST_GeomFromText('POINT(1 2)'))")
		want := s.shape("f")
		seen := false
		s.ours(st, func(ev *Event) {
			if ev.Kind != Rows {
				return
			}
			got, ok := ShapeFromMetadata(ev.Table)
			if !ok {
				t.Fatal("the table map has no full metadata")
			}
			for i, c := range got.Columns {
				w := want.Columns[i]
				if c.Name != w.Name || c.Kind != w.Kind || c.Unsigned != w.Unsigned || c.Nullable != w.Nullable || c.GetScale() != w.GetScale() {
					t.Errorf("column %d: got %v, want %v", i, c, w)
				}
			}
			if d := cmp.Diff([]string{"a", "ü"}, got.Columns[2].Members); d != "" {
				t.Errorf("members (-want +got):\n%s", d)
			}
			if len(got.Key) != 1 || got.Key[0] != 0 || got.Columns[1].Charset != "latin1" || got.Columns[1].GetLength() != 30 {
				t.Errorf("key %v, column %v", got.Key, got.Columns[1])
			}
			p, err := Compile(ev.Table, got)
			if err != nil {
				t.Fatal(err)
			}
			a := decodeAll(t, p, ev, got)
			if p, err = Compile(ev.Table, want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(decodeAll(t, p, ev, want), a); d != "" {
				t.Errorf("cells (-catalogue +metadata):\n%s", d)
			}
			seen = true
		})
		if !seen {
			t.Fatal("no rows came")
		}
	})
}
