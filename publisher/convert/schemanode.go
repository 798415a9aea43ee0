package convert

import "strconv"

// parameter is one parameter of a schema; their order is part of the bytes.
type parameter struct{ key, value string }

// schemaNode is the schema of one field without its default and its place.
type schemaNode struct {
	typ        string
	body       string // items or fields, rendered, with a comma at the end
	optional   bool
	name       string
	version    int
	doc        *string
	parameters []parameter
}

// decimal makes the node Connect's Decimal.
func (s *schemaNode) decimal(scale, precision int) {
	s.typ, s.name, s.version = "bytes", "org.apache.kafka.connect.data.Decimal", 1
	s.parameters = []parameter{{"scale", strconv.Itoa(scale)}, {"connect.decimal.precision", strconv.Itoa(precision)}}
}

// plain makes the node one of a primitive type that means nothing more.
func (s *schemaNode) plain(typ string) {
	s.typ, s.body, s.name, s.version, s.parameters = typ, "", "", 0, nil
}

// append appends the node as JsonConverter writes it, with its default as JSON (nil for none) and the name of the field (escaped) that it is of.
func (s *schemaNode) append(dst, def []byte, field string) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, s.typ...)
	dst = append(dst, '"', ',')
	dst = append(dst, s.body...)
	dst = append(dst, `"optional":`...)
	dst = strconv.AppendBool(dst, s.optional)
	if s.name != "" {
		dst = append(dst, `,"name":`...)
		dst = appendString(dst, s.name)
	}
	if s.version != 0 {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, int64(s.version), 10)
	}
	if s.doc != nil {
		dst = append(dst, `,"doc":`...)
		dst = appendString(dst, *s.doc)
	}
	if len(s.parameters) > 0 {
		dst = append(dst, `,"parameters":{`...)
		for i, p := range s.parameters {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, p.key)
			dst = append(dst, ':')
			dst = appendString(dst, p.value)
		}
		dst = append(dst, '}')
	}
	if def != nil {
		dst = append(dst, `,"default":`...)
		dst = append(dst, def...)
	}
	dst = append(dst, `,"field":"`...)
	dst = append(dst, field...)
	return append(dst, '"', '}')
}

// snapshotMarkers are the values of source.snapshot, as its schema lists them.
const snapshotMarkers = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"

// sourceFields are the fields of the source block, the same for both connectors.
const sourceFields = `[{"type":"string","optional":false,"field":"version"},{"type":"string","optional":false,"field":"connector"},` +
	`{"type":"string","optional":false,"field":"name"},{"type":"int64","optional":false,"field":"ts_ms"},` +
	`{"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"` + snapshotMarkers + `"},` +
	`"default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},{"type":"string","optional":true,"field":"sequence"},` +
	`{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"},` +
	`{"type":"string","optional":true,"field":"table"},{"type":"int64","optional":false,"field":"server_id"},` +
	`{"type":"string","optional":true,"field":"gtid"},{"type":"string","optional":false,"field":"file"},` +
	`{"type":"int64","optional":false,"field":"pos"},{"type":"int32","optional":false,"field":"row"},` +
	`{"type":"int64","optional":true,"field":"thread"},{"type":"string","optional":true,"field":"query"}]`

// sourceSchema is the source field of envelopes and schema change events.
func sourceSchema(connector string) string {
	return `{"type":"struct","fields":` + sourceFields + `,"optional":false,"name":"io.debezium.connector.` + connector +
		`.Source","version":1,"field":"source"}`
}

// envelopeRest are the fields of the envelope behind source.
const envelopeRest = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},` +
	`{"type":"int64","optional":false,"field":"total_order"},{"type":"int64","optional":false,"field":"data_collection_order"}],` +
	`"optional":true,"name":"event.block","version":1,"field":"transaction"},{"type":"string","optional":false,"field":"op"},` +
	`{"type":"int64","optional":true,"field":"ts_ms"},{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"}`

// changeSchema is the items of tableChanges.
const changeSchema = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"type"},{"type":"string","optional":false,"field":"id"},` +
	`{"type":"struct","fields":[{"type":"string","optional":true,"field":"defaultCharsetName"},` +
	`{"type":"array","items":{"type":"string","optional":false},"optional":true,"field":"primaryKeyColumnNames"},` +
	`{"type":"array","items":{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},` +
	`{"type":"int32","optional":false,"field":"jdbcType"},{"type":"int32","optional":true,"field":"nativeType"},` +
	`{"type":"string","optional":false,"field":"typeName"},{"type":"string","optional":true,"field":"typeExpression"},` +
	`{"type":"string","optional":true,"field":"charsetName"},{"type":"int32","optional":true,"field":"length"},` +
	`{"type":"int32","optional":true,"field":"scale"},{"type":"int32","optional":false,"field":"position"},` +
	`{"type":"boolean","optional":true,"field":"optional"},{"type":"boolean","optional":true,"field":"autoIncremented"},` +
	`{"type":"boolean","optional":true,"field":"generated"},{"type":"string","optional":true,"field":"comment"},` +
	`{"type":"string","optional":true,"field":"defaultValueExpression"},` +
	`{"type":"array","items":{"type":"string","optional":false},"optional":true,"field":"enumValues"}],` +
	`"optional":false,"name":"io.debezium.connector.schema.Column","version":1},"optional":false,"field":"columns"},` +
	`{"type":"string","optional":true,"field":"comment"}],"optional":true,"name":"io.debezium.connector.schema.Table","version":1,` +
	`"field":"table"}],"optional":false,"name":"io.debezium.connector.schema.Change","version":1}`

// schemaChangeKey and schemaChangeValue are the schemas of the schema change topic.
func schemaChangeKey(connector string) string {
	return `{"type":"struct","fields":[{"type":"string","optional":false,"field":"databaseName"}],"optional":false,` +
		`"name":"io.debezium.connector.` + connector + `.SchemaChangeKey","version":1}`
}

func schemaChangeValue(connector string) string {
	return `{"type":"struct","fields":[` + sourceSchema(connector) + `,{"type":"int64","optional":false,"field":"ts_ms"},` +
		`{"type":"string","optional":true,"field":"databaseName"},{"type":"string","optional":true,"field":"schemaName"},` +
		`{"type":"string","optional":true,"field":"ddl"},{"type":"array","items":` + changeSchema + `,"optional":false,"field":"tableChanges"}],` +
		`"optional":false,"name":"io.debezium.connector.` + connector + `.SchemaChangeValue","version":1}`
}

// heartbeatKey and heartbeatValue are the schemas of heartbeats.
const (
	heartbeatKey = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"serverName"}],"optional":false,` +
		`"name":"io.debezium.connector.common.ServerNameKey","version":1}`
	heartbeatValue = `{"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,` +
		`"name":"io.debezium.connector.common.Heartbeat","version":1}`
)
