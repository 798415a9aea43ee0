package binlog

import "fmt"

// eventType is the type byte of an event header (binlog_event.h of the servers).
type eventType byte

const (
	stopEvent                eventType = 3
	queryEvent               eventType = 2
	rotateEvent              eventType = 4
	intvarEvent              eventType = 5
	randEvent                eventType = 13
	userVarEvent             eventType = 14
	formatDescriptionEvent   eventType = 15
	xidEvent                 eventType = 16
	beginLoadQueryEvent      eventType = 17
	executeLoadQueryEvent    eventType = 18
	tableMapEvent            eventType = 19
	writeRowsV0              eventType = 20
	updateRowsV0             eventType = 21
	deleteRowsV0             eventType = 22
	writeRowsV1              eventType = 23
	updateRowsV1             eventType = 24
	deleteRowsV1             eventType = 25
	incidentEvent            eventType = 26
	heartbeatEvent           eventType = 27
	ignorableEvent           eventType = 28
	rowsQueryEvent           eventType = 29
	writeRowsV2              eventType = 30
	updateRowsV2             eventType = 31
	deleteRowsV2             eventType = 32
	gtidEvent                eventType = 33
	anonymousGtidEvent       eventType = 34
	previousGtidsEvent       eventType = 35
	transactionContextEvent  eventType = 36
	viewChangeEvent          eventType = 37
	xaPrepareEvent           eventType = 38
	partialUpdateRowsEvent   eventType = 39
	transactionPayloadEvent  eventType = 40
	heartbeatV2Event         eventType = 41
	gtidTaggedEvent          eventType = 42
	mariaAnnotateRows        eventType = 160
	mariaBinlogCheckpoint    eventType = 161
	mariaGtid                eventType = 162
	mariaGtidList            eventType = 163
	mariaStartEncryption     eventType = 164
	mariaQueryCompressed     eventType = 165
	mariaWriteCompressedV1   eventType = 166
	mariaUpdateCompressedV1  eventType = 167
	mariaDeleteCompressedV1  eventType = 168
	mariaWriteCompressedV2   eventType = 169
	mariaUpdateCompressedV2  eventType = 170
	mariaDeleteCompressedV2  eventType = 171
	mariaPartialRowDataEvent eventType = 172
)

var eventNames = map[eventType]string{
	queryEvent: "QUERY", stopEvent: "STOP", rotateEvent: "ROTATE", intvarEvent: "INTVAR", randEvent: "RAND", userVarEvent: "USER_VAR",
	formatDescriptionEvent: "FORMAT_DESCRIPTION", xidEvent: "XID", beginLoadQueryEvent: "BEGIN_LOAD_QUERY", executeLoadQueryEvent: "EXECUTE_LOAD_QUERY",
	tableMapEvent: "TABLE_MAP", writeRowsV0: "WRITE_ROWS_V0", updateRowsV0: "UPDATE_ROWS_V0", deleteRowsV0: "DELETE_ROWS_V0",
	writeRowsV1: "WRITE_ROWS_V1", updateRowsV1: "UPDATE_ROWS_V1", deleteRowsV1: "DELETE_ROWS_V1", incidentEvent: "INCIDENT",
	heartbeatEvent: "HEARTBEAT", ignorableEvent: "IGNORABLE", rowsQueryEvent: "ROWS_QUERY", writeRowsV2: "WRITE_ROWS", updateRowsV2: "UPDATE_ROWS",
	deleteRowsV2: "DELETE_ROWS", gtidEvent: "GTID", anonymousGtidEvent: "ANONYMOUS_GTID", previousGtidsEvent: "PREVIOUS_GTIDS",
	transactionContextEvent: "TRANSACTION_CONTEXT", viewChangeEvent: "VIEW_CHANGE", xaPrepareEvent: "XA_PREPARE",
	partialUpdateRowsEvent: "PARTIAL_UPDATE_ROWS", transactionPayloadEvent: "TRANSACTION_PAYLOAD", heartbeatV2Event: "HEARTBEAT_V2",
	gtidTaggedEvent: "GTID_TAGGED", mariaAnnotateRows: "ANNOTATE_ROWS", mariaBinlogCheckpoint: "BINLOG_CHECKPOINT", mariaGtid: "GTID",
	mariaGtidList: "GTID_LIST", mariaStartEncryption: "START_ENCRYPTION", mariaQueryCompressed: "QUERY_COMPRESSED",
	mariaWriteCompressedV1: "WRITE_ROWS_COMPRESSED_V1", mariaUpdateCompressedV1: "UPDATE_ROWS_COMPRESSED_V1",
	mariaDeleteCompressedV1: "DELETE_ROWS_COMPRESSED_V1", mariaWriteCompressedV2: "WRITE_ROWS_COMPRESSED", mariaUpdateCompressedV2: "UPDATE_ROWS_COMPRESSED",
	mariaDeleteCompressedV2: "DELETE_ROWS_COMPRESSED", mariaPartialRowDataEvent: "PARTIAL_ROW_DATA",
}

