package offset

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// What is said of tables that stand elsewhere survives the record, and neither Debezium's members nor what users see change with it.
func TestAsideRoundTrip(t *testing.T) {
	at := func(pos uint64, token string) *Offset {
		return &Offset{Source: &rowv1.SourceOffset{File: "binlog.000001", Pos: pos, Gtids: "a:1-5", Event: 2}, Token: []byte(token), Layout: 3,
			Transaction: &Transaction{ID: "a:6", Events: map[string]uint64{"db.t": 2}}}
	}
	plain := *at(9, "here")
	want := plain
	want.Aside.Restart, want.Aside.Others = 7, at(20, "others")
	want.Aside = want.Aside.With(Table{Name: "db.u", Stopped: true, Text: "why \"not\""})
	want.Aside = want.Aside.With(Table{Name: "db.t", At: at(4, "mine")})
	value := want.Append(nil)
	got, err := Decode(value)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(&want) || got.Aside.Restart != 7 || string(got.Aside.Others.Token) != "others" || got.Aside.Others.Transaction.Events["db.t"] != 2 {
		t.Errorf("%s became %s", value, got.Append(nil))
	}
	if u := got.Aside.Find("db.u"); u == nil || !u.Stopped || u.Text != "why \"not\"" || u.At != nil {
		t.Errorf("db.u: %+v", u)
	}
	if u := got.Aside.Find("db.t"); u == nil || u.Stopped || u.At.Source.Pos != 4 || string(u.At.Token) != "mine" {
		t.Errorf("db.t: %+v", u)
	}
	if diff := cmp.Diff(string(Public(plain.Append(nil))), string(Public(value))); diff != "" {
		t.Error(diff)
	}
	if got.Aside.Find("db.x") != nil {
		t.Error("a table was found that is not there")
	}
	if got, err = Decode([]byte(`{"file":"f","pos":1,"rowmesh":"2.1.YQ.!"}`)); err == nil {
		t.Errorf("a broken record was read: %v", got)
	}
}
