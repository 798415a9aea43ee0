// Optionpage writes the page of all options to the file that it is given.
package main

import (
	"fmt"
	"os"

	"github.com/rowmesh/rowmesh/services/config"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: optionpage FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(config.Page()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
