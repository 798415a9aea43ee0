// Package traffic writes to a database in ways that can be judged from the stream alone.
//
// Its tables are self-verifying: a BIGINT key first, a BIGINT version second. A version goes up by one with each change of its key, also over a delete and a new
// insert, and the other columns follow from both. So the stream alone shows what is lost, doubled, out of order, stale or from nowhere, and the server's log confirms it.
//
//	Registers   keys that are inserted, updated, deleted, inserted again and moved to other keys; some are hot
//	Bank        transfers between accounts in several tables; the sum of all stays
//	Unique      rows that are inserted once, as fast as allowed
//	Shapes      rows of tables whose columns, indexes and partitions change all the time
//	Big         transactions of many rows
//	Idle        a table with hardly a change
//	Probe       a row a table with the time, for lag and recovery
//
// All of them live through a server that restarts, fails over or cannot be reached: a transaction is tried until it is committed, and what became of a commit that
// was not answered is asked of its rows. A key has one writer, so its changes commit in the order of that writer's transactions.
package traffic
