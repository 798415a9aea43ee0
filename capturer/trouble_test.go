package capturer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/row"
)

// A server that does not come back is told: a lane must not look as if nothing happened at its source.
func TestAwayServerEndsSubscriptions(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	sc.src.patience = 50 * time.Millisecond
	sc.s.breakAfter = func() int { return 3 }
	sc.s.onBreak = func() { sc.s.away = true }
	sc.s.txn("t", []int64{1})
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 1)
	select {
	case err := <-sub.done:
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("subscription ended with %v, want Unavailable", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the subscription waits for ever")
	}
}

// A server that lets connect and then breaks off each time is left in peace, and told.
func TestConnectionsThatLeadNowhereEnd(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	sc.src.patience = time.Second
	sc.s.txn("t", []int64{1})
	sc.s.breakAfter = func() int { return 0 }
	sub := sc.subscribe(at(4))
	select {
	case err := <-sub.done:
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("subscription ended with %v, want Unavailable", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the subscription waits for ever")
	}
	sc.s.mu.Lock()
	defer sc.s.mu.Unlock()
	if sc.s.dials > 10 {
		t.Errorf("%d connections in a second, want fewer and fewer", sc.s.dials)
	}
}

// A replica that takes over in the middle of a transaction has it with other events: whoever has a part of it begins again.
func TestFailoverInTransaction(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	sc.s.gtids = true
	lives := []int{5} // the second transaction's first event of rows is the last
	sc.s.breakAfter = func() int {
		if len(lives) == 0 {
			return -1
		}
		lives = nil
		return 5
	}
	sc.s.onBreak = func() { sc.s.uuid = "v" }
	sc.s.txn("t", []int64{1})
	sc.s.txn("t", []int64{2, 3}, []int64{4})
	sub := sc.subscribe(at(4))
	sub.await(t, "Reset", func(s *subscriber) bool {
		return len(s.ids) > 3 || s.messages != nil && s.messages[len(s.messages)-1].GetReset_() != nil
	})
	if diff := cmp.Diff([]int64{1, 2, 3}, sub.ids); diff != "" {
		t.Error(diff)
	}
	// What the last checkpoint at a transaction's end covers is all that counts then.
	var token []byte
	for _, m := range sub.messages {
		if c := m.GetBatch().GetCheckpoint(); c.GetTransactionEnd() {
			token = c.Token
		}
	}
	start := at(4)
	start.GetPosition().ServerUuid = "v"
	want := []int64{1, 2, 3, 4}
	if token != nil {
		start, want = fromToken(token), []int64{2, 3, 4}
	}
	again := sc.subscribe(start)
	again.awaitRows(t, len(want))
	if diff := cmp.Diff(want, again.ids); diff != "" {
		t.Error(diff)
	}
}

// A reader follows the DDL of a table that it meets with a subscription which joins it, from the shape that the subscription's snapshot has stored.
func TestDDLOfJoinedTable(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	sc.s.txn("t", []int64{1})
	first := sc.subscribe(at(4))
	first.awaitRows(t, 1)
	shape := &rowv1.Table{Database: "db", Table: "u", Columns: []*rowv1.Column{{Name: "id", Kind: rowv1.Kind_KIND_INT, TypeName: "INT", TypeExpression: "INT", Position: 1}}}
	head := at(sc.s.head())
	if err := sc.src.history.put(t.Context(), registry.TableVersion{Database: "db", Table: "u", ValidFrom: head.GetPosition(), Shape: shape}); err != nil {
		t.Fatal(err)
	}
	second := sc.subscribe(head, func(o *capturev1.Open, _ *subscriber) { o.Tables.IncludeTables = []string{`db\.u`} })
	second.await(t, "Opened", func(s *subscriber) bool { return len(s.messages) > 0 })
	sc.s.awaitOne(t)
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "ALTER TABLE u ADD COLUMN c INT"})
	second.await(t, "the statement", func(s *subscriber) bool { return s.messages[len(s.messages)-1].GetDdl() != nil })
	second.mu.Lock()
	defer second.mu.Unlock()
	if n := len(second.messages[len(second.messages)-1].GetDdl().Changes[0].After.GetColumns()); n != 2 {
		t.Errorf("the table has %d columns after the statement, want 2", n)
	}
}

