package transform

import (
	"slices"
	"strconv"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// schemaBlock is ExtractSchemaToNewRecord: the event gets a field sourceSchema that describes the columns of its table, from what column.propagate.source.type
// or datatype.propagate.source.type put into the schema.
type schemaBlock struct {
	blocks               cache[*blockPlan]
	block, table, column *record.Schema
}

// blockPlan is the schema that comes out and the block, which is the same for all events of a table version.
type blockPlan struct {
	schema *record.Schema
	block  record.Value
}

func newSchemaBlock(options, side) (Transform, error) {
	one := 1
	named := func(name string, fields ...record.Field) *record.Schema {
		s := record.NewStruct(fields)
		s.Name, s.Version = "io.debezium.connector.source."+name, &one
		return s
	}
	text, number := record.Of(record.String, false), record.Of(record.Int32, true)
	t := &schemaBlock{}
	t.column = named("schema.Column", record.Field{Name: "name", Schema: text}, record.Field{Name: "typeName", Schema: text}, record.Field{Name: "length", Schema: number},
		record.Field{Name: "scale", Schema: number}, record.Field{Name: "comment", Schema: record.Of(record.String, true)})
	t.table = named("schema.Table", record.Field{Name: "columns", Schema: &record.Schema{Type: record.Array, Elem: t.column}})
	t.block = named("Schema", record.Field{Name: "id", Schema: text}, record.Field{Name: "table", Schema: t.table})
	return t, nil
}

func (t *schemaBlock) Apply(slab *record.Slab, r *record.Record) (bool, error) {
	e := r.Value.Value.Struct()
	if e == nil || !isEnvelope(r.Value) || e.Get(fieldAfter).IsNull() && e.Get(fieldBefore).IsNull() {
		return true, nil
	}
	plan, err := t.blocks.once(e.Schema, func() (*blockPlan, error) { return t.plan(e) })
	if err != nil {
		return false, err
	}
	out := slab.Struct(plan.schema)
	n := copy(out.Values, e.Values)
	out.Values[n] = plan.block
	r.Value = record.Data{Schema: plan.schema, Value: record.StructOf(out)}
	return true, nil
}

func (*schemaBlock) sharesHeaders() {}

// plan makes the block. It outlives the event, so it holds copies.
func (t *schemaBlock) plan(e *record.StructData) (*blockPlan, error) {
	table := ""
	if s := e.Get(fieldSource).Struct(); s != nil {
		table = s.Get("table").Text()
	}
	row := e.Schema.FieldSchema(fieldAfter)
	columns := make([]record.Value, 0, len(row.Fields))
	for _, f := range row.Fields {
		c := &record.StructData{Schema: t.column, Values: make([]record.Value, len(t.column.Fields))}
		name, named := f.Schema.Parameter("__debezium.source.column.name")
		kind, typed := f.Schema.Parameter("__debezium.source.column.type")
		if !named || !typed {
			return nil, errs.E(errs.Invalid, `Ensure that enable configurations "column.propagate.source.type" or "datatype.propagate.source.type" and the value is set to ".*"`)
		}
		c.Values[0], c.Values[1] = record.StringOf(name), record.StringOf(kind)
		for i, parameter := range []string{"length", "scale"} {
			if text, ok := f.Schema.Parameter("__debezium.source.column." + parameter); ok {
				n, err := strconv.ParseInt(text, 10, 32)
				if err != nil {
					return nil, errs.E(errs.Invalid, "column %s: %s %q is no number", name, parameter, text)
				}
				c.Values[2+i] = record.IntOf(n)
			}
		}
		if comment, ok := f.Schema.Parameter("__debezium.source.column.comment"); ok {
			c.Values[4] = record.StringOf(comment)
		}
		columns = append(columns, record.StructOf(c))
	}
	of := &record.StructData{Schema: t.table, Values: []record.Value{record.ListOf(columns)}}
	block := &record.StructData{Schema: t.block, Values: []record.Value{record.StringOf(string([]byte(table))), record.StructOf(of)}}
	fields := append(slices.Clone(e.Schema.Fields), record.Field{Name: "sourceSchema", Schema: t.block})
	return &blockPlan{e.Schema.WithFields(fields), record.StructOf(block)}, nil
}
