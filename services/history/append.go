package history

import (
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/offset"
)

// Append appends the value of r's record: JSON as Jackson's DefaultPrettyPrinter lays it out, with Debezium's members in their order.
func (r *Record) Append(b []byte) []byte {
	p := printer{b: b}
	p.open()
	p.object("source", func() { p.text("server", r.Server) })
	p.object("position", func() { r.position(&p) })
	p.integer("ts_ms", r.TimeMS)
	p.text("databaseName", r.Database)
	if r.Statement != "" {
		p.text("ddl", r.Statement)
	}
	p.objects("tableChanges", len(r.Changes), func(i int) { r.Changes[i].print(&p) })
	p.close()
	return p.b
}

// position prints the offset. The order of members is that of the Java map that Debezium fills.
func (r *Record) position(p *printer) {
	o := r.Position
	if o == nil {
		o = &rowv1.SourceOffset{}
	}
	if r.Transaction != "" {
		p.text("transaction_id", r.Transaction)
	}
	if o.TsSec != 0 {
		p.integer("ts_sec", o.TsSec)
	}
	p.text("file", o.File)
	p.integer("pos", int64(o.Pos))
	if o.Gtids != "" {
		p.text("gtids", o.Gtids)
	}
	if o.Row != 0 {
		p.integer("row", int64(o.Row))
	}
	if o.ServerId != 0 {
		p.integer("server_id", int64(o.ServerId))
	}
	if o.Event != 0 {
		p.integer("event", int64(o.Event))
	}
	if o.Snapshot != "" {
		p.text("snapshot", o.Snapshot)
	}
}

func (c *Change) print(p *printer) {
	p.text("type", string(c.Type))
	p.text("id", identifier(c.Database, c.Table))
	if c.PreviousTable != "" {
		p.text("previousId", identifier(c.PreviousDatabase, c.PreviousTable))
	}
	m := c.Model
	if m == nil || c.Type == Drop {
		return
	}
	p.object("table", func() {
		p.optional("defaultCharsetName", m.Charset)
		p.texts("primaryKeyColumnNames", m.Key)
		p.objects("columns", len(m.Columns), func(i int) { m.Columns[i].print(p) })
		p.texts("attributes", nil)
	})
	p.optional("comment", m.Comment)
}

func (c *Column) print(p *printer) {
	p.text("name", c.Name)
	p.integer("jdbcType", c.JdbcType)
	p.text("typeName", c.TypeName)
	p.text("typeExpression", c.TypeExpression)
	p.optional("charsetName", c.Charset)
	if c.Length != nil {
		p.integer("length", *c.Length)
	}
	if c.Scale != nil {
		p.integer("scale", *c.Scale)
	}
	p.integer("position", c.Position)
	p.boolean("optional", c.Optional)
	p.boolean("autoIncremented", c.AutoIncrement)
	p.boolean("generated", c.Generated)
	p.optional("comment", c.Comment)
	p.boolean("hasDefaultValue", c.HasDefault)
	if c.Default != nil {
		p.text("defaultValueExpression", *c.Default)
	}
	p.texts("enumValues", c.Members)
}

// identifier is Debezium's TableId in double quotes, with a doubled quote for one in a name.
func identifier(database, table string) string {
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	return quote(database) + "." + quote(table)
}

// printer lays JSON out: a member a line, two blanks a level, arrays in their line.
type printer struct {
	b      []byte
	levels int
	some   bool // the object has a member
}

func (p *printer) open() {
	p.b = append(p.b, '{')
	p.levels++
	p.some = false
}

func (p *printer) close() {
	p.levels--
	if p.some {
		p.line()
	} else {
		p.b = append(p.b, ' ')
	}
	p.b = append(p.b, '}')
	p.some = true
}

func (p *printer) line() {
	p.b = append(p.b, '\n')
	for range p.levels {
		p.b = append(p.b, "  "...)
	}
}

func (p *printer) name(name string) {
	if p.some {
		p.b = append(p.b, ',')
	}
	p.some = true
	p.line()
	p.b = append(append(append(p.b, '"'), name...), `" : `...)
}

func (p *printer) text(name, value string) {
	p.name(name)
	p.b = offset.AppendString(p.b, value)
}

func (p *printer) optional(name string, value *string) {
	if value != nil {
		p.text(name, *value)
		return
	}
	p.name(name)
	p.b = append(p.b, "null"...)
}

func (p *printer) integer(name string, value int64) {
	p.name(name)
	p.b = strconv.AppendInt(p.b, value, 10)
}

func (p *printer) boolean(name string, value bool) {
	p.name(name)
	p.b = strconv.AppendBool(p.b, value)
}

func (p *printer) object(name string, members func()) {
	p.name(name)
	p.open()
	members()
	p.close()
}

// array prints n elements.
func (p *printer) array(name string, n int, element func(i int)) {
	p.name(name)
	p.b = append(p.b, "[ "...)
	for i := range n {
		if i > 0 {
			p.b = append(p.b, ", "...)
		}
		element(i)
	}
	if n > 0 {
		p.b = append(p.b, ' ')
	}
	p.b = append(p.b, ']')
}

func (p *printer) objects(name string, n int, members func(i int)) {
	p.array(name, n, func(i int) {
		p.open()
		members(i)
		p.close()
	})
}

func (p *printer) texts(name string, values []string) {
	p.array(name, len(values), func(i int) { p.b = offset.AppendString(p.b, values[i]) })
}
