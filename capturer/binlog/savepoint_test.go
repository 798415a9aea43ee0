package binlog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// savepoints writes a transaction: a number inserts a row, "s a" sets a savepoint, "r a" rolls back to it.
func savepoints(w *logWriter, script string) (first place) {
	first = w.add(gtidEvent, gtidBody(5, 1, 1))
	w.add(queryEvent, queryBody(9, "d", "BEGIN"))
	for step := range strings.SplitSeq(script, ",") {
		switch verb, name, _ := strings.Cut(strings.TrimSpace(step), " "); verb {
		case "s":
			w.add(queryEvent, queryBody(9, "d", "SAVEPOINT `"+name+"`"))
		case "r":
			w.add(queryEvent, queryBody(9, "d", "ROLLBACK TO `"+name+"`"))
		default:
			w.add(tableMapEvent, narrowMap(1))
			w.add(writeRowsV2, narrowRows(1, verb[0]-'0'))
		}
	}
	return first
}

// rowsOf reads a stream's rows as digits; "|" is a commit, "x" a rollback.
func rowsOf(s *Stream) (string, error) {
	var b strings.Builder
	for {
		ev, err := s.Next()
		if err != nil {
			if strings.HasSuffix(err.Error(), "EOF") {
				return b.String(), nil
			}
			return b.String(), err
		}
		switch ev.Kind {
		case Rows:
			fmt.Fprintf(&b, "%c", '0'+ev.rows.data[1])
		case Commit:
			b.WriteByte('|')
		case Rollback:
			b.WriteByte('x')
		}
	}
}

func TestRollbackToSavepoint(t *testing.T) {
	for script, want := range map[string]string{
		"1, s a, 2, 3":                                "123|",
		"1, s a, 2, r a, 3":                           "13|",
		"s a, 1, s b, 2, r b, 3, r b, 4":              "14|",
		"1, s a, 2, s b, 3, r a, 4, s b, 5, r B":      "14|",
		"s a, 1, s b, 2, s a, 3, r a, 4, r b":         "1|",
		"1, s a, 2, r a, 3, s c, 4, r a, s d, 5, r d": "1|",
	} {
		w := newLog("binlog.000001")
		savepoints(w, script)
		w.add(xidEvent, appendN(nil, 1, 8))
		savepoints(w, "7, s a, 8") // what was held of the one before is gone
		w.add(queryEvent, queryBody(9, "d", "COMMIT"))
		got, err := rowsOf(start(w, Start{File: "binlog.000001", Pos: 4}))
		if err != nil || got != want+"78|" {
			t.Errorf("%s: %s, %v; want %s", script, got, err, want)
		}
	}
}

// Rows behind a savepoint have the places that they have in the log, and come one by one.
func TestRowsBehindASavepointKeepTheirPlaces(t *testing.T) {
	read := func(script string) (lines []string) {
		w := newLog("binlog.000001")
		savepoints(w, script)
		w.add(xidEvent, appendN(nil, 1, 8))
		lines, err := events(start(w, Start{File: "binlog.000001", Pos: 4}))
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	shift := fmt.Sprint(len(queryBody(9, "d", "SAVEPOINT `a`")) + headerSize + checksumBytes)
	with, without := read("1, s a, 2, 3"), read("1, 2, 3")
	if len(with) != 5 || len(without) != 5 || with[1] != without[1] || with[2] == without[2] || shift == "0" {
		t.Errorf("with a savepoint (shifts by %s)\n%s\nwithout\n%s", shift, strings.Join(with, "\n"), strings.Join(without, "\n"))
	}
}

// A transaction with more behind a savepoint than may be held comes whole as long as nothing of it is undone, and else is an error that says so.
func TestMoreBehindASavepointThanFits(t *testing.T) {
	for script, want := range map[string]string{"1, s a, 2, 3, 4, 5, s b, 6": "123456|", "1, s a, 2, 3, 4, 5, r a, 6": "12345"} {
		w := newLog("binlog.000001")
		savepoints(w, script)
		w.add(xidEvent, appendN(nil, 1, 8))
		s := start(w, Start{File: "binlog.000001", Pos: 4})
		s.cfg.MaxHeldBytes = 200
		got, err := rowsOf(s)
		if got != want || (err != nil) != strings.Contains(script, "r a") {
			t.Errorf("%s: %s, %v; want %s", script, got, err, want)
		}
		if err != nil && errs.KindOf(err) != errs.Unsupported {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// The servers log ROLLBACK TO where a transaction also changes tables without transactions: MySQL with GTIDs refuses such transactions.
func TestSavepointsOfMixedEngines(t *testing.T) {
	s := realServer(t, "ROWMESH_TEST_MARIADB")
	s.script("create table t (id int primary key, v varchar(50)) charset utf8mb4; create table m (id int primary key, v varchar(50)) engine=myisam charset utf8mb4")
	st := s.dial(s.here())
	s.script(`begin; insert into t values (1,'kept'); savepoint s; insert into t values (2,'undone'); insert into m values (1,'stays'); rollback to s;
		insert into t values (3,'kept'); commit`)
	want := []string{"Rows c m [1,stays]", "Commit", "Rows c t [1,kept]", "Rows c t [3,kept]", "Commit"}
	var got []string
	for _, l := range s.trace(st, map[string]*rowv1.Table{"t": twoColumns["t"], "m": twoColumns["t"]}) {
		got = append(got, strings.Split(l, " by ")[0])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
}
