package convert

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/row"
)

// field is one column in one place: the key, the value, or a key in a header.
type field struct {
	column
	index int    // of its cell
	open  []byte // what stands in front of the value: comma, name, colon
	def   []byte // default in the schema; nil if none
	null  []byte // what NULL prints; nil if it must not be
	// absent is what a column prints that the log left out; inserted is the same in rows that were inserted, where the server stored the default.
	absent, inserted []byte
}

// plan is all that converting rows of one table version needs and that does not depend on the row.
type plan struct {
	table  *rowv1.Table
	name   string // database.table
	layout *row.Layout
	topic  *Topic

	key, value, header []field
	keyed              bool // rows have keys
	// keyHead and keyTail surround the fields of the key, headerTail closes those of a key in a header; valueHead and valueTail surround the envelope. They hold
	// the schema and what closes it, and keyTail and headerTail the field that names the table, where there is one.
	keyHead, keyTail     []byte
	headerTail           []byte
	valueHead, valueTail []byte
	shape                Shape
	// sourceDB and sourceTable are constant parts of the source block.
	sourceDB, sourceTable []byte
}

// fieldPlace is where fields go.
type fieldPlace struct {
	converter   config.Converter
	header      bool
	mapped      bool // mappers apply
	placeholder string
}

// compile makes the plan of a table version.
func (e *Encoder) compile(t *rowv1.Table) (*plan, error) {
	if len(t.Columns) == 0 { // images of it would be empty, and any number of rows fit into nothing
		return nil, fmt.Errorf("table %s.%s has no columns", t.Database, t.Table)
	}
	qualified := t.Database + "." + t.Table
	p := &plan{table: t, name: qualified, layout: row.NewLayout(t.Columns)}
	var err error
	if p.topic, err = e.dataTopic(t.Database, t.Table); err != nil {
		return nil, fmt.Errorf("table %s: %w", qualified, err)
	}
	keyColumns, err := e.keyColumns(t, qualified)
	if err != nil {
		return nil, err
	}
	var valueColumns []int
	for i, c := range t.Columns {
		if e.columns.selects(qualified + "." + c.Name) {
			valueColumns = append(valueColumns, i)
		}
	}
	value := fieldPlace{converter: e.cfg.ValueConverter, mapped: true, placeholder: e.cfg.UnavailableValue}
	if p.value, err = e.compileFields(t, valueColumns, value); err != nil {
		return nil, err
	}
	key := fieldPlace{converter: e.cfg.KeyConverter, placeholder: e.cfg.UnavailableValue}
	if p.key, err = e.compileFields(t, keyColumns, key); err != nil {
		return nil, err
	}
	key.header = true
	if p.header, err = e.compileFields(t, keyColumns, key); err != nil {
		return nil, err
	}
	e.renderKey(p)
	e.renderValue(p)
	p.sourceDB = append(appendString([]byte(`,"db":`), t.Database), `,"sequence":null,"ts_us":`...)
	p.sourceTable = append(appendString([]byte(`,"table":`), t.Table), `,"server_id":`...)
	return p, nil
}

