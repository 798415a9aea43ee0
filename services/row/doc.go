// Package row is the vocabulary of the row stream: operations, packed row images and the cells in them.
//
// A batch (rowv1.Batch) carries its rows in one payload. A group of the batch is a run of rows of one table version and one operation. A row is
// one image, or two for updates (before, then after). An image is
//
//	[presence bitmap] null bitmap cell*
//
// Bitmaps have (columns+7)/8 bytes, bit i%8 of byte i/8 for column i. The presence bitmap is there only if the group's flag says so; without it all
// columns are present. Absent is not NULL: a MINIMAL or NOBLOB row image leaves columns out. Cells follow in column order, for the columns that are
// present and not NULL:
//
//	INT, TIMESTAMP, TIME                zigzag varint
//	UINT, DATE, YEAR, BIT, ENUM, SET    uvarint
//	FLOAT32                             4 bytes little endian
//	FLOAT64, DATETIME                   8 bytes little endian
//	UUID                                16 bytes
//	the others                          uvarint length, then that many bytes
//
// rowmesh/row/v1/row.proto says what the numbers mean. The package is pure: no I/O, no clock, no goroutine.
package row