func (t eventType) String() string {
	if n, ok := eventNames[t]; ok {
		return n
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Flags of the event header.
const (
	flagArtificial = 0x20
	flagIgnorable  = 0x80
)

// headerSize is the size of an event header of binlog version 4, the only one since MySQL 5.0.
const headerSize = 19

// header is the head of every event.
type header struct {
	time     uint32
	kind     eventType
	serverID uint32
	size     uint32
	logPos   uint32
	flags    uint16
}

// parseHeader reads a header. Requires: len(b) >= headerSize.
func parseHeader(b []byte) header {
	_ = b[headerSize-1]
	return header{
		time:     uint32(uintLE(b[0:4])),
		kind:     eventType(b[4]),
		serverID: uint32(uintLE(b[5:9])),
		size:     uint32(uintLE(b[9:13])),
		logPos:   uint32(uintLE(b[13:17])),
		flags:    uint16(b[17]) | uint16(b[18])<<8,
	}
}

// columnType is a column's type byte in a table map (field_types.h of the servers).
type columnType byte

const (
	typeDecimal           columnType = 0
	typeTiny              columnType = 1
	typeShort             columnType = 2
	typeLong              columnType = 3
	typeFloat             columnType = 4
	typeDouble            columnType = 5
	typeNull              columnType = 6
	typeTimestamp         columnType = 7
	typeLongLong          columnType = 8
	typeInt24             columnType = 9
	typeDate              columnType = 10
	typeTime              columnType = 11
	typeDatetime          columnType = 12
	typeYear              columnType = 13
	typeNewDate           columnType = 14
	typeVarchar           columnType = 15
	typeBit               columnType = 16
	typeTimestamp2        columnType = 17
	typeDatetime2         columnType = 18
	typeTime2             columnType = 19
	typeBlobCompressed    columnType = 140
	typeVarcharCompressed columnType = 141
	typeVector            columnType = 242
	typeJSON              columnType = 245
	typeNewDecimal        columnType = 246
	typeEnum              columnType = 247
	typeSet               columnType = 248
	typeBlob              columnType = 252
	typeVarString         columnType = 253
	typeString            columnType = 254
	typeGeometry          columnType = 255
)

var columnTypeNames = map[columnType]string{
	typeDecimal: "old DECIMAL", typeTiny: "TINYINT", typeShort: "SMALLINT", typeLong: "INT", typeFloat: "FLOAT", typeDouble: "DOUBLE",
	typeNull: "NULL", typeTimestamp: "TIMESTAMP (old format)", typeLongLong: "BIGINT", typeInt24: "MEDIUMINT", typeDate: "DATE",
	typeTime: "TIME (old format)", typeDatetime: "DATETIME (old format)", typeYear: "YEAR", typeNewDate: "DATE", typeVarchar: "VARCHAR",
	typeBit: "BIT", typeTimestamp2: "TIMESTAMP", typeDatetime2: "DATETIME", typeTime2: "TIME", typeBlobCompressed: "BLOB COMPRESSED",
	typeVarcharCompressed: "VARCHAR COMPRESSED", typeVector: "VECTOR", typeJSON: "JSON", typeNewDecimal: "DECIMAL", typeEnum: "ENUM",
	typeSet: "SET", typeBlob: "BLOB or TEXT", typeVarString: "VARCHAR", typeString: "CHAR or BINARY", typeGeometry: "GEOMETRY",
}

func (t columnType) String() string {
	if n, ok := columnTypeNames[t]; ok {
		return n
	}
	return fmt.Sprintf("type %d", byte(t))
}
