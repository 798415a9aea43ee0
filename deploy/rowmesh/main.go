// Command rowmesh is the command line of rowmesh: rowmesh help.
package main

import (
	"os"

	"github.com/rowmesh/rowmesh/deploy/command"
)

func main() { os.Exit(command.Execute(os.Args[1:])) }
