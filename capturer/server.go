package capturer

import (
	"context"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	"github.com/rowmesh/rowmesh/capturer/snapshot"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/source"
)

// Server is a database server as a source uses it. NewServer makes one for a real server; tests script theirs.
type Server interface {
	// Connect opens a session for questions. Errors have a kind (services/errs).
	Connect(ctx context.Context) (Session, error)
	// Dial opens the log. serverID names this reader among the replicas.
	Dial(ctx context.Context, info source.Info, serverID uint32, start binlog.Start) (Log, error)
	// Compile makes the decoder for a table as the log describes it, of the given shape; an error says where the two disagree.
	Compile(tm *binlog.TableMap, shape *rowv1.Table) (Plan, error)
	// Ranges opens a session for reading parts of tables.
	Ranges(ctx context.Context) (Ranges, error)
	// Snapshot takes a snapshot of the server; it sets o.Source. See snapshot.Run.
	Snapshot(ctx context.Context, o snapshot.Options, emit snapshot.Emit) (*snapshot.Result, error)
}

// Session answers questions about a server. One goroutine uses it.
type Session interface {
	// Info is what the server is.
	Info() source.Info
	// Head is where the log ends now.
	Head(ctx context.Context) (*rowv1.Position, error)
	// Oldest is where the log begins: its first file, and the GTIDs that came before.
	Oldest(ctx context.Context) (*rowv1.Position, error)
	// Logs are the files of the log, oldest first.
	Logs(ctx context.Context) ([]source.BinaryLog, error)
	// Before is the set of GTIDs that came before a place in the log: MySQL answers for the beginning of a file only, MariaDB for any place.
	Before(ctx context.Context, file string, pos uint64) (string, error)
	// ShowCreate is the statement that makes a table as it is now.
	ShowCreate(ctx context.Context, database, table string) (string, error)
	// Shapes are the shapes that the wanted tables have at one place in the log, and that place. Nothing if more than most tables are wanted.
	Shapes(ctx context.Context, wants func(database, table string) bool, most int) ([]*rowv1.Table, *rowv1.Position, error)
	// Sizes are the tables with their estimated sizes.
	Sizes(ctx context.Context) ([]*capturev1.TableInfo, error)
	// Databases are the databases with their defaults, which a CREATE TABLE in the log leaves unsaid.
	Databases(ctx context.Context) ([]snapshot.Database, error)
	Close() error
}

// Ranges reads parts of tables: snapshot.Ranges. One goroutine uses it.
type Ranges interface {
	Info() source.Info
	Now(ctx context.Context) (uint64, error)
	Estimate(ctx context.Context, database, table string) (rows uint64, rowBytes int, err error)
	Border(ctx context.Context, q snapshot.Range, offset int, last bool) (*snapshot.Border, error)
	AnyRows(ctx context.Context, tables func(yield func(database, table string) bool)) (bool, error)
	Read(ctx context.Context, q snapshot.Range) (*snapshot.Rows, error)
	Close() error
}

// Log is an open binlog connection: binlog.Stream. Close may be called while Next waits.
type Log interface {
	Next() (*binlog.Event, error)
	Buffered() bool
	Close() error
}

// Plan decodes the rows of one table version: binlog.Plan.
type Plan interface {
	Append(dst []byte, ev *binlog.Event, firstRow, maxBytes int) (out []byte, rows int, done bool, err error)
	Flags(ev *binlog.Event) byte
}

var (
	_ Log    = (*binlog.Stream)(nil)
	_ Ranges = (*snapshot.Ranges)(nil)
)
