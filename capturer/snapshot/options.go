package snapshot

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/rowmesh/rowmesh/capturer/schema"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

// defaultBatchBytes and defaultLockTimeout are what the proto says of 0: Open.max_batch_bytes, SnapshotOptions.lock_timeout_ms.
const (
	defaultBatchBytes  = 256 << 10
	defaultLockTimeout = 10 * time.Second
)

// Options say what a snapshot is of.
type Options struct {
	// Source is the server.
	Source source.Config
	// Rows says whether a table's rows are wanted: the filter, with its shard.
	Rows func(database, table string) bool
	// Schemas says which other tables DDL_SCOPE_ALL tells the definitions of; nil: none.
	Schemas func(database, table string) bool
	// Order holds the filter's include_tables: tables are read in the order in which these match them, then by name.
	Order []string
	// Ddl is which definitions are told.
	Ddl capturev1.DdlScope
	// Snapshot is the rest of what the subscriber wants; nil: data under the default lock.
	Snapshot *capturev1.SnapshotOptions
	// MaxBatchBytes is where batches are cut. 0: 256 KiB.
	MaxBatchBytes int
	// Parse reads a SHOW CREATE TABLE text; nil: capturer/schema does. An error stops that table only.
	Parse func(defaults Defaults, create string) (*rowv1.Table, error)
	// Version returns a table as the subscription sees it, schema_id set and unwanted columns left out; the argument stays as it is. Called once
	// for each table with wanted rows, in reading order. Columns keep their names.
	Version func(t *rowv1.Table) (*rowv1.Table, error)
	// Log takes one line per phase; nil: none.
	Log *slog.Logger
}

// Defaults is what a CREATE TABLE statement leaves to its surroundings.
type Defaults struct {
	Info     source.Info
	Database string
}

// Database is a database of the snapshot.
type Database struct{ Name, Charset, Collation string }

// Result is what a snapshot found besides rows.
type Result struct {
	// Cut is the place in the log that the rows are of. Taken without a lock on a MySQL server with GTIDs, its set says so alone: file and pos may be ahead by
	// transactions that were logged and not yet visible.
	Cut *rowv1.Position
	// Checkpoint is where the stream goes on, as in the last message.
	Checkpoint *rowv1.Checkpoint
	// Info is the server.
	Info source.Info
	// Databases are those of Tables, by name.
	Databases []Database
	// Tables are the definitions at Cut, whole and without schema_id: those with wanted rows, and with DDL_SCOPE_ALL the others it tells of.
	Tables []*rowv1.Table
	// Rows counts the rows sent.
	Rows uint64
}

func (o Options) withDefaults() Options {
	if o.Schemas == nil || o.Ddl != capturev1.DdlScope_DDL_SCOPE_ALL {
		o.Schemas = func(string, string) bool { return false }
	}
	if o.Snapshot == nil {
		o.Snapshot = &capturev1.SnapshotOptions{Data: true}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Parse == nil {
		o.Parse = parseCreate
	}
	o.MaxBatchBytes = cmp.Or(o.MaxBatchBytes, defaultBatchBytes)
	return o
}

func parseCreate(d Defaults, create string) (*rowv1.Table, error) {
	return schema.ParseCreate(schema.Options{Flavor: d.Info.Flavor, Version: d.Info.Number(), LowerCaseNames: d.Info.LowerCaseNames, ServerCharset: d.Info.Charset,
		ServerCollation: d.Info.Collation}, d.Database, create)
}

func (o Options) lockTimeout() time.Duration {
	return cmp.Or(time.Duration(o.Snapshot.LockTimeoutMs)*time.Millisecond, defaultLockTimeout)
}
