package converter

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/convert"
	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// cloudPlan is the schema of the events of one table.
type cloudPlan struct {
	event *record.Schema
	data  *record.Schema
	empty *record.StructData // what data's text replaces
	from  []int              // the fields of the record that data has
	// What names were made of; another value means another plan.
	server, database, dataName string
	source                     *record.Schema
}

func (c *cloudEvents) plan(s *record.Schema, r *cloudRecord) (*cloudPlan, error) {
	server, database := r.source.Get("name").Text(), r.source.Get("db").Text()
	connector := r.source.Get("connector").Text()
	if p, ok := c.plans[s]; ok && p.server == server && p.database == database && p.dataName == r.dataName && p.source == r.source.Schema {
		return p, nil
	}
	if connector != "mysql" && connector != "mariadb" {
		return nil, errs.E(errs.Invalid, "No usable CloudEvents converters for connector type %q", connector)
	}
	p := &cloudPlan{server: strings.Clone(server), database: strings.Clone(database), dataName: strings.Clone(r.dataName), source: r.source.Schema}
	if err := c.planData(p, s, connector, r.dataName); err != nil {
		return nil, err
	}
	if err := c.planEvent(p, r.source.Schema); err != nil {
		return nil, err
	}
	if len(c.plans) >= maxCloudPlans {
		clear(c.plans)
	}
	c.plans[s] = p
	return p, nil
}

// planData makes the schema of the data: before and after for MySQL, all of the envelope for MariaDB, all of the record where the metadata are in headers.
func (c *cloudEvents) planData(p *cloudPlan, s *record.Schema, connector, name string) error {
	var fields []record.Field
	if connector == "mysql" && !c.meta.headers {
		for _, name := range []string{"before", "after"} {
			i := s.Field(name)
			if i < 0 {
				return errs.E(errs.Invalid, "the envelope %s has no field %s", s.Name, name)
			}
			fields, p.from = append(fields, s.Fields[i]), append(p.from, i)
		}
	} else {
		for i := range s.Fields {
			fields, p.from = append(fields, s.Fields[i]), append(p.from, i)
		}
	}
	p.data = record.NewStruct(fields)
	if p.data.Name = name; name == "" {
		p.data.Name = "io.debezium.connector." + connector + ".Data"
	}
	return nil
}

func (c *cloudEvents) planEvent(p *cloudPlan, source *record.Schema) error {
	text := record.Of(record.String, false)
	var fields []record.Field
	add := func(name string, s *record.Schema) { fields = append(fields, record.Field{Name: name, Schema: s}) }
	for _, name := range []string{"id", "source", "specversion", "type", "time", "datacontenttype"} {
		add(name, text)
	}
	if c.dataAvro {
		add("dataschema", text)
	}
	if c.tracing {
		add("traceparent", text)
	}
	if c.extensions {
		add(extensionName("op"), text)
		for i := range source.Fields {
			s, err := extensionSchema(source.Fields[i].Schema)
			if err != nil {
				return err
			}
			add(extensionName(source.Fields[i].Name), s)
		}
		for _, name := range transactionFields {
			add(extensionName("tx"+name), record.Of(record.String, true))
		}
	}
	switch {
	case c.dataAvro:
		add("data", record.Of(record.Bytes, false))
	case c.splice:
		p.empty = &record.StructData{Schema: record.NewStruct(nil)}
		add("data", p.empty.Schema)
	default:
		add("data", p.data)
	}
	p.event = record.NewStruct(fields)
	if p.event.Name = c.name; c.name == "" {
		p.event.Name = p.server + "." + p.database + ".CloudEvents.Envelope"
	}
	p.event.Name = convert.AdjustSchemaName(c.adjust, p.event.Name)
	return nil
}

// transactionFields are those of the transaction block.
var transactionFields = [...]string{"id", "total_order", "data_collection_order"}

// extensionName makes an attribute's name: letters and digits.
func extensionName(name string) string {
	out := []byte("iodebezium")
	for i := range len(name) {
		if c := name[i]; isNameByte(c) && c != '_' {
			out = append(out, c)
		}
	}
	return string(out)
}

// extensionSchema returns the schema of a source field as an attribute: CloudEvents has no 64-bit integers, so they are texts.
func extensionSchema(s *record.Schema) (*record.Schema, error) {
	switch s.Type {
	case record.Boolean:
		return record.Of(record.Boolean, s.Optional), nil
	case record.Int8, record.Int16, record.Int32:
		return record.Of(record.Int32, s.Optional), nil
	case record.String, record.Int64:
		return record.Of(record.String, s.Optional), nil
	}
	return nil, errs.E(errs.Invalid, "Source field of type %s cannot be converted into CloudEvents extension attribute.", s.Type)
}
