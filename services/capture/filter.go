package capture

import (
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/config"
)

// TableFilter selects what a connector captures, over all its lanes.
func TableFilter(c *config.Connector) *capturev1.TableFilter {
	return &capturev1.TableFilter{
		IncludeDatabases: c.IncludeDatabases, ExcludeDatabases: c.ExcludeDatabases, IncludeTables: c.IncludeTables, ExcludeTables: c.ExcludeTables,
		Builtin: !c.IgnoreBuiltin,
	}
}
