package converter

import (
	"strings"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// metadataSource says where attributes come from: metadata.source.
type metadataSource struct {
	headers                  bool // the source block, the operation and the transaction
	id, kind, trace, dataSet cloudSource
}

type cloudSource uint8

const (
	fromValue cloudSource = iota
	fromHeader
	generated
)

func metadataSourceOf(o options, tracing bool) (metadataSource, error) {
	parts := o.list("metadata.source")
	if len(parts) == 0 {
		parts = []string{"value", "id:generate", "type:generate", "traceparent:header", "dataSchemaName:generate"}
	}
	sources := map[string]cloudSource{"value": fromValue, "header": fromHeader, "generate": generated}
	global, ok := sources[strings.ToLower(parts[0])]
	if !ok || global == generated {
		return metadataSource{}, o.invalid("metadata.source", "Global metadata source can't be %s: begin with value or header", parts[0])
	}
	m := metadataSource{headers: global == fromHeader, id: global, kind: global, trace: global, dataSet: global}
	for _, part := range parts[1:] {
		name, text, _ := strings.Cut(part, ":")
		source, ok := sources[strings.ToLower(strings.TrimSpace(text))]
		if !ok || source == fromValue {
			return m, o.invalid("metadata.source", "Field source `%s` is not valid: use header or generate", text)
		}
		switch name {
		case "id":
			m.id = source
		case "type":
			m.kind = source
		case "traceparent":
			m.trace = source
		case "dataSchemaName":
			m.dataSet = source
		default:
			return m, o.invalid("metadata.source", "Field `%s` is not allowed to set custom source: use id, type, traceparent or dataSchemaName", name)
		}
	}
	if m.dataSet == fromHeader && !o.is("schema.data.name.source.header.enable", false) {
		m.dataSet = generated
	}
	return m, nil
}

// cloudRecord is what one record says of itself.
type cloudRecord struct {
	data        *record.StructData
	source, txn *record.StructData
	op          record.Value
	id, kind    record.Value // null where they are generated
	trace       record.Value
	dataName    string
}

func header(headers []record.Header, name string) record.Value {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Name == name {
			return headers[i].Value
		}
	}
	return record.Null
}

// read takes the attributes from where metadata.source says.
func (c *cloudEvents) read(r *cloudRecord, headers []record.Header, d record.Data) error {
	*r = cloudRecord{}
	if r.data = d.Value.Struct(); r.data == nil {
		return errs.E(errs.Invalid, "Mismatching schema")
	}
	if c.meta.headers {
		r.source, r.op, r.txn = header(headers, "source").Struct(), header(headers, "op"), header(headers, "transaction").Struct()
	} else {
		r.source, r.op, r.txn = r.data.Get("source").Struct(), r.data.Get("op"), r.data.Get("transaction").Struct()
	}
	if r.source == nil {
		return errs.E(errs.Invalid, "the record has no source block: set metadata.source to header where a transform moved it there")
	}
	for _, a := range []struct {
		name string
		from cloudSource
		to   *record.Value
	}{{"id", c.meta.id, &r.id}, {"type", c.meta.kind, &r.kind}} {
		switch a.from {
		case fromHeader:
			if *a.to = header(headers, a.name); a.to.IsNull() {
				return errs.E(errs.Invalid, "Header `%s` was not provided", a.name)
			}
		case fromValue:
			return errs.E(errs.Invalid, "Invalid value: null used for required field: %q, schema type: STRING: set metadata.source to value,id:generate,type:generate", a.name)
		}
	}
	if c.tracing {
		if c.meta.trace != fromHeader {
			return errs.E(errs.Invalid, "Value for `traceparent` CloudEvents field currently can't be obtained from a record value and can only be obtained from a record header")
		}
		if r.trace = header(headers, "traceparent"); r.trace.IsNull() {
			return errs.E(errs.Invalid, "Header `traceparent` was not provided")
		}
	}
	if c.meta.dataSet == fromHeader {
		v := header(headers, "dataSchemaName")
		if v.Kind() != record.StringKind {
			return errs.E(errs.Invalid, "Header `dataSchemaName` was not provided")
		}
		r.dataName = v.Text()
	}
	return nil
}
