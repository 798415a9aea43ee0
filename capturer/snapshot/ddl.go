package snapshot

import (
	"time"

	"github.com/rowmesh/rowmesh/capturer/schema"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

// define tells the definitions as Debezium does: the server's defaults, a DROP TABLE for each table, then database by database DROP, CREATE, USE and
// the tables' SHOW CREATE texts. Without DDL_SCOPE_ALL or DATABASES it tells of the wanted tables alone.
func (r *run) define(c *cut) error {
	for _, t := range c.tables {
		if t.problem != nil && t.rows {
			if err := r.tableFailed(t, t.problem); err != nil {
				return err
			}
		}
	}
	if r.Ddl == capturev1.DdlScope_DDL_SCOPE_NONE {
		return nil
	}
	all := r.allDDL()
	if all {
		if err := r.ddl("", "SET character_set_server="+r.info.Charset+", collation_server="+r.info.Collation); err != nil {
			return err
		}
	}
	for _, t := range c.tables {
		drop := &capturev1.TableChange{Type: capturev1.ChangeType_CHANGE_TYPE_DROP, Database: t.database, Table: t.name}
		if err := r.ddl(t.database, "DROP TABLE IF EXISTS "+source.QuoteTable(t.database, t.name), drop); err != nil {
			return err
		}
	}
	var last *capturev1.Ddl
	for _, d := range c.databases {
		if err := r.tell(last); err != nil {
			return err
		}
		last = nil
		if all {
			if err := r.defineDatabase(d); err != nil {
				return err
			}
		}
		for _, t := range r.tellingOrder(c.defined(d.Name)) {
			if err := r.tell(last); err != nil {
				return err
			}
			last = r.message(d.Name, t.create, created(t)...)
		}
	}
	if last != nil && !r.Snapshot.Data {
		last.Marker = rowv1.Marker_MARKER_LAST // no row comes after it
	}
	return r.tell(last)
}

// defined are the tables of a database whose definition could be read.
func (c *cut) defined(database string) (out []*table) {
	for _, t := range c.tables {
		if t.database == database && t.create != "" {
			out = append(out, t)
		}
	}
	return out
}

func (r *run) defineDatabase(d Database) error {
	name := source.Quote(d.Name)
	for _, s := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name + " CHARSET " + d.Charset + " COLLATE " + d.Collation, "USE " + name} {
		if err := r.ddl(d.Name, s); err != nil {
			return err
		}
	}
	return nil
}

func created(t *table) []*capturev1.TableChange {
	if t.shape == nil {
		return nil
	}
	return []*capturev1.TableChange{{Type: capturev1.ChangeType_CHANGE_TYPE_CREATE, Database: t.database, Table: t.name, After: cloneTable(schema.Visible(t.shape))}}
}

func (r *run) ddl(database, statement string, changes ...*capturev1.TableChange) error {
	return r.tell(r.message(database, statement, changes...))
}

func (r *run) message(database, statement string, changes ...*capturev1.TableChange) *capturev1.Ddl {
	return &capturev1.Ddl{
		Database: database, Statement: statement, Changes: changes, Snapshot: true, File: r.cut.File, Pos: r.cut.Pos,
		TimeUs: uint64(time.Now().UnixMicro()), Checkpoint: r.checkpoint(true),
	}
}

// tell sends a message; nil is none.
func (r *run) tell(d *capturev1.Ddl) error {
	if d == nil {
		return nil
	}
	return r.emit(&capturev1.SubscribeResponse{Message: &capturev1.SubscribeResponse_Ddl{Ddl: d}})
}

// cloneTable copies a table so that a message can be given away; columns are shared, as nobody writes to them.
func cloneTable(t *rowv1.Table) *rowv1.Table {
	return &rowv1.Table{SchemaId: t.SchemaId, Database: t.Database, Table: t.Table, Columns: t.Columns, Key: t.Key, Charset: t.Charset, Collation: t.Collation, Comment: t.Comment, Indexes: t.Indexes}
}
