package capturer

import (
	"errors"
	"slices"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// errSequence says that what has rows in the log is a sequence of MariaDB: its row is the sequence's state, and of no interest.
var errSequence = errors.New("a sequence")

// sequenceTypes are the columns of every sequence (MariaDB, sql/sql_sequence.cc): six BIGINT, the TINYINT that says whether it cycles, a BIGINT.
const sequenceTypes = "\x08\x08\x08\x08\x08\x08\x01\x08"

// sequenceColumns says whether a table has the columns of a sequence.
func sequenceColumns(tm *binlog.TableMap) bool {
	types := make([]byte, len(tm.Columns))
	for i, c := range tm.Columns {
		types[i] = c.Type
	}
	return string(types) == sequenceTypes && !slices.ContainsFunc(tm.Columns, func(c binlog.ColumnMap) bool { return c.Nullable })
}

// isSequence says whether what has no known shape is a sequence: one that the server shows as such, or one that looks like it and is gone by now.
func isSequence(flavor config.Flavor, tm *binlog.TableMap, err error) bool {
	if err == nil || flavor != config.MariaDB {
		return false
	}
	return errors.Is(err, errSequence) || errs.KindOf(err) == errs.NotFound && sequenceColumns(tm)
}
