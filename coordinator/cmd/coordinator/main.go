// Command coordinator runs a coordinator: it keeps the connectors, assigns their work and serves the REST API.
package main

import (
	"os"

	"github.com/rowmesh/rowmesh/coordinator"
	"github.com/rowmesh/rowmesh/services/process"
)

func main() { os.Exit(process.Command("coordinator", coordinator.Main)) }
