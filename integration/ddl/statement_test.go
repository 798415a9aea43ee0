package ddl

import (
	"fmt"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// statement returns the next statement.
func (g *generator) statement() string {
	if len(g.queue) > 0 {
		s := g.queue[0]
		g.queue = g.queue[1:]
		return s
	}
	s := g.one()
	switch {
	case strings.Contains(s, "*/") || !g.chance(8):
	case g.mariadb:
		return g.pick("/*!50000 ", "/*M! ", "/*M!100100 ", "/* plain */ ", "set statement lock_wait_timeout=5 for ") + s + endOfComment(s)
	default:
		return g.pick("/*!50000 ", "/*!80000 ", "/* plain */ ") + s + endOfComment(s)
	}
	return s
}

// endOfComment closes the versioned comment that a statement may stand in; a comment of its own line would hide it.
func endOfComment(s string) string {
	if strings.ContainsAny(s, "#-") {
		return "\n */"
	}
	return " */"
}

// one returns a statement, or the first of a sequence.
func (g *generator) one() string {
	db, name := g.table()
	switch g.IntN(30) {
	case 0:
		return "drop table if exists " + g.qualified(db, name) + ", " + g.qualified(g.table()) + g.pick("", " cascade", " restrict")
	case 1:
		if t := g.existing(); t != nil {
			return g.pick("rename table ", "RENAME TABLES ") + g.of(t) + " to " + g.qualified(db, name)
		}
	case 2:
		return g.words("truncate ") + g.pick("", "table ") + g.qualified(db, name)
	case 3:
		if t := g.existing(); t != nil {
			return "create " + g.pick("", "unique ", "fulltext ") + "index ci" + g.pick("", " using btree") + " on " + g.of(t) + g.indexList(names(t))
		}
	case 4:
		if t := g.existing(); t != nil && len(t.Indexes) > 0 {
			return "drop index " + g.always(t.Indexes[g.IntN(len(t.Indexes))].Name) + " on " + g.of(t)
		}
	case 5:
		return g.database(db)
	case 6:
		return g.swap()
	case 7:
		return g.onlineChange()
	case 8:
		return g.temporary(db, name)
	case 9, 10:
		return g.other(db, name)
	case 11:
		if g.mariadb {
			return g.sequence(db)
		}
	case 12:
		return g.mode()
	case 13, 14, 15, 16, 17, 18:
		return g.createTable()
	}
	return g.alterTable()
}

// database makes, changes or drops a database; dropped is only the last one.
func (g *generator) database(db string) string {
	last := g.dbs[len(g.dbs)-1]
	if g.chance(40) {
		return g.pick("drop database if exists ", "drop schema ", "create database ", "create database if not exists ", "create schema ") + g.quote(last)
	}
	head := "alter database "
	if g.chance(30) {
		head, db = "create database if not exists ", last
	}
	return head + g.quote(db) + g.pick(" character set latin1", " collate utf8mb4_bin", " default charset = utf8mb4", " charset cp1251 collate cp1251_bin")
}

// swap exchanges two tables, or turns three.
func (g *generator) swap() string {
	a, b := g.existing(), g.existing()
	if a == nil || a == b {
		return g.createTable()
	}
	spare := g.quote(a.Database) + ".spare"
	return "rename table " + g.of(a) + " to " + spare + ", " + g.of(b) + " to " + g.of(a) + ", " + spare + " to " + g.of(b)
}

// onlineChange is what gh-ost or pt-online-schema-change do to a table.
func (g *generator) onlineChange() string {
	t := g.existing()
	if t == nil || strings.ContainsAny(t.Table, " .`") {
		return g.createTable()
	}
	db, clause := g.quote(t.Database), g.clause(t, names(t))
	if strings.HasPrefix(clause, "rename") && !strings.HasPrefix(clause, "rename column") {
		clause = "force"
	}
	name := func(pattern string) string { return db + ".`" + fmt.Sprintf(pattern, t.Table) + "`" }
	old := db + "." + g.quote(t.Table)
	if g.chance(50) {
		ghost, gone, log := name("_%s_gho"), name("_%s_del"), name("_%s_ghc")
		g.queue = append(g.queue, "create /* gh-ost */ table "+ghost+" like "+old, "alter /* gh-ost */ table "+ghost+" "+clause,
			"create /* gh-ost */ table "+gone+" (id int auto_increment primary key) engine=InnoDB comment='ghost-cut-over-sentry'", "drop /* gh-ost */ table if exists "+gone,
			"rename /* gh-ost */ table "+old+" to "+gone+", "+ghost+" to "+old, "drop /* gh-ost */ table if exists "+log, "drop /* gh-ost */ table if exists "+gone, "drop table if exists "+ghost)
		return "create /* gh-ost */ table " + log + " (id bigint unsigned auto_increment, last_update timestamp not null DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, " +
			"hint varchar(64) charset ascii not null, value varchar(4096) charset ascii not null, primary key(id), unique key hint_uidx(hint)) auto_increment=256 comment='gh-ost changelog'"
	}
	fresh, gone, trigger := name("_%s_new"), name("_%s_old"), db+"."+g.always("pt_osc_"+t.Table)
	g.queue = append(g.queue, "ALTER TABLE "+fresh+" "+clause, "CREATE TRIGGER "+trigger+" AFTER DELETE ON "+old+" FOR EACH ROW DELETE IGNORE FROM "+fresh+" WHERE 1 = 0",
		"RENAME TABLE "+old+" TO "+gone+", "+fresh+" TO "+old, "DROP TABLE IF EXISTS "+gone, "DROP TRIGGER IF EXISTS "+trigger, "DROP TABLE IF EXISTS "+fresh)
	return "CREATE TABLE " + fresh + " LIKE " + old
}

// temporary shadows a table for a while.
func (g *generator) temporary(db, name string) string {
	q := g.quote(db) + "." + g.quote(name)
	g.queue = append(g.queue, "alter table "+q+" add tmp2 int", "truncate table "+q, "create temporary table "+g.quote(db)+".tmp3 like "+q, "create table "+g.quote(db)+".fromtmp like "+q,
		"drop "+g.pick("", "temporary ")+"table if exists "+g.quote(db)+".tmp3, "+q, "drop table if exists "+g.quote(db)+".fromtmp")
	return "create temporary table " + q + " (tmp1 int, tmp varchar(3))"
}

// other returns statements that are about no table although they speak of some.
func (g *generator) other(db, name string) string {
	t := g.existing()
	if t == nil {
		t = &rowv1.Table{Database: db, Table: name, Columns: []*rowv1.Column{{Name: "a"}}}
	}
	d := g.quote(db)
	return g.pick("create or replace view "+d+".v1 as select 1 as a, 'create table x (a int)' as b", "create view "+d+".v2 as select * from "+g.of(t),
		"drop view if exists "+d+".v1, "+d+".v2", "alter view "+d+".v1 as select 2 as c", "rename table "+d+".v1 to "+d+".v3", "drop view if exists "+d+".v3",
		"create procedure "+d+".p1() begin create table x (a int); drop table if exists "+g.of(t)+"; alter table "+g.of(t)+" add zz int; end", "drop procedure if exists "+d+".p1",
		"create function "+d+".f1() returns int deterministic no sql return 1", "drop function if exists "+d+".f1",
		"create trigger "+g.quote(t.Database)+".tr1 before insert on "+g.of(t)+" for each row set @x = 1", "drop trigger if exists "+g.quote(t.Database)+".tr1",
		"create event "+d+".e1 on schedule every 1 year starts current_timestamp + interval 1 year do truncate table "+g.of(t), "drop event if exists "+d+".e1", "analyze table "+g.of(t), "optimize table "+g.of(t),
		"create user if not exists ddl_u@localhost", "drop user if exists ddl_u@localhost", "insert ignore into "+g.of(t)+" () values ()", "delete from "+g.of(t),
		"flush tables "+g.of(t), "create table "+d+"."+g.quote(name)+" as select * from nowhere")
}

// sequence makes, renames and drops MariaDB's sequences, and tables that take their names.
func (g *generator) sequence(db string) string {
	s, o := g.quote(db)+"."+g.pick("s1", "s2", "t1"), g.quote(db)+"."+g.pick("s1", "s2", "t2")
	return g.pick("create sequence "+s, "create sequence if not exists "+s+" start with 5 increment by 2", "create or replace sequence "+s, "alter sequence "+s+" restart 9", "drop sequence if exists "+s+", "+o,
		"drop table if exists "+s, "rename table "+s+" to "+o, "alter table "+s+" rename to "+o, "create table "+s+" (a int primary key)", "create or replace table "+s+" (b int)", "select nextval("+s+")",
		"create table "+o+" like "+s)
}

// mode changes settings of the session that change what statements mean.
func (g *generator) mode() string {
	g.ansi, g.plain = g.chance(30), g.chance(30)
	var modes []string
	if g.ansi {
		modes = append(modes, "ANSI_QUOTES")
	}
	if g.plain {
		modes = append(modes, "NO_BACKSLASH_ESCAPES")
	}
	if g.chance(20) {
		modes = append(modes, "REAL_AS_FLOAT")
	}
	if g.chance(50) {
		modes = append(modes, "STRICT_TRANS_TABLES")
	}
	return "set session sql_mode='" + strings.Join(modes, ",") + "'"
}
