package convert

import (
	"strings"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/history"
)

// History returns what the schema history keeps of a statement: the same parts that the schema change topic tells, with the model as it is, whatever
// include.schema.changes says. A TRUNCATE shapes nothing.
func (e *Encoder) History(d *capturev1.Ddl) []history.Record {
	if len(d.Truncated) > 0 {
		return nil
	}
	now := e.opts.Now() / 1e6
	var out []history.Record
	for _, c := range schemaChanges(d) {
		r := history.Record{Server: e.cfg.TopicPrefix, Position: d.Checkpoint.GetOffset(), TimeMS: now, Database: c.database, Statement: c.ddl}
		if !e.modes.mariadb && !d.Snapshot {
			r.Statement = singleQuotes(c.ddl)
		}
		if e.cfg.TransactionMetadata && e.modes.mariadb && !d.Snapshot {
			r.Transaction = d.Gtid // its statements are transactions; MySQL's are none
		}
		for _, change := range c.changes {
			r.Changes = append(r.Changes, e.historyChange(d, change))
		}
		out = append(out, r)
	}
	return out
}

func (e *Encoder) historyChange(d *capturev1.Ddl, c *capturev1.TableChange) history.Change {
	out := history.Change{Type: history.ChangeType(changeType(c)), Database: c.Database, Table: c.Table}
	if renames(d.Statement) { // ALTER TABLE ... RENAME loses the name on its way through Debezium
		out.PreviousDatabase, out.PreviousTable = c.PreviousDatabase, c.PreviousTable
	}
	if c.After != nil && out.Type != history.Drop {
		out.Model = e.historyModel(c.After)
	}
	return out
}

// renames says whether a statement is a RENAME TABLE.
func renames(statement string) bool {
	const word = "RENAME"
	s := strings.TrimLeft(statement, " \t\r\n")
	return len(s) > len(word) && strings.EqualFold(s[:len(word)], word)
}

func (e *Encoder) historyModel(t *rowv1.Table) *history.Table {
	m := &history.Table{}
	if e.modes.comments {
		m.Comment = t.Comment
	}
	if t.Charset != "" {
		m.Charset = &t.Charset
	}
	for _, k := range t.Key {
		if int(k) < len(t.Columns) {
			m.Key = append(m.Key, t.Columns[k].Name)
		}
	}
	for _, c := range t.Columns {
		m.Columns = append(m.Columns, e.historyColumn(c))
	}
	return m
}

func (e *Encoder) historyColumn(c *rowv1.Column) history.Column {
	// A column that may be null has a default. MariaDB's parser sees no default but those whose value it tells.
	hasDefault := c.Nullable || c.HasDefault && (c.DefaultExpression != nil || !e.modes.mariadb)
	out := history.Column{Name: c.Name, JdbcType: jdbcType(c), TypeName: c.TypeName, TypeExpression: c.TypeExpression, Position: int64(c.Position), Optional: c.Nullable,
		AutoIncrement: c.AutoIncrement, Generated: c.Generated, HasDefault: hasDefault}
	if out.TypeExpression == "" {
		out.TypeExpression = c.TypeName
	}
	if c.Charset != "" {
		out.Charset = &c.Charset
	}
	if n := modelLength(c); n >= 0 {
		out.Length = &n
	}
	if c.Scale != nil {
		n := int64(*c.Scale)
		out.Scale = &n
	}
	if e.modes.comments {
		out.Comment = c.Comment
	}
	if text, ok := modelDefault(c); ok {
		out.Default = &text
	}
	for _, m := range c.Members {
		out.Members = append(out.Members, quoteMember(m))
	}
	return out
}
