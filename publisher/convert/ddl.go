package convert

import (
	"slices"
	"strconv"
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/jsontext"
)

// schemaChange is one event of the schema change topic.
type schemaChange struct {
	database string
	// table is source.table; noTable prints null instead.
	table   string
	noTable bool
	ddl     string
	noDDL   bool // null
	changes []*capturev1.TableChange
}

// Ddl appends the schema change events of a statement where include.schema.changes asks for them. A TRUNCATE gives none: it comes as a group of a
// batch.
func (e *Encoder) Ddl(d *capturev1.Ddl, out *Output) error {
	if !e.cfg.IncludeSchemaChanges || len(d.Truncated) > 0 {
		return nil
	}
	now := e.opts.Now()
	for _, c := range schemaChanges(d) {
		if !e.modes.mariadb && !d.Snapshot {
			c.ddl = singleQuotes(c.ddl)
		}
		e.appendSchemaChange(d, &c, now, out)
	}
	return nil
}

// TableChanges appends schema change events that no statement stands behind, where include.schema.changes asks for them: one for each change of d. They come from
// a row of table, whose place is d's.
func (e *Encoder) TableChanges(d *capturev1.Ddl, table string, out *Output) {
	if !e.cfg.IncludeSchemaChanges {
		return
	}
	now := e.opts.Now()
	for i := range d.Changes {
		e.appendSchemaChange(d, &schemaChange{database: d.Database, table: table, noDDL: true, changes: d.Changes[i : i+1]}, now, out)
	}
}

// schemaChanges divides a statement into events as Debezium does: one for each table changed; what changes no table gives one.
func schemaChanges(d *capturev1.Ddl) []schemaChange {
	text := statementText(d.Statement)
	none := schemaChange{database: d.Database, ddl: text}
	switch objectOf(d.Statement) {
	case "DATABASE":
		none.noTable = true
		return []schemaChange{none}
	case "INDEX": // seen by Debezium, but no change of its model
		return []schemaChange{none}
	}
	if len(d.Changes) == 0 {
		none.noTable = d.Snapshot // SET and USE
		return []schemaChange{none}
	}
	tables := d.Tables
	if len(tables) == 0 {
		for _, c := range d.Changes {
			tables = append(tables, c.Table)
		}
	}
	out := make([]schemaChange, len(d.Changes))
	for i, c := range d.Changes {
		out[i] = schemaChange{database: c.Database, table: joinTables(c.Database, tables), ddl: text}
		// Debezium reads its model when the statement is done, and does not find a table that a later part renames.
		if !c.Passing {
			out[i].changes = d.Changes[i : i+1]
		}
	}
	return out
}

// statementText is a statement as Debezium's parser repeats it: up to its last token, which neither a semicolon nor the end of a versioned comment
// is.
func statementText(s string) string {
	s = strings.TrimRight(s, "; \t\r\n")
	if i := strings.LastIndex(s, "/*"); i >= 0 && strings.HasSuffix(s, "*/") && (strings.HasPrefix(s[i:], "/*!") || strings.HasPrefix(s[i:], "/*M!")) {
		s = strings.TrimRight(strings.TrimSuffix(s, "*/"), " \t\r\n")
	}
	return s
}

// singleQuotes puts strings into single quotes, as Debezium's MySQL connector does before it parses a statement of the log: single quotes inside are doubled. Names
// in backquotes, strings in single quotes and comments stay.
func singleQuotes(s string) string {
	if !strings.Contains(s, `"`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		end := i + 1
		switch {
		case s[i] == '\'' || s[i] == '"' || s[i] == '`':
			end = quotedEnd(s, i)
			if s[i] == '"' && s[end-1] == '"' && end > i+1 {
				b.WriteString("'" + strings.ReplaceAll(s[i+1:end-1], "'", "''") + "'")
				i = end
				continue
			}
		case strings.HasPrefix(s[i:], "/*"):
			if n := strings.Index(s[i:], "*/"); n > 0 {
				end = i + n + 2
			}
		case s[i] == '#' || strings.HasPrefix(s[i:], "-- "):
			if n := strings.IndexByte(s[i:], '\n'); n > 0 {
				end = i + n
			} else {
				end = len(s)
			}
		}
		b.WriteString(s[i:end])
		i = end
	}
	return b.String()
}

