package capturer

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// fiftyDDLs are statements with rows between them: columns come, go, change their names, types and places; tables change theirs.
func fiftyDDLs() []string {
	out := []string{"CREATE TABLE t (id INT PRIMARY KEY, a INT)", "CREATE TABLE u (id INT PRIMARY KEY)"}
	id := 0
	row := func(table, more string) {
		id++
		out = append(out, "INSERT INTO "+table+" VALUES ("+strconv.Itoa(id)+more+")")
	}
	row("t", ",1")
	for i := range 7 {
		n := strconv.Itoa(i)
		for _, s := range [][2]string{
			{"ALTER TABLE t ADD b" + n + " VARCHAR(20) CHARACTER SET latin1 AFTER id", ",'é" + n + "',1"},
			{"ALTER TABLE t CHANGE b" + n + " c" + n + " BIGINT UNSIGNED", ",18446744073709551615,1"},
			{"ALTER TABLE t MODIFY c" + n + " ENUM('x','y') FIRST", ""},
			{"ALTER TABLE t DROP c" + n + ", ADD d INT", ",1,2"},
			{"RENAME TABLE t TO tmp, u TO t, tmp TO u", ""},
			{"RENAME TABLE t TO tmp, u TO t, tmp TO u", ",3,4"},
			{"ALTER TABLE t DROP d", ",5"},
		} {
			out = append(out, s[0])
			if s[1] != "" {
				row("t", s[1])
			}
			row("u", "")
			if s[0] == "RENAME TABLE t TO tmp, u TO t, tmp TO u" && s[1] == "" {
				out = out[:len(out)-1]
				row("t", "")
			}
		}
	}
	return append(out, "TRUNCATE TABLE u")
}

// TestRestartAtEveryBoundary reads a log with fifty statements between its rows once, and then again from each place where a transaction ends, in a capturer that
// finds only what the store has: the rest is the same each time.
func TestRestartAtEveryBoundary(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		head := m.head()
		m.exec(fiftyDDLs()...)
		want := m.toTheEnd(t, head)
		var ends [][]byte
		var after []int
		for i, end := range want.ends {
			if end && !slices.Equal(want.tokens[i], want.tokens[max(i-1, 0)]) {
				ends, after = append(ends, want.tokens[i]), append(after, want.after[i])
			}
		}
		if len(ends) < 90 {
			t.Fatalf("%d ends of transactions, want one for each of the statements and rows", len(ends))
		}
		m.start() // nothing is known but by the store
		for i, token := range ends {
			if after[i] == len(want.rows) {
				continue
			}
			got := m.toTheEnd(t, fromToken(token))
			if diff := cmp.Diff(want.rows[after[i]:], got.rows); diff != "" {
				t.Fatalf("from end %d of %d on: -uninterrupted +resumed\n%s", i, len(ends), diff)
			}
		}
		t.Logf("%d restarts, %d rows and statements", len(ends), len(want.rows))
	})
}

// toTheEnd reads from start to the truncate that ends the log of the test. Batches are as small as they come, so that each transaction has its token.
func (m *mesh) toTheEnd(t *testing.T, start *capturev1.Start) *seen {
	t.Helper()
	s := m.open(start, func(o *capturev1.Open) {
		o.MaxBatchBytes = 1
		o.Consumer = fmt.Sprint("boundary ", len(start.GetToken()))
	})
	defer s.Close()
	return newSeen().read(t, s, func(s *seen) bool { return len(s.rows) > 0 && s.rows[len(s.rows)-1] == "t u" })
}
