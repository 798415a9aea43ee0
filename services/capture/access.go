package capture

import (
	"context"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// bound narrows an Open to what the client may read. What would reach beyond is Denied by name: the text of statements, which may be about other tables, DDL of whole
// databases, SQL of the client's own, and ending what others read.
func bound(ctx context.Context, o *capturev1.Open) error {
	if len(o.Tables.GetWithinTables()) > 0 {
		return errs.E(errs.Invalid, "open.tables.within_tables is set by the server; select tables with include_tables")
	}
	g, ok := rpc.GrantOf(ctx)
	switch {
	case !ok || g.Has(rpc.Everything):
		return nil
	case o.Epoch > 0:
		return errs.E(errs.Denied, "open.epoch: it ends other subscriptions of the same consumer, which is for members of the mesh; client %q has no right %q", g.Client, rpc.Everything)
	case len(o.Snapshot.GetSelectOverrides()) > 0:
		return errs.E(errs.Denied, "open.snapshot.select_overrides: statements of its own are for members of the mesh; client %q has no right %q", g.Client, rpc.Everything)
	case g.Tables == nil:
		return nil
	case o.IncludeQuery:
		return errs.E(errs.Denied, "open.include_query: client %q may read some tables only, and statements may tell of others", g.Client)
	case o.Ddl == capturev1.DdlScope_DDL_SCOPE_ALL || o.Ddl == capturev1.DdlScope_DDL_SCOPE_DATABASES:
		return errs.E(errs.Denied, "open.ddl ALL and DATABASES: client %q may read some tables only; leave it out to get the DDL of those", g.Client)
	case o.Snapshot.GetDefineDatabases():
		return errs.E(errs.Denied, "open.snapshot.define_databases: client %q may read some tables only", g.Client)
	}
	if o.Tables == nil {
		o.Tables = &capturev1.TableFilter{}
	}
	o.Tables.WithinTables = g.Tables
	return nil
}

// boundDescribe narrows a description to the tables that the client may know of. It reports whether it did: who else subscribes is then none of its business.
func boundDescribe(ctx context.Context, r *capturev1.DescribeSourceRequest) bool {
	g, ok := rpc.GrantOf(ctx)
	if !ok || g.Tables == nil {
		return false
	}
	if r.Tables == nil {
		r.Tables = &capturev1.TableFilter{}
	}
	r.Tables.WithinTables = g.Tables
	return true
}