// quotedEnd returns the place behind what begins with a quote at i. A doubled quote is one of its characters.
func quotedEnd(s string, i int) int {
	for p := i + 1; p < len(s); p++ {
		switch {
		case s[p] == '\\' && s[i] != '`':
			p++
		case s[p] == s[i]:
			if p+1 < len(s) && s[p+1] == s[i] {
				p++
				continue
			}
			return p + 1
		}
	}
	return len(s)
}

// objectOf says what a CREATE or DROP is about, where that matters: "DATABASE", "INDEX", or nothing.
func objectOf(statement string) string {
	// CREATE OR REPLACE UNIQUE INDEX: the object is among the first five words.
	words := strings.Fields(strings.ToUpper(statement[:min(len(statement), 100)]))
	if len(words) == 0 || words[0] != "CREATE" && words[0] != "DROP" {
		return ""
	}
	for _, w := range words[1:min(len(words), 5)] {
		switch w {
		case "DATABASE", "SCHEMA":
			return "DATABASE"
		case "INDEX":
			return "INDEX"
		case "OR", "REPLACE", "UNIQUE", "FULLTEXT", "SPATIAL", "ONLINE", "OFFLINE":
		default:
			return ""
		}
	}
	return ""
}

// joinTables names the tables of a statement in the order of a java.util.HashSet of their ids, which is the one that Debezium keeps them in.
func joinTables(database string, tables []string) string {
	var ids []string
	for _, t := range tables {
		if id := database + "." + t; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	names := jsontext.HashOrder(ids, jsontext.Buckets(16, len(ids))) // 16 is HashSet's initial capacity
	for i, id := range names {
		names[i] = id[len(database)+1:]
	}
	return strings.Join(names, ",")
}

func (e *Encoder) appendSchemaChange(d *capturev1.Ddl, c *schemaChange, now int64, out *Output) {
	r := Record{Topic: e.schemaTopic, Partition: 0, Context: e.cfg.ExtendedHeaders, ExtraValue: null, Group: -1, Shape: e.ddlShape}
	start := len(out.Arena)
	dst := append(append(out.Arena, e.ddlKey.head...), `{"databaseName":`...)
	dst = appendString(dst, c.database)
	out.Arena = append(append(dst, '}'), e.ddlKey.tail...)
	r.Key, r.Hash = out.since(start), Murmur2(out.Arena[start:])

	start = len(out.Arena)
	dst = append(append(out.Arena, e.ddlValue.head...), '{')
	dst = e.appendDdlSource(dst, d, c)
	dst = append(dst, `,"ts_ms":`...)
	dst = strconv.AppendInt(dst, now/1e6, 10)
	dst = append(dst, `,"databaseName":`...)
	dst = appendString(dst, c.database)
	dst = append(dst, `,"schemaName":null,"ddl":`...)
	dst = appendOptional(dst, c.ddl, !c.noDDL)
	dst = append(dst, `,"tableChanges":[`...)
	for i, change := range c.changes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.appendTableChange(dst, change)
	}
	out.Arena = append(append(dst, ']', '}'), e.ddlValue.tail...)
	r.Value = out.since(start)
	out.Records = append(out.Records, r)
}

func (e *Encoder) appendDdlSource(dst []byte, d *capturev1.Ddl, c *schemaChange) []byte {
	micros := int64(d.TimeUs)
	dst = append(dst, e.sourceHead...)
	dst = strconv.AppendInt(dst, micros/1000, 10)
	dst = append(dst, `,"snapshot":`...)
	dst = e.appendSnapshotField(dst, d.Snapshot, d.Marker)
	dst = appendString(append(dst, `,"db":`...), c.database)
	dst = append(dst, `,"sequence":null,"ts_us":`...)
	dst = appendSourceTimes(dst, micros)
	dst = append(dst, `,"table":`...)
	if c.noTable {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, c.table)
	}
	dst = append(dst, `,"server_id":`...)
	server, gtid := d.ServerId, d.Gtid
	if d.Snapshot {
		server, gtid = 0, ""
	}
	dst = strconv.AppendUint(dst, uint64(server), 10)
	dst = appendSourcePosition(dst, []byte(gtid), d.File, d.Pos)
	// Debezium does not reset the row number of the last row event.
	dst = strconv.AppendUint(dst, uint64(e.lastRow), 10)
	return append(dst, `,"thread":null,"query":null}`...)
}

