// Package source is how rowmesh reaches a MySQL or MariaDB server and learns what it is.
//
//	Config ── Connect ──> Conn ──┬── Query, Exec    small results, held in memory
//	                             ├── Stream         rows as they come, one at a time
//	                             ├── Describe       Info: flavour, version, settings that matter
//	                             ├── Head           where the log ends now
//	                             └── Check          what stands in the way of a connector, all at once
//
// go-mysql does the handshake and the authentication. After that the package speaks the text protocol itself: two statements' worth of protocol,
// and the rows of a table come out as views into the socket's buffer, with neither an allocation nor a copy each.
//
// Every session reads alike whatever the server's defaults are: UTC, utf8mb4, an empty sql_mode, no statement time limit.
//
// Errors have a kind (services/errs) and name the server, the user and what to do.
package source
