// Command publisher runs a publisher: it writes rows to Kafka for the lanes that the mesh assigns to it.
package main

import (
	"os"

	"github.com/rowmesh/rowmesh/publisher"
	"github.com/rowmesh/rowmesh/services/process"
)

func main() { os.Exit(process.Command("publisher", publisher.Main)) }