// changeType is what Debezium calls a change.
func changeType(c *capturev1.TableChange) string {
	switch c.Type {
	case capturev1.ChangeType_CHANGE_TYPE_CREATE:
		return "CREATE"
	case capturev1.ChangeType_CHANGE_TYPE_DROP:
		return "DROP"
	}
	return "ALTER"
}

// appendTableChange appends one element of tableChanges.
func (e *Encoder) appendTableChange(dst []byte, c *capturev1.TableChange) []byte {
	kind := changeType(c)
	dst = append(append(append(dst, `{"type":"`...), kind...), `","id":`...)
	quote := strings.NewReplacer(`"`, `""`)
	dst = appendString(dst, `"`+quote.Replace(c.Database)+`"."`+quote.Replace(c.Table)+`"`)
	dst = append(dst, `,"table":`...)
	if c.After == nil || kind == "DROP" {
		return append(dst, "null}"...)
	}
	return append(e.appendTableModel(dst, c.After), '}')
}

func (e *Encoder) appendTableModel(dst []byte, t *rowv1.Table) []byte {
	dst = append(dst, `{"defaultCharsetName":`...)
	dst = appendOptional(dst, t.Charset, t.Charset != "")
	dst = append(dst, `,"primaryKeyColumnNames":[`...)
	for i, k := range t.Key {
		if int(k) >= len(t.Columns) {
			continue
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, t.Columns[k].Name)
	}
	dst = append(dst, `],"columns":[`...)
	for i, c := range t.Columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.appendColumnModel(dst, c)
	}
	dst = append(dst, `],"comment":`...)
	dst = appendOptional(dst, t.GetComment(), t.Comment != nil && e.modes.comments)
	return append(dst, '}')
}

func (e *Encoder) appendColumnModel(dst []byte, c *rowv1.Column) []byte {
	dst = appendString(append(dst, `{"name":`...), c.Name)
	dst = append(dst, `,"jdbcType":`...)
	dst = strconv.AppendInt(dst, jdbcType(c), 10)
	dst = append(dst, `,"nativeType":null,"typeName":`...)
	dst = appendString(dst, c.TypeName)
	dst = append(dst, `,"typeExpression":`...)
	expression := c.TypeExpression
	if expression == "" {
		expression = c.TypeName
	}
	dst = appendString(dst, expression)
	dst = append(dst, `,"charsetName":`...)
	dst = appendOptional(dst, c.Charset, c.Charset != "")
	dst = append(dst, `,"length":`...)
	dst = appendOptionalInt(dst, modelLength(c))
	dst = append(dst, `,"scale":`...)
	scale := int64(-1)
	if c.Scale != nil {
		scale = int64(*c.Scale)
	}
	dst = appendOptionalInt(dst, scale)
	dst = append(dst, `,"position":`...)
	dst = strconv.AppendUint(dst, uint64(c.Position), 10)
	dst = append(dst, `,"optional":`...)
	dst = strconv.AppendBool(dst, c.Nullable)
	dst = append(dst, `,"autoIncremented":`...)
	dst = strconv.AppendBool(dst, c.AutoIncrement)
	dst = append(dst, `,"generated":`...)
	dst = strconv.AppendBool(dst, c.Generated)
	dst = append(dst, `,"comment":`...)
	dst = appendOptional(dst, c.GetComment(), c.Comment != nil && e.modes.comments)
	dst = append(dst, `,"defaultValueExpression":`...)
	text, ok := modelDefault(c)
	dst = appendOptional(dst, text, ok)
	dst = append(dst, `,"enumValues":`...)
	if len(c.Members) == 0 {
		return append(dst, "null}"...)
	}
	for i, m := range c.Members {
		separator := byte(',')
		if i == 0 {
			separator = '['
		}
		dst = appendString(append(dst, separator), quoteMember(m))
	}
	return append(dst, ']', '}')
}

func appendOptional(dst []byte, s string, present bool) []byte {
	if !present {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}

// appendOptionalInt appends v, or null if it is negative.
func appendOptionalInt(dst []byte, v int64) []byte {
	if v < 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, v, 10)
}
