package convert

import (
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
)

// jdbcType returns the number of java.sql.Types that Debezium's DDL parser gives a type.
func jdbcType(c *rowv1.Column) int64 {
	switch baseType(c) {
	case "TINYINT", "SMALLINT", "INT1", "INT2":
		return 5 // SMALLINT
	case "MEDIUMINT", "INT", "INTEGER", "INT3", "INT4", "MIDDLEINT", "YEAR":
		return 4 // INTEGER
	case "BIGINT", "INT8", "SERIAL":
		return -5 // BIGINT
	case "BOOL", "BOOLEAN":
		return 16 // BOOLEAN
	case "REAL":
		return 7 // REAL
	case "FLOAT", "FLOAT4":
		return 6 // FLOAT
	case "DOUBLE", "DOUBLE PRECISION", "FLOAT8":
		return 8 // DOUBLE
	case "DECIMAL", "DEC", "FIXED":
		return 3 // DECIMAL
	case "NUMERIC":
		return 2 // NUMERIC
	case "BIT":
		return -7 // BIT
	case "CHAR", "CHARACTER", "ENUM", "SET":
		return 1 // CHAR
	case "VARCHAR", "TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "LONG", "LONG VARCHAR", "CHARACTER VARYING":
		return 12 // VARCHAR
	case "NCHAR", "NATIONAL CHAR", "NATIONAL CHARACTER":
		return -15 // NCHAR
	case "NVARCHAR", "NATIONAL VARCHAR", "NCHAR VARCHAR":
		return -9 // NVARCHAR
	case "BINARY":
		return -2 // BINARY
	case "VARBINARY":
		return -3 // VARBINARY
	case "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "LONG VARBINARY":
		return 2004 // BLOB
	case "DATE":
		return 91 // DATE
	case "TIME":
		return 92 // TIME
	case "DATETIME":
		return 93 // TIMESTAMP
	case "TIMESTAMP":
		return 2014 // TIMESTAMP_WITH_TIMEZONE
	}
	return 1111 // OTHER: JSON, spatial types, VECTOR, UUID
}

// modelLength returns the length that Debezium's model gives a column; -1 for none. Its enums are one long, its sets as long as all members in
// one letter each.
func modelLength(c *rowv1.Column) int64 {
	switch {
	case c.Kind == rowv1.Kind_KIND_ENUM:
		return 1
	case c.Kind == rowv1.Kind_KIND_SET:
		return max(0, 2*int64(len(c.Members))-1)
	case c.Length != nil:
		return int64(*c.Length)
	}
	return -1
}

// modelDefault returns the default that Debezium's model gives a column, and whether it has one. The server's clock is the epoch there.
func modelDefault(c *rowv1.Column) (string, bool) {
	if c.DefaultExpression == nil {
		return "", false
	}
	if temporal(c.Kind) && isCurrentTime(*c.DefaultExpression) {
		return epochText, true
	}
	return *c.DefaultExpression, true
}

// quoteMember spells a member of ENUM or SET as SHOW CREATE TABLE does.
func quoteMember(m string) string {
	return "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(m) + "'"
}
