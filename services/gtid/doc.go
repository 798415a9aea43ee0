// Package gtid holds sets of global transaction identifiers: what a server has executed, and what a consumer has seen.
//
// The two families of servers mean different things by a set, so a Set has a flavor:
//
//   - MySQL: any transactions of any source, kept as intervals for each source. "uuid:1-5:8,uuid2:1", and since 8.3 with tags:
//     "uuid:1-5:tag:1-2". The text is the server's without its newlines, which is also what Debezium stores in its offsets.
//   - MariaDB: a place in the log of each domain, "domain-server-seq". All that came before it in that domain is in the set: whether the set
//     contains a transaction is decided by the sequence number alone.
//
// A source ("sid") is spelled as in rowv1.Batch.sids: "uuid", "uuid:tag" or "domain-server"; the number in it is the gno.
//
// The package is pure. Add and AppendText are on the path of every transaction: both allocate nothing once the sources are known, and cost
// neither a parse nor a rendering of what did not change. A Set is not safe for concurrent use; Clone makes an independent one.
package gtid
