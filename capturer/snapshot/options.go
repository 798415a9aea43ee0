package snapshot

import (
	"cmp"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/capturer/schema"
	"github.com/rowmesh/rowmesh/capturer/throttle"
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
	// Replica is the server that definitions and rows are read from; empty Addr: Source. It replicates Source, with GTIDs.
	Replica source.Config
	// Rows says whether a table's rows are wanted: the filter, with its shard.
	Rows func(database, table string) bool
	// Schemas says which other tables DDL_SCOPE_ALL and DATABASES tell the definitions of; nil: none.
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
	// Payload returns an empty buffer with room for so many bytes, which goes away with its batch; nil: make.
	Payload func(capacity int) []byte
	// Pace is shared with others who read this server; nil: one of its own, with the limits in Snapshot.
	Pace *throttle.Throttle
	// LockFree says that no lock is taken, whatever Snapshot.Locking asks for.
	LockFree bool
	// Leave says of a table whose rows are wanted that the caller reads them; nil: of none.
	Leave func(t *rowv1.Table) bool
	// Log takes one line per phase; nil: none.
	Log *slog.Logger

	rangeRows uint64 // rows of a range, for tests; 0: see rangeRows
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
	// Tables are the definitions at Cut, whole and without schema_id: those with wanted rows, and with DDL_SCOPE_ALL or DATABASES the others it tells of.
	Tables []*rowv1.Table
	// Rows counts the rows sent.
	Rows uint64
	// Locked is how long writers were kept away; 0 without a lock.
	Locked time.Duration
}

func (o Options) withDefaults() Options {
	if o.Schemas == nil || !o.allDDL() {
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
	if o.Payload == nil {
		o.Payload = func(capacity int) []byte { return make([]byte, 0, capacity) }
	}
	if o.Pace == nil {
		o.Pace = throttle.New(o.limits())
	}
	o.MaxBatchBytes = cmp.Or(o.MaxBatchBytes, defaultBatchBytes)
	return o
}

// limits are those of the subscriber. A view keeps the server's history as long as it is open, so that waiting for the history to become shorter would make it longer: there that limit
// does not hold.
func (o Options) limits() throttle.Limits {
	s := o.Snapshot
	l := throttle.Limits{RowsPerSecond: s.RowsPerSecond, BytesPerSecond: s.BytesPerSecond, ThreadsRunning: s.MaxThreadsRunning,
		ReplicaLag: time.Duration(s.MaxReplicaLagMs) * time.Millisecond, HistoryLength: s.MaxHistoryLength}
	if o.oneView() && l.HistoryLength > 0 {
		o.Log.Warn("rowmesh.snapshot.max.history.length does not hold while a snapshot reads one consistent cut, which keeps the history itself; snapshot.isolation.mode=read_committed does without")
		l.HistoryLength = 0
	}
	return l
}

// maxReaders bounds the connections of one snapshot: with more, a server does other things than reading rows.
const maxReaders = 64

// readers is how many connections read.
func (o Options) readers() int { return int(min(max(o.Snapshot.Threads, 1), maxReaders)) }

// multiplier is how many ranges each connection shall have of a table.
func (o Options) multiplier(t *table) int {
	for id, n := range o.Snapshot.TableMultipliers {
		if strings.EqualFold(id, t.id()) {
			return int(n)
		}
	}
	return int(o.Snapshot.ThreadsMultiplier)
}

// batchRows is where batches are cut beside their bytes. A fetch size of 1 asks Debezium's drivers to stream, which is what happens anyway.
func (o Options) batchRows() uint64 {
	if o.Snapshot.FetchRows <= 1 {
		return math.MaxUint64
	}
	return uint64(o.Snapshot.FetchRows)
}

// oneView says whether all tables are read as they were at the cut.
func (o Options) oneView() bool {
	switch o.Snapshot.Isolation {
	case capturev1.Isolation_ISOLATION_UNSPECIFIED, capturev1.Isolation_ISOLATION_REPEATABLE_READ:
		return true
	}
	return false
}

// isolation is the level of the readers' transactions.
func (o Options) isolation() string {
	switch o.Snapshot.Isolation {
	case capturev1.Isolation_ISOLATION_READ_COMMITTED:
		return "READ COMMITTED"
	case capturev1.Isolation_ISOLATION_READ_UNCOMMITTED:
		return "READ UNCOMMITTED"
	case capturev1.Isolation_ISOLATION_SERIALIZABLE:
		return "SERIALIZABLE"
	}
	return "REPEATABLE READ"
}

// readFrom is the server that definitions and rows are read from.
func (o Options) readFrom() source.Config {
	if o.Replica.Addr != "" {
		return o.Replica
	}
	return o.Source
}

func parseCreate(d Defaults, create string) (*rowv1.Table, error) {
	return schema.ParseCreate(schema.Options{Flavor: d.Info.Flavor, Version: d.Info.Number(), LowerCaseNames: d.Info.LowerCaseNames, ServerCharset: d.Info.Charset,
		ServerCollation: d.Info.Collation}, d.Database, create)
}

func (o Options) lockTimeout() time.Duration {
	return cmp.Or(time.Duration(o.Snapshot.LockTimeoutMs)*time.Millisecond, defaultLockTimeout)
}

// allDDL says whether the statements of whole databases are told.
func (o *Options) allDDL() bool {
	return o.Ddl == capturev1.DdlScope_DDL_SCOPE_ALL || o.Ddl == capturev1.DdlScope_DDL_SCOPE_DATABASES
}
