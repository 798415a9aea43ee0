package history

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

func ptr[T any](v T) *T { return &v }

func sample() *Record {
	return &Record{
		Server: "shop", TimeMS: 5, Database: "d", Statement: "alter table `a\"b` add c int\n",
		Position: &rowv1.SourceOffset{TsSec: 7, File: "binlog.000001", Pos: 5_000_000_000, Gtids: "u:1-3", ServerId: 2, Event: 1},
		Changes: []Change{
			{Type: Drop, Database: "d", Table: "gone"},
			{Type: Alter, Database: "d", Table: `a"b`, PreviousDatabase: "d", PreviousTable: "x", Model: &Table{Charset: ptr("utf8mb4"), Key: []string{"id"}, Comment: ptr("é"), Columns: []Column{
				{Name: "id", JdbcType: 4, TypeName: "INT UNSIGNED", TypeExpression: "INT UNSIGNED", Position: 1, AutoIncrement: true},
				{Name: "v", JdbcType: 12, TypeName: "VARCHAR", TypeExpression: "VARCHAR", Charset: ptr("latin1"), Length: ptr(int64(9)), Position: 2, Optional: true, HasDefault: true, Default: ptr(`it's \`)},
				{Name: "e", JdbcType: 1, TypeName: "ENUM", TypeExpression: "ENUM", Charset: ptr("utf8mb4"), Length: ptr(int64(1)), Position: 3, Optional: true, HasDefault: true, Members: []string{"'a'", "'b''c'"}},
				{Name: "n", JdbcType: 3, TypeName: "DECIMAL", TypeExpression: "DECIMAL", Length: ptr(int64(10)), Scale: ptr(int64(2)), Position: 4},
			}}},
		},
	}
}

func TestAppendAndParse(t *testing.T) {
	r := sample()
	value := r.Append(nil)
	got, err := Parse(value)
	if err != nil {
		t.Fatalf("%v\n%s", err, value)
	}
	for i := range got.Changes { // JSON has [ ] where there is none
		if m := got.Changes[i].Model; m != nil {
			for j := range m.Columns {
				if len(m.Columns[j].Members) == 0 {
					m.Columns[j].Members = nil
				}
			}
		}
	}
	if diff := cmp.Diff(r, got, protocmp.Transform()); diff != "" {
		t.Errorf("-appended +parsed\n%s", diff)
	}
	const want = "{\n  \"source\" : {\n    \"server\" : \"shop\"\n  },\n  \"position\" : {\n    \"ts_sec\" : 7,\n    \"file\" : \"binlog.000001\",\n    \"pos\" : 5000000000,\n    \"gtids\" : \"u:1-3\",\n" +
		"    \"server_id\" : 2,\n    \"event\" : 1\n  },\n  \"ts_ms\" : 5,\n  \"databaseName\" : \"d\",\n  \"ddl\" : \"alter table `a\\\"b` add c int\\n\",\n  \"tableChanges\" : [ {\n    \"type\" : \"DROP\",\n"
	if !strings.HasPrefix(string(value), want) {
		t.Errorf("got\n%s\nwant it to begin with\n%s", value, want)
	}
}

func TestDefinition(t *testing.T) {
	c := sample().Changes[1]
	const want = "CREATE TABLE `a\"b` (\n  `id` INT UNSIGNED NOT NULL AUTO_INCREMENT,\n  `v` VARCHAR(9) CHARACTER SET latin1 NULL DEFAULT 'it''s \\\\',\n" +
		"  `e` ENUM('a','b''c') CHARACTER SET utf8mb4 NULL DEFAULT NULL,\n  `n` DECIMAL(10,2) NOT NULL,\n  PRIMARY KEY (`id`)\n) DEFAULT CHARSET=utf8mb4 COMMENT='é'"
	if diff := cmp.Diff(want, c.Definition()); diff != "" {
		t.Error(diff)
	}
}

// A record that is none, or half of one, is an error that says so.
func TestParseRefuses(t *testing.T) {
	whole := string(sample().Append(nil))
	for _, c := range []struct{ name, value, want string }{
		{"empty", "", "no JSON object"},
		{"another program's", `{"id":1,"v":"x"}`, "no source.server"},
		{"plain text", "hello", "no JSON object"},
		{"an event of ours", `{"schema":{},"payload":{}}`, "no source.server"},
		{"no position", `{"source":{"server":"s"},"ddl":"x"}`, "no position"},
		{"a position that is none", `{"source":{"server":"s"},"position":{"lsn":5},"ddl":"x"}`, "neither file nor gtids"},
		{"nothing told", `{"source":{"server":"s"},"position":{"file":"f","pos":4},"databaseName":"d","tableChanges":[]}`, "neither a statement"},
		{"two objects", whole + whole, "follows"},
		{"unknown type", `{"source":{"server":"s"},"position":{"file":"f","pos":4},"tableChanges":[{"type":"MERGE","id":"\"d\".\"t\""}]}`, "MERGE"},
		{"id of another kind", `{"source":{"server":"s"},"position":{"file":"f","pos":4},"tableChanges":[{"type":"DROP","id":"\"a\".\"b\".\"c\""}]}`, "names no table"},
		{"a table without columns", `{"source":{"server":"s"},"position":{"file":"f","pos":4},"tableChanges":[{"type":"CREATE","id":"\"d\".\"t\"","table":{"columns":[]}}]}`, "no columns"},
	} {
		if _, err := Parse([]byte(c.value)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that says %q", c.name, err, c.want)
		}
	}
	for n := 1; n < len(whole); n++ {
		if _, err := Parse([]byte(whole[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for a record", n, len(whole))
		} else if !strings.Contains(err.Error(), "cut off") {
			t.Fatalf("the first %d of %d bytes: %v, want that it is cut off", n, len(whole), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample().Append(nil))
	f.Add([]byte(`{"source":{"server":"s"},"position":{"file":"f","pos":4},"tableChanges":[{"type":"DROP","id":"\"d\".\"t\""}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := Parse(value)
		if err != nil {
			return
		}
		for i := range r.Changes {
			r.Changes[i].Definition()
		}
		if _, err := Parse(r.Append(nil)); err != nil && r.Statement != "" {
			t.Errorf("%s\nis not read back: %v", r.Append(nil), err)
		}
	})
}
