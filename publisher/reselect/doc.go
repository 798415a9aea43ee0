// Package reselect is Debezium's ReselectColumnsPostProcessor: it reads columns of a row again that the log does not hold, or that are NULL, and puts what the table
// holds now into the image.
//
//	convert ── Row (insert or update of the log) ──> Complete ── SELECT columns FROM table WHERE key ──> cells of the image
//
// The table is read as it is when the row is converted, which may be later than the row: that is what the option asks for. A row that is gone by then stays as it was.
// Rows of a snapshot are as they were read.
//
// One session on the source, made when the first row needs it, is used by the one goroutine that converts; each row that needs it waits for the server's answer.
// A session that fails is made again for the next row.
package reselect
