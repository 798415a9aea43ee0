package convert

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// schemaChange is one event of the schema change topic.
type schemaChange struct {
	database string
	// table is source.table; noTable prints null instead.
	table   string
	noTable bool
	ddl     string
	changes []*capturev1.TableChange
}

// Ddl appends the records of a statement: schema change events where include.schema.changes asks for them, or for a TRUNCATE its truncate events
// unless skipped.operations has them. Truncated tables must be known (AddTable); one that is not is errs.Corrupt.
func (e *Encoder) Ddl(d *capturev1.Ddl, out *Output) error {
	now := e.opts.Now()
	if len(d.Truncated) > 0 {
		return e.truncates(d, now, out)
	}
	if !e.cfg.IncludeSchemaChanges {
		return nil
	}
	for _, c := range e.schemaChanges(d) {
		e.appendSchemaChange(d, &c, now, out)
	}
	return nil
}

func (e *Encoder) truncates(d *capturev1.Ddl, now int64, out *Output) error {
	if strings.IndexByte(e.cfg.SkippedOperations, byte(row.Truncate)) >= 0 {
		return nil
	}
	for _, name := range d.Truncated {
		// A dot may be part of either name, so every way to split is tried.
		var p *plan
		for i := range len(name) {
			if name[i] == '.' && p == nil {
				p = e.latest(name[:i], name[i+1:])
			}
		}
		if p == nil {
			return errs.E(errs.Corrupt, "truncate of %s at %s:%d: the table's shape was not sent before", name, d.File, d.Pos)
		}
		b := &rowv1.Batch{
			File: d.File, GroupPos: []uint64{d.Pos}, GroupTxn: []uint32{0}, TxnCommitUs: []uint64{d.TimeUs}, TxnServerId: []uint32{d.ServerId},
			TxnSid: []uint32{0},
		}
		if sid, gno, ok := e.cutGtid(d.Gtid); ok {
			b.Sids, b.TxnSid, b.TxnGno = []string{sid}, []uint32{1}, []uint64{gno}
		}
		g := &e.group
		*g = group{plan: p, op: row.Truncate, head: g.head, middle: g.middle, tail: g.tail, gtid: g.gtid}
		g.render(e, b, now)
		e.truncate(out)
		out.Records[len(out.Records)-1].Group = -1
	}
	return nil
}

// cutGtid splits a GTID into its source and its number.
func (e *Encoder) cutGtid(gtid string) (sid string, gno uint64, ok bool) {
	separator := ":"
	if e.modes.mariadb {
		separator = "-"
	}
	i := strings.LastIndex(gtid, separator)
	if i < 0 {
		return "", 0, false
	}
	gno, err := strconv.ParseUint(gtid[i+1:], 10, 64)
	return gtid[:i], gno, err == nil
}

// schemaChanges divides a statement into events as Debezium does: RENAME TABLE gives one for each clause and DROP TABLE one for each table, with
// the statement reduced to it; others give one for each table changed; what changes no table gives one.
func (e *Encoder) schemaChanges(d *capturev1.Ddl) []schemaChange {
	shape := shapeOf(d.Statement)
	none := schemaChange{database: d.Database, ddl: shape.text}
	switch shape.verb {
	case "CREATE DATABASE", "DROP DATABASE":
		none.noTable = true
		return []schemaChange{none}
	case "CREATE INDEX", "DROP INDEX":
		return []schemaChange{none}
	}
	if len(d.Changes) == 0 {
		none.noTable = d.Snapshot // SET and USE
		return []schemaChange{none}
	}
	tables := joinTables(d.Changes)
	out := make([]schemaChange, len(d.Changes))
	for i, c := range d.Changes {
		out[i] = schemaChange{database: c.Database, table: tables, ddl: shape.text}
		if !renamedAway(d.Changes[i+1:], c) {
			out[i].changes = []*capturev1.TableChange{c}
		}
		if len(shape.items) != len(d.Changes) {
			continue
		}
		switch shape.verb {
		case "RENAME TABLE":
			out[i].ddl = shape.prefix + shape.items[i]
		case "DROP TABLE":
			out[i].ddl = shape.prefix + "`" + c.Database + "`.`" + c.Table + "`"
		}
	}
	return out
}

// renamedAway reports whether later clauses of the statement rename the table that c leaves. Debezium reads the model when the statement is done,
// and does not find it.
func renamedAway(later []*capturev1.TableChange, c *capturev1.TableChange) bool {
	return slices.ContainsFunc(later, func(l *capturev1.TableChange) bool {
		return l.PreviousTable == c.Table && (l.PreviousDatabase == "" || l.PreviousDatabase == c.Database)
	})
}

// joinTables names the tables of a statement in the order of a java.util.HashSet, which is the one that Debezium keeps them in.
func joinTables(changes []*capturev1.TableChange) string {
	type entry struct {
		table string
		hash  uint32
	}
	var set []entry
	for _, c := range changes {
		id := c.Database + "." + c.Table
		e := entry{c.Table, javaHash(id)}
		if !slices.Contains(set, e) {
			set = append(set, e)
		}
	}
	buckets := uint32(16) // HashSet's initial capacity; it doubles when three quarters are full
	for uint32(len(set))*4 > buckets*3 {
		buckets *= 2
	}
	slices.SortStableFunc(set, func(a, b entry) int {
		return int(a.hash&(buckets-1)) - int(b.hash&(buckets-1))
	})
	names := make([]string, len(set))
	for i, e := range set {
		names[i] = e.table
	}
	return strings.Join(names, ",")
}

// javaHash is String.hashCode spread as HashMap does.
func javaHash(s string) uint32 {
	h := uint32(0)
	for _, c := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(c)
	}
	return h ^ h>>16
}

func (e *Encoder) appendSchemaChange(d *capturev1.Ddl, c *schemaChange, now int64, out *Output) {
	r := Record{Topic: e.schemaTopic, Partition: 0, Context: e.cfg.ExtendedHeaders, ExtraValue: null, Group: -1}
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
	dst = appendString(dst, c.ddl)
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
	dst = e.appendSnapshotField(dst, d.Snapshot, rowv1.Marker_MARKER_UNSPECIFIED)
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
	return append(dst, `0,"thread":null,"query":null}`...)
}

// appendTableChange appends one element of tableChanges.
func (e *Encoder) appendTableChange(dst []byte, c *capturev1.TableChange) []byte {
	kind := "ALTER"
	switch c.Type {
	case capturev1.ChangeType_CHANGE_TYPE_CREATE:
		kind = "CREATE"
	case capturev1.ChangeType_CHANGE_TYPE_DROP:
		kind = "DROP"
	}
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
	dst = appendOptional(dst, t.GetComment(), t.Comment != nil && e.showComments())
	return append(dst, '}')
}

// showComments: MySQL's connector keeps comments in its model where include.schema.comments asks for them, MariaDB's always.
func (e *Encoder) showComments() bool { return e.cfg.IncludeSchemaComments || e.modes.mariadb }

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
	generated := modelGenerated(c, e.modes.mariadb)
	dst = append(dst, `,"autoIncremented":`...)
	dst = strconv.AppendBool(dst, generated)
	dst = append(dst, `,"generated":`...)
	dst = strconv.AppendBool(dst, generated)
	dst = append(dst, `,"comment":`...)
	dst = appendOptional(dst, c.GetComment(), c.Comment != nil && e.showComments())
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
