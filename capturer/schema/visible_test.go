package schema

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

func TestVisible(t *testing.T) {
	plain := &rowv1.Table{Table: "t", Columns: []*rowv1.Column{{Name: "a"}}, Key: []uint32{0}}
	if Visible(plain) != plain {
		t.Error("a table without hidden columns was copied")
	}
	got := Visible(&rowv1.Table{
		Database: "d", Table: "t", Columns: []*rowv1.Column{{Name: "a"}, {Name: "row_start", Hidden: true}, {Name: "b"}, {Name: "row_end", Hidden: true}},
		Key: []uint32{2, 3}, Indexes: []*rowv1.Index{{Name: "i", Columns: []uint32{0, 2}, Unique: true}},
	})
	want := &rowv1.Table{Database: "d", Table: "t", Columns: []*rowv1.Column{{Name: "a"}, {Name: "b"}}, Key: []uint32{1},
		Indexes: []*rowv1.Index{{Name: "i", Columns: []uint32{0, 1}, Unique: true}}}
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestAdministers(t *testing.T) {
	for sql, want := range map[string]bool{
		"flush tables": true, "/* x */ GRANT all on *.* to u": true, "create definer=`d`@'%' event ev on schedule every 1 day do delete from t": true,
		"CREATE DEFINER=`dbz`@`%` event ev on schedule every 1 day disable do delete from log": true, "drop event ev": true, "create user u": true,
		"create table event (id int)": false, "create or replace algorithm=merge definer=`u`@`h` sql security definer view v as select 1": false,
		"drop trigger t": false, "alter database d charset latin1": false, "create index user on t (a)": false, "insert into event values (1)": false, "": false, "drop": false,
	} {
		if got := Administers(sql); got != want {
			t.Errorf("%s: %v", sql, got)
		}
	}
}