// CREATE TABLE ... SELECT is a statement and rows in one transaction. A connection that breaks between them repeats neither.
func TestConnectionLostBehindStatementOfTransaction(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	broken := false
	sc.s.breakAfter = func() int {
		if broken {
			return -1
		}
		broken = true
		return 2
	}
	tm := &binlog.TableMap{Database: "db", Name: "t", Columns: make([]binlog.ColumnMap, 1)}
	sc.s.append(binlog.Event{Kind: binlog.Begin}, binlog.Event{Kind: binlog.Query, InTransaction: true, Database: "db", SQL: "CREATE TABLE t (id INT)", EventIndex: 1},
		binlog.Event{Kind: binlog.Rows, Table: tm, Op: row.Create, EventIndex: 3, Query: packIDs([]int64{1, 2})}, binlog.Event{Kind: binlog.Commit})
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 2)
	n := 0
	for _, m := range sub.messages {
		if m.GetDdl() != nil {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d messages of the statement, want 1", n)
	}
	if diff := cmp.Diff([]int64{1, 2}, sub.ids); diff != "" {
		t.Error(diff)
	}
}

// Rows do not wait for the end of the transaction that follows theirs, which may take as long as it likes.
func TestRowsDoNotWaitForTheNextTransaction(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	foreign := &binlog.TableMap{Database: "db", Name: "foreign", Columns: make([]binlog.ColumnMap, 1)}
	sc.s.txn("t", []int64{1})
	events := []binlog.Event{{Kind: binlog.Begin}}
	for i := range 2 * lookEvery {
		events = append(events, binlog.Event{Kind: binlog.Rows, Table: foreign, Op: row.Create, EventIndex: uint32(2 + 2*i), Query: packIDs([]int64{1})})
	}
	sc.s.append(events...)
	sc.subscribe(at(4)).awaitRows(t, 1)
}

// What the log holds only as a statement is told once, and not passed over.
func TestStatementInPlaceOfRows(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	for _, sql := range []string{"/* app */ update t set id=2", "INSERT\tINTO t VALUES (3)"} {
		sc.s.append(binlog.Event{Kind: binlog.Begin}, binlog.Event{Kind: binlog.Query, InTransaction: true, Database: "db", SQL: sql}, binlog.Event{Kind: binlog.Commit})
	}
	sc.s.txn("t", []int64{4})
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 1)
	sub.mu.Lock()
	defer sub.mu.Unlock()
	var told []*capturev1.TableError
	for _, m := range sub.messages {
		if e := m.GetTableError(); e != nil {
			told = append(told, e)
		}
	}
	if len(told) != 1 || told[0].Database != "db" || told[0].Table != "" || told[0].Position.GetPos() != 4+scriptEvent {
		t.Errorf("told %v, want the first statement alone", told)
	}
}

// A subscription that begins now has the shapes of now, whatever the history says of a time after which nobody followed DDL.
func TestStartNowReadsShapes(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	old := registry.TableVersion{Database: "db", Table: "t", ValidFrom: at(4).GetPosition(), Shape: shape("t", "before")}
	if err := sc.src.history.put(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	sc.s.txn("foreign", []int64{1})
	sc.s.shapes = []*rowv1.Table{shape("t", "now")}
	sub := sc.subscribe(latest)
	sub.await(t, "Opened", func(s *subscriber) bool { return len(s.messages) > 0 })
	sc.s.txn("t", []int64{1})
	sub.awaitRows(t, 1)
	for _, m := range sub.messages {
		if s := m.GetSchema(); s != nil && s.Columns[0].Name != "now" {
			t.Errorf("rows have column %q, want that of now", s.Columns[0].Name)
		}
	}
}

// Whoever resumes behind a truncate does not get it again.
func TestTruncateComesOnce(t *testing.T) {
	t.Parallel()
	sc := newScripted(t)
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "CREATE TABLE t (id INT)"})
	sc.s.txn("t", []int64{1})
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "TRUNCATE TABLE t"})
	sc.s.txn("t", []int64{2})
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 2)
	var token []byte // of a place where a subscriber may commit, with the truncate before it
	for _, m := range sub.messages {
		if d := m.GetDdl(); d != nil && d.Statement == "TRUNCATE TABLE t" && d.Checkpoint.TransactionEnd {
			t.Error("the statement's message is a place to resume behind the truncate, which comes later")
		}
		b := m.GetBatch()
		for _, op := range b.GetGroupOp() {
			if op == 't' && b.Checkpoint.TransactionEnd {
				token = b.Checkpoint.Token
			}
		}
	}
	if token == nil {
		t.Fatal("no truncate, or none that ends a transaction")
	}
	sc.s.txn("t", []int64{3})
	again := sc.subscribe(fromToken(token))
	again.await(t, "row 3", func(s *subscriber) bool { return len(s.ids) > 0 && s.ids[len(s.ids)-1] == 3 })
	for _, b := range batches(again) {
		for _, op := range b.GroupOp {
			if op == 't' {
				t.Error("the truncate came again")
			}
		}
	}
}
