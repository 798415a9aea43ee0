package capturer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// keyTypes are keys of many types, with values that are near each other in some order or other. What a server has no type for is left out there.
var keyTypes = []struct {
	name, columns, key string
	values             func(i int) string
	only               string
}{
	{"ints", "a INT", "a", func(i int) string { return fmt.Sprint(i*7919%1000 - 500) }, ""},
	{"unsigneds", "a BIGINT UNSIGNED", "a", func(i int) string { return fmt.Sprint(uint64(1)<<63 - 30 + uint64(i)) }, ""},
	{"decimals", "a DECIMAL(30,5)", "a", func(i int) string { return fmt.Sprintf("%d.%05d", i%7-3, i) }, ""},
	{"doubles", "a DOUBLE", "a", func(i int) string { return fmt.Sprintf("%d/3e0", i-30) }, ""},
	{"floats", "a FLOAT", "a", func(i int) string { return fmt.Sprintf("%d/7e0", i-30) }, ""},
	{"folded", "a CHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "a", func(i int) string {
		return fmt.Sprintf("'%s%d'", []string{"a", "B", "ä", "Z", "é", "ss", "ß"}[i%7], i/7)
	}, ""},
	{"binaries", "a VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "a", func(i int) string {
		return fmt.Sprintf("'%s%d'", []string{"a", "A", "ä", " ", "'' ", "\\\\", "😀"}[i%7], i/7)
	}, ""},
	{"latin", "a VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", "a", func(i int) string {
		return fmt.Sprintf("'%s%d'", []string{"a", "ö", "oe", "é", "€", "o", "z"}[i%7], i/7)
	}, ""},
	{"fixed", "a BINARY(4)", "a", func(i int) string { return fmt.Sprintf("X'%04x'", i*997%65536) }, ""},
	{"bytes", "a VARBINARY(4)", "a", func(i int) string { return fmt.Sprintf("X'%0*x'", 2+2*(i%3), i*31%256) }, ""},
	{"dates", "a DATE", "a", func(i int) string { return fmt.Sprintf("'%d-%02d-%02d'", 1000+i*131, 1+i%12, 1+i%28) }, ""},
	{"datetimes", "a DATETIME(6)", "a", func(i int) string { return fmt.Sprintf("'2024-02-29 23:59:59.%06d'", i*7) }, ""},
	{"timestamps", "a TIMESTAMP(3)", "a", func(i int) string { return fmt.Sprintf("'2024-03-31 0%d:30:00.%03d'", 1+i%3, i) }, ""},
	{"times", "a TIME(3)", "a", func(i int) string { return fmt.Sprintf("'%d:00:00.%03d'", i*20-600, i) }, ""},
	{"years", "a YEAR", "a", func(i int) string { return fmt.Sprint(1950 + i) }, ""},
	{"enums", "a ENUM('z','y','x','b','a'), b INT", "a, b", func(i int) string { return fmt.Sprintf("'%c', %d", "zyxba"[i%5], i) }, ""},
	{"sets", "a SET('z','y','a'), b INT", "a, b", func(i int) string { return fmt.Sprintf("%d, %d", i%8, i) }, ""},
	{"bits", "a BIT(20)", "a", func(i int) string { return fmt.Sprint(i * 15485 % 1048576) }, ""},
	{"composite", "a INT, b VARCHAR(10), c DATETIME(3)", "b, c, a", func(i int) string { return fmt.Sprintf("%d, '%c', '2024-01-01 00:00:0%d.5'", i, 'a'+i%3, i%5) }, ""},
	{"words`and", "`select` INT, `a``b` INT", "`a``b`, `select`", func(i int) string { return fmt.Sprintf("%d, %d", i, i%4) }, ""},
	{"uuids", "a UUID", "a", func(i int) string { return fmt.Sprintf("'%08x-0000-1000-8000-%012x'", i*40503, i%5) }, "mariadb"},
	{"inets", "a INET6", "a", func(i int) string { return fmt.Sprintf("'::%x'", i*257) }, "mariadb"},
}

func TestCopyOfKeysOfManyTypes(t *testing.T) {
	onEngines(t, func(t *testing.T, m *mesh) {
		const rows = 60
		for _, k := range keyTypes {
			if k.only != "" && !strings.HasSuffix(t.Name(), k.only) {
				continue
			}
			name := "`" + strings.ReplaceAll(k.name, "`", "``") + "`"
			m.exec("CREATE TABLE " + name + " (" + k.columns + ", v INT, PRIMARY KEY (" + k.key + "))")
			var values []string
			for i := range rows {
				values = append(values, fmt.Sprintf("(%s, %d)", k.values(i), i))
			}
			m.exec("INSERT IGNORE INTO " + name + " VALUES " + strings.Join(values, ","))
		}
		m.exec("CREATE TABLE uniques (a INT, b INT NOT NULL, c INT NOT NULL, UNIQUE KEY (a), UNIQUE KEY (c, b))", "INSERT INTO uniques VALUES (NULL,1,2),(NULL,2,1),(3,3,3)")
		for _, threads := range []uint32{1, 3} {
			x := newMaterialized(t)
			s := m.open(lockFree, inChunks(7), func(o *capturev1.Open) { o.Snapshot.Threads = threads })
			// Rows that change meanwhile find out whether keys are spelled alike in the log.
			for _, k := range keyTypes {
				if k.only == "" || strings.HasSuffix(t.Name(), k.only) {
					m.exec("UPDATE `" + strings.ReplaceAll(k.name, "`", "``") + "` SET v=v+1000 WHERE v%3=0")
				}
			}
			m.exec("CREATE TABLE IF NOT EXISTS finished (id INT PRIMARY KEY)", "REPLACE INTO finished VALUES (1)")
			x.follow(s, x.finished(m.db))
			s.Close()
			if diff := cmp.Diff(m.truth(t), x.rows); diff != "" {
				t.Errorf("%d connections: consumer and tables differ: %.3000s", threads, diff)
			}
			if len(x.errors) > 0 {
				t.Error(x.errors)
			}
			m.exec("DROP TABLE finished")
		}
	})
}
