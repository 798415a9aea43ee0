package history

import (
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// Record is one statement, or what a statement did to one table.
type Record struct {
	// Server is the connector's topic.prefix.
	Server string
	// Position is where the statement stands: of a snapshot the cut, else the place behind the statement, or, where the statement is an event of a transaction, the
	// transaction's begin and the events before; with the GTIDs before it.
	Position *rowv1.SourceOffset
	// Transaction names the transaction, where provide.transaction.metadata asks for it.
	Transaction string
	// TimeMS is when the record was made, milliseconds since the Unix epoch.
	TimeMS int64
	// Database is the database that the statement is about; empty for the server's own settings.
	Database string
	// Statement is the text. Debezium has none for schemas that a signal gave it.
	Statement string
	// Changes are the tables behind it.
	Changes []Change
	// Origin is where Read found it, for errors.
	Origin string
}

// ChangeType is what happened to a table.
type ChangeType string

// Change types.
const (
	Create ChangeType = "CREATE"
	Alter  ChangeType = "ALTER"
	Drop   ChangeType = "DROP"
)

// Change is what a statement did to a table.
type Change struct {
	Type            ChangeType
	Database, Table string
	// PreviousDatabase and PreviousTable are the name before a RENAME TABLE; empty otherwise.
	PreviousDatabase, PreviousTable string
	// Model is the table behind it; nil where it is gone.
	Model *Table
}

// Table is Debezium's model of a table.
type Table struct {
	Charset *string  `json:"defaultCharsetName"`
	Key     []string `json:"primaryKeyColumnNames"`
	Columns []Column `json:"columns"`
	// Comment stands beside the model.
	Comment *string `json:"-"`
}

// Column is Debezium's model of a column.
type Column struct {
	Name           string   `json:"name"`
	JdbcType       int64    `json:"jdbcType"`
	TypeName       string   `json:"typeName"`
	TypeExpression string   `json:"typeExpression"`
	Charset        *string  `json:"charsetName"`
	Length         *int64   `json:"length"`
	Scale          *int64   `json:"scale"`
	Position       int64    `json:"position"`
	Optional       bool     `json:"optional"`
	AutoIncrement  bool     `json:"autoIncremented"`
	Generated      bool     `json:"generated"`
	Comment        *string  `json:"comment"`
	HasDefault     bool     `json:"hasDefaultValue"`
	Default        *string  `json:"defaultValueExpression"` // nil with HasDefault: NULL
	Members        []string `json:"enumValues"`             // in quotes, as SHOW CREATE TABLE has them
}
