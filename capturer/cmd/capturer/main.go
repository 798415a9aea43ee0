// Command capturer runs a capturer: it reads the logs of the sources that the mesh assigns to it, and streams their rows to subscribers.
package main

import (
	"os"

	"github.com/rowmesh/rowmesh/capturer"
	"github.com/rowmesh/rowmesh/services/process"
)

func main() { os.Exit(process.Command("capturer", capturer.Main)) }
