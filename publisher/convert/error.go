package convert

import (
	"fmt"

	"github.com/rowmesh/rowmesh/services/errs"
)

// RowError is a value that cannot be converted, with its place. Its kind is errs.Invalid.
type RowError struct {
	Database, Table string
	Column          string // empty if the row as a whole is bad
	File            string
	Pos             uint64 // of the log event
	Row             uint32 // within the log event
	GTID            string // empty if unknown
	// Group and Index name the row in its batch.
	Group, Index int
	Err          error
}

func (e *RowError) Error() string {
	where := fmt.Sprintf("%s:%d row %d", e.File, e.Pos, e.Row)
	if e.GTID != "" {
		where += " (" + e.GTID + ")"
	}
	name := e.Database + "." + e.Table
	if e.Column != "" {
		name += "." + e.Column
	}
	return fmt.Sprintf("convert %s at %s: %v", name, where, e.Err)
}

// Unwrap returns the cause with its kind.
func (e *RowError) Unwrap() error { return &errs.Error{Kind: errs.Invalid, Err: e.Err} }
