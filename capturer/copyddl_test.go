package capturer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// What statements do to a table in the middle of its snapshot. Other tables go on in all cases.
func TestCopyWithDDLInTheMiddle(t *testing.T) {
	for name, c := range map[string]struct {
		statements []string
		same       bool   // what the consumer has of the table is what the table holds
		why        string // told with the table's end
	}{
		"column added":     {[]string{"ALTER TABLE t ADD COLUMN extra VARCHAR(10) DEFAULT 'e'", "UPDATE t SET extra='f' WHERE id%50=0"}, true, ""},
		"column dropped":   {[]string{"ALTER TABLE t DROP COLUMN w", "UPDATE t SET v='f' WHERE id%50=0"}, true, ""},
		"type changed":     {[]string{"ALTER TABLE t MODIFY v TEXT", "UPDATE t SET v=CONCAT(v,'f') WHERE id%50=0"}, true, ""},
		"truncated":        {[]string{"TRUNCATE TABLE t", "INSERT INTO t (id, v) VALUES (5,'new')"}, true, ""},
		"key changed":      {[]string{"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (v, id)"}, false, ""},
		"key dropped":      {[]string{"ALTER TABLE t DROP PRIMARY KEY"}, false, "no primary key"},
		"dropped":          {[]string{"DROP TABLE t"}, false, ""},
		"renamed":          {[]string{"RENAME TABLE t TO tt"}, false, "renamed to"},
		"made anew":        {[]string{"DROP TABLE t", "CREATE TABLE t (id INT PRIMARY KEY, x INT)", "INSERT INTO t VALUES (1,1)"}, false, ""},
		"swapped":          {[]string{"CREATE TABLE tt LIKE t", "INSERT INTO tt SELECT * FROM t", "UPDATE tt SET v='swapped'", "RENAME TABLE t TO told, tt TO t"}, true, ""},
		"database dropped": {[]string{"DROP DATABASE %s"}, false, ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			onEngines(t, func(t *testing.T, m *mesh) {
				m.exec("CREATE TABLE t (id INT, v VARCHAR(50) NOT NULL, w VARCHAR(200), PRIMARY KEY (id))", "CREATE TABLE u (id INT PRIMARY KEY)", "INSERT INTO u VALUES (1),(2)")
				const rows = 1000
				for i := 0; i < rows; i += 500 {
					var values []string
					for k := range 500 {
						values = append(values, fmt.Sprintf("(%d,'old',REPEAT('o',50))", i+k))
					}
					m.exec("INSERT INTO t VALUES " + strings.Join(values, ","))
				}
				x := newMaterialized(t)
				x.replaced = name == "swapped"
				s := m.open(lockFree, inChunks(20), func(o *capturev1.Open) {
					o.MaxBatchBytes, o.Credit = 1000, 3000
					o.Tables = &capturev1.TableFilter{IncludeTables: []string{m.db + `\.(t|u|finished)`}}
					o.Snapshot.Threads = 1
				})
				x.follow(s, func() bool { return x.reads > 100 })
				for _, sql := range c.statements {
					if strings.Contains(sql, "%s") {
						sql = fmt.Sprintf(sql, m.db)
					}
					m.exec(sql)
				}
				if name == "database dropped" {
					x.follow(s, func() bool { return x.complete })
					return
				}
				m.exec("CREATE TABLE finished (id INT PRIMARY KEY)", "INSERT INTO finished VALUES (1)")
				x.follow(s, x.finished(m.db))
				s.Close()
				if _, ok := x.rows[m.db+".u 2"]; !ok {
					t.Error("the table behind it was not read")
				}
				got, want := of(x.rows, m.db+".t"), of(m.truth(t), m.db+".t")
				if c.same {
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("consumer and table differ: %.2000s", diff)
					}
				} else {
					for k, v := range want { // what was there under an older shape is still with the consumer
						if name != "key dropped" && name != "made anew" && got[k] != v {
							t.Errorf("row %s is %q, want %q", k, got[k], v)
						}
					}
				}
				if told := strings.Join(x.errors, "\n"); (c.why == "") != (told == "") || !strings.Contains(told, c.why) {
					t.Errorf("told %q, want %q", told, c.why)
				}
			})
		})
	}
}

// of returns the first two columns of the rows of a table: rows that were sent before a column came or went are not sent again.
func of(rows map[string]string, table string) map[string]string {
	out := map[string]string{}
	for k, v := range rows {
		if strings.HasPrefix(k, table+" ") {
			out[k] = strings.Join(strings.Split(v, ",")[:2], ",")
		}
	}
	return out
}