// keyColumns returns the columns of the message key: those of message.key.columns in its order, else those of the table's key. A table that the option names
// must have the columns that it names: without them its rows would be told apart by less than what the user wanted. One that a pattern takes may have others.
func (e *Encoder) keyColumns(t *rowv1.Table, qualified string) ([]int, error) {
	var out []int
	for _, k := range e.messageKeys {
		if !k.table.MatchString(qualified) {
			continue
		}
		for j := range k.columns {
			before := len(out)
			for i, c := range t.Columns {
				if k.columns[j].is(c.Name) {
					out = append(out, i)
				}
			}
			if k.literal && len(out) == before {
				return nil, fmt.Errorf("message.key.columns names column %s, which table %s does not have; it has %s", k.columns[j].name, qualified, columnNames(t))
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for _, i := range t.Key {
		if int(i) >= len(t.Columns) {
			return nil, fmt.Errorf("table %s: key column %d of %d columns", qualified, i, len(t.Columns))
		}
		out = append(out, int(i))
	}
	return out, nil
}

// namesShown bounds the columns that a text lists: enough to see what was meant.
const namesShown = 20

func columnNames(t *rowv1.Table) string {
	var names []string
	for i, c := range t.Columns {
		if i == namesShown {
			names = append(names, "...")
			break
		}
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// Missing says which columns column.include.list names in full that a table does not have, and whether it takes none of the table at all: the rows come without
// them, as Debezium's do.
func (e *Encoder) Missing(t *rowv1.Table) (texts []string) {
	if len(e.columns.include) == 0 {
		return nil
	}
	qualified := t.Database + "." + t.Table
	for _, p := range e.cfg.IncludeColumns {
		name, ok := config.Literal(p)
		if !ok || len(name) <= len(qualified)+1 || !strings.EqualFold(name[:len(qualified)+1], qualified+".") {
			continue
		}
		column := name[len(qualified)+1:]
		if !slices.ContainsFunc(t.Columns, func(c *rowv1.Column) bool { return strings.EqualFold(c.Name, column) }) {
			texts = append(texts, fmt.Sprintf("column.include.list names column %s, which table %s does not have; it has %s", column, qualified, columnNames(t)))
		}
	}
	if texts == nil && !slices.ContainsFunc(t.Columns, func(c *rowv1.Column) bool { return e.columns.selects(qualified + "." + c.Name) }) {
		texts = append(texts, fmt.Sprintf("column.include.list takes no column of table %s, so its rows are empty; it has %s", qualified, columnNames(t)))
	}
	return texts
}

func (e *Encoder) compileFields(t *rowv1.Table, indexes []int, place fieldPlace) ([]field, error) {
	fields := make([]field, len(indexes))
	for n, i := range indexes {
		c, err := compileColumn(t.Database+"."+t.Table, t.Columns[i], &e.modes)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s: %w", t.Database, t.Table, err)
		}
		f := &fields[n]
		f.column, f.index = c, i
		f.place(place)
		if place.mapped {
			if m := e.mapperOf(t.Database+"."+t.Table, t.Columns[i]); m != nil {
				m.apply(f, e.modes.comments)
			}
		}
		open := `"`
		if n > 0 {
			open = `,"`
		}
		name := c.name
		if place.header {
			name = string(headerEscape(nil, e.modes.fieldNames.field(t.Columns[i].Name)))
		}
		f.open = []byte(open + name + `":`)
	}
	return fields, nil
}

// place settles what depends on the converter.
func (f *field) place(p fieldPlace) {
	if p.converter.DecimalText || p.header {
		switch f.op {
		case opDecimalBytes:
			f.op = opDecimalNumber
		case opUintDecimal:
			f.op = opUint
		}
	}
	f.def = f.defaultJSON()
	switch {
	case f.def != nil && (f.required || (p.converter.NullDefault || p.header) && !f.nullStays):
		f.null = f.def
	case !f.required || f.schema.optional:
		f.null = []byte("null")
	default:
		f.null = f.fallbackJSON()
	}
	f.absent = []byte("null")
	if f.standIn {
		f.absent = f.placeholder(p.placeholder)
	}
	f.inserted = f.absent
	switch {
	case f.def != nil && !f.nullStays:
		f.inserted = f.def
	case f.source.Nullable && f.source.DefaultExpression == nil:
		f.inserted = []byte("null")
	}
}

// placeholder renders unavailable.value.placeholder in the column's type.
func (f *field) placeholder(text string) []byte {
	switch f.op {
	case opBase64:
		return appendBase64(nil, f.encoding, []byte(text))
	case opHex:
		return []byte(`"` + hex.EncodeToString([]byte(text)) + `"`)
	}
	return appendString(nil, text)
}

// schemaName renders the name of one of a table's schemas.
func (e *Encoder) schemaName(p *plan, part string) []byte {
	return appendString(nil, nameMode(e.cfg.SchemaNameMode).schema(p.topic.Name+"."+part))
}

// renderKey renders what stands around the fields of a key: the schema, where the converter wants it, and the field that names the table.
func (e *Encoder) renderKey(p *plan) {
	fields := fieldSchemas(p.key)
	p.keyTail, p.headerTail = []byte("}"), []byte("}")
	if name := e.naming.keyField; name != "" {
		comma := ""
		if len(p.key) > 0 {
			comma = ","
		}
		table := e.naming.table(p.table.Database, p.table.Table)
		quoted := appendString(nil, name)
		fields = append(append(append(fields, comma+`{"type":"string","optional":false,"field":`...), quoted...), '}')
		p.keyTail = append(appendString(append(append([]byte(comma), quoted...), ':'), table), '}')
		p.headerTail = append(headerEscape([]byte(comma+`"`), name), `":"`...)
		p.headerTail = append(headerEscape(p.headerTail, table), `"}`...)
	}
	if p.keyed = len(fields) > 0; !p.keyed {
		return
	}
	if e.cfg.KeyConverter.Schemas || e.opts.Shapes {
		b := append([]byte(`{"type":"struct","fields":[`), fields...)
		b = append(append(b, `],"optional":false,"name":`...), e.schemaName(p, "Key")...)
		p.shape.Key = append(b, '}')
	}
	if e.cfg.KeyConverter.Schemas {
		p.keyHead = enclose(p.shape.Key)
		p.keyTail = append(p.keyTail, '}')
	}
	p.keyHead = append(p.keyHead, '{')
}

// enclose returns what stands before a payload that has a schema.
func enclose(schema []byte) []byte {
	return append(append([]byte(`{"schema":`), schema...), `,"payload":`...)
}

// renderValue renders what stands around an envelope.
func (e *Encoder) renderValue(p *plan) {
	if !e.cfg.ValueConverter.Schemas && !e.opts.Shapes {
		return
	}
	row := append([]byte(`{"type":"struct","fields":[`), fieldSchemas(p.value)...)
	row = append(append(row, `],"optional":true,"name":`...), e.schemaName(p, "Value")...)
	b := append([]byte(`{"type":"struct","fields":[`), row...)
	b = append(append(append(b, `,"field":"before"},`...), row...), `,"field":"after"},`...)
	b = append(append(append(b, sourceSchema(e.connector)...), ','), envelopeRest...)
	b = append(append(b, `],"optional":false,"name":`...), e.schemaName(p, "Envelope")...)
	p.shape.Value = append(b, `,"version":2}`...)
	for i := range p.value {
		p.shape.KeptNulls = append(p.shape.KeptNulls, p.value[i].nullStays)
	}
	if e.cfg.ValueConverter.Schemas {
		p.valueHead = enclose(p.shape.Value)
		p.valueTail = []byte("}")
	}
}

func fieldSchemas(fields []field) []byte {
	var b []byte
	for i := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = fields[i].schema.append(b, fields[i].def, fields[i].name)
	}
	return b
}
