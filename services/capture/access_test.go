package capture

import (
	"context"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/rpc"
)

func TestBound(t *testing.T) {
	member := &rpc.Grant{Client: "publisher-1", Rights: []rpc.Right{rpc.Everything}}
	reader := &rpc.Grant{Client: "lake", Rights: []rpc.Right{rpc.Subscribe}}
	some := &rpc.Grant{Client: "shop", Rights: []rpc.Right{rpc.Subscribe}, Tables: []string{`shop\..*`}}
	type open = capturev1.Open
	overrides := &capturev1.SnapshotOptions{SelectOverrides: map[string]string{"shop.orders": "select * from crm.people"}}
	for name, c := range map[string]struct {
		grant  *rpc.Grant
		open   *open
		want   errs.Kind
		within []string
	}{
		"nothing bounds":                {nil, &open{Epoch: 3, IncludeQuery: true, Snapshot: overrides}, "", nil},
		"a member":                      {member, &open{Epoch: 3, IncludeQuery: true, Snapshot: overrides}, "", nil},
		"a reader of all":               {reader, &open{IncludeQuery: true, Ddl: capturev1.DdlScope_DDL_SCOPE_ALL}, "", nil},
		"a reader who fences":           {reader, &open{Epoch: 3}, errs.Denied, nil},
		"a reader with SQL of its own":  {reader, &open{Snapshot: overrides}, errs.Denied, nil},
		"a reader of some":              {some, &open{}, "", []string{`shop\..*`}},
		"statements of other tables":    {some, &open{IncludeQuery: true}, errs.Denied, nil},
		"DDL of other tables":           {some, &open{Ddl: capturev1.DdlScope_DDL_SCOPE_ALL}, errs.Denied, nil},
		"definitions of other tables":   {some, &open{Snapshot: &capturev1.SnapshotOptions{DefineDatabases: true}}, errs.Denied, nil},
		"who sets what the server sets": {some, &open{Tables: &capturev1.TableFilter{WithinTables: []string{".*"}}}, errs.Invalid, []string{".*"}},
	} {
		ctx := t.Context()
		if c.grant != nil {
			ctx = rpc.WithGrant(ctx, *c.grant)
		}
		if err := bound(ctx, c.open); errs.KindOf(err) != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if d := cmp.Diff(c.within, c.open.Tables.GetWithinTables()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}

	srv := NewServer(describes{tables: []*capturev1.TableInfo{{Database: "shop", Table: "orders"}, {Database: "crm", Table: "people"}}})
	got, err := srv.DescribeSource(rpc.WithGrant(t.Context(), *some), &capturev1.DescribeSourceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&capturev1.DescribeSourceResponse{Tables: []*capturev1.TableInfo{{Database: "shop", Table: "orders"}}}, got, protocmp.Transform()); d != "" {
		t.Error(d)
	}
	if got, err = srv.DescribeSource(t.Context(), &capturev1.DescribeSourceRequest{}); err != nil || len(got.Tables) != 2 || len(got.Subscribers) != 1 {
		t.Errorf("where nothing bounds: %v, %v", got, err)
	}
}

// describes is a service whose source has some tables and a subscriber.
type describes struct {
	Service
	tables []*capturev1.TableInfo
}

// Describe implements Service. Every service leaves out what is not within the tables that it is told.
func (d describes) Describe(_ context.Context, r *capturev1.DescribeSourceRequest) (*capturev1.DescribeSourceResponse, error) {
	out := &capturev1.DescribeSourceResponse{Subscribers: []*capturev1.Subscriber{{Consumer: "crm/0"}}}
	for _, t := range d.tables {
		within := r.Tables.GetWithinTables()
		if len(within) == 0 || slices.ContainsFunc(within, func(x string) bool {
			return regexp.MustCompile("^(?:" + x + ")$").MatchString(t.Database + "." + t.Table)
		}) {
			out.Tables = append(out.Tables, t)
		}
	}
	return out, nil
}
