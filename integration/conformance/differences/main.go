// Differences writes the page of allowed differences: differences ALLOW.JSON PAGE.MD
package main

import (
	"fmt"
	"os"

	"github.com/rowmesh/rowmesh/integration/conformance"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: differences ALLOW.JSON PAGE.MD")
	}
	page, err := conformance.Differences(args[0])
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], []byte(page), 0o644)
}
