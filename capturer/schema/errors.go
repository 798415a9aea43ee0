package schema

import (
	"fmt"

	"github.com/rowmesh/rowmesh/services/errs"
)

// UnknownError says that a statement about a table is not understood, so that the table's shape from there on is not known. Other tables are
// not concerned.
type UnknownError struct {
	// Database and Table name the table; Table is empty where the statement was not understood so far.
	Database, Table string
	// Statement is the text, clipped.
	Statement string
	// Near is the place that is not understood.
	Near string
	// Reason says what is wrong with it.
	Reason string
}

// statementBytes is how much of a statement an error holds.
const statementBytes = 1 << 10

// Error names the table, the place and the next step.
func (e *UnknownError) Error() string {
	name := "`" + e.Database + "`"
	if e.Table != "" {
		name += ".`" + e.Table + "`"
	}
	return fmt.Sprintf("table %s: %s near %q in %q: take a new snapshot of the table, or leave it out of table.include.list",
		name, e.Reason, e.Near, clip(e.Statement, 200))
}

// Unwrap gives the error its kind.
func (e *UnknownError) Unwrap() error {
	return errs.E(errs.Unsupported, "the statement is not understood")
}
