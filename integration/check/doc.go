// Package check judges a run of a mesh: what a server committed (R) against what is in the topics (O), and what was seen of owners, lag and stops meanwhile.
//
//	R   changes in the order of the log, from a reader that is not ours             Judge.Change
//	O   events of each partition in the order of their offsets, committed ones      Judge.Event
//	    the same partitions with what is not committed, and with markers            Judge.Raw
//	    the offsets topic                                                           Judge.Checkpoint
//	    owners, lag, stops, the source's own rows at the end                        Judge.Owner, Sample, Stop, Row
//
// R comes first, then O in any order of partitions. There is one checker for each invariant, and each names what it found: the record, its place and the evidence.
//
//	I1   complete: every change of R behind the snapshot is in O          I9   a checkpoint covers what was committed before it, and nothing behind it
//	I2   no phantoms: every event of O is a change of R                   I10  one writer: no commit of an older producer epoch after a newer one
//	I3   exactly once                                                     I11  nothing is told for the first time below a checkpoint
//	I4   order of each key, and no stale end                              I12  replayed, O gives the rows that the source has
//	I5   a key stays in its partition                                     I13  snapshot rows and changes meet without gap or overlap
//	I6   after images are R's                                             I14  alive: after healing lag is low, lanes are owned, no transaction hangs
//	I7   before images are the after images before them                   I15  owners of a lane: one at a time, generations rise
//	I8   transactions of the source become visible as wholes              I16  after an honest stop nothing is told, and the stop says how to go on
//
// Rows judge themselves: every table has a key, a version that goes up by one with each change of the key, also over deletes, and values that follow from both.
// Memory is 16 bytes a change and about 100 a key, whatever the size of O.
package check
