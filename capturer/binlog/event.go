package binlog

import "github.com/rowmesh/rowmesh/services/row"

// Kind says what an Event is.
type Kind uint8

// Kinds of events; the package comment has their grammar.
const (
	// Begin opens a transaction.
	Begin Kind = iota + 1
	// Rows are row changes of one table.
	Rows
	// Query is a statement: DDL, or what a statement-based session wrote.
	Query
	// Commit ends a transaction.
	Commit
	// Rollback ends a transaction whose row changes the server rolled back although it had to log them (a mix of transactional and other engines).
	Rollback
	// Rotate says that the log goes on in another file: File and Pos are the new place.
	Rotate
	// Heartbeat says that nothing happened up to Pos.
	Heartbeat
)

func (k Kind) String() string {
	switch k {
	case Begin:
		return "Begin"
	case Rows:
		return "Rows"
	case Query:
		return "Query"
	case Commit:
		return "Commit"
	case Rollback:
		return "Rollback"
	case Rotate:
		return "Rotate"
	case Heartbeat:
		return "Heartbeat"
	}
	return "unknown kind"
}

// Event is one logical event. Next reuses it: it and all it points to are valid until the following Next, except Table and strings.
type Event struct {
	// Kind says which fields below count.
	Kind Kind
	// File is the log file.
	File string
	// Pos and EndPos are where the event begins and ends in File; of the carrying event inside a compressed transaction.
	Pos, EndPos uint64
	// Time is the header's time, in seconds since the Unix epoch.
	Time uint32
	// ServerID is the server that first wrote the event.
	ServerID uint32

	// The transaction, in all kinds but Rotate and Heartbeat.

	// SID is "uuid", "uuid:tag", MariaDB's "domain-server", or empty without GTID.
	SID string
	// GNO is the number in SID.
	GNO uint64
	// CommitUS is when the original server committed, in microseconds since the Unix epoch; 0 if the log does not say.
	CommitUS uint64
	// Thread ran the transaction; 0 if the log does not say.
	Thread uint32
	// TxnPos is where the transaction begins: after its GTID event on MySQL, with it on MariaDB (whose GTID event is the BEGIN).
	TxnPos uint64

	// Rows.

	// Table is the table as the log describes it. The same pointer comes again as long as the description stays the same; it is never changed.
	Table *TableMap
	// Op is Create, Update or Delete.
	Op row.Op
	// EventIndex counts the events of the transaction completed before this one, BEGIN as 1. MariaDB's ANNOTATE_ROWS is not counted, because
	// whether the server sends it is the reader's choice.
	EventIndex uint32
	// Query is the statement that made the rows (ROWS_QUERY, ANNOTATE_ROWS), if the log holds it.
	Query []byte

	// Query.

	// Database is the session's default database.
	Database string
	// SQL is the statement.
	SQL string
	// InTransaction is true for a statement between Begin and Commit.
	InTransaction bool
	// Session holds the settings that the statement ran under.
	Session Session

	rows rowsBody
}

// Session holds settings of the session that ran a statement, as far as they decide what the statement means.
type Session struct {
	// SQLMode is sql_mode as the server's bits.
	SQLMode uint64
	// ErrorCode is what the statement failed with; 0 for success. A statement that failed is logged for what it had done by then.
	ErrorCode uint16
	// ServerCollation is the number of collation_server; 0 if the log does not say.
	ServerCollation uint16
	// Timestamps is explicit_defaults_for_timestamp.
	Timestamps Timestamps
}

// Timestamps says what a TIMESTAMP column is that is declared without NULL and DEFAULT.
type Timestamps uint8

const (
	// UnknownTimestamps: the log does not say.
	UnknownTimestamps Timestamps = iota
	// ExplicitTimestamps: nullable, as any other column.
	ExplicitTimestamps
	// ImplicitTimestamps: NOT NULL, the first one with the current time as its default.
	ImplicitTimestamps
)
