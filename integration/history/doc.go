// Package history reads what package check judges, by ways of its own: nothing here is shared with the code under test.
//
//	Fetch      the server's log files, through mysqlbinlog as raw files, or where there is none from the server's own folder
//	Log        a small decoder of those files: row events of the self-verifying tables, GTIDs, checksums; it knows few types, and refuses what it does not know
//	Topics     the partitions of a connector and its offsets, read twice: as a consumer of committed records does, and with all records and markers
//	Judge      puts them together
//
// A self-verifying table has a BIGINT key first and a BIGINT version second; see package traffic.
package history
