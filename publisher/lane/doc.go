// Package lane is the protocol by which a lane owns its place and moves it: a pure state machine, without context, clock, goroutine or I/O, that the
// publisher's loop really runs and that a simulator runs against a broker with every fault we know.
//
// The problem: a lane's rows must be in Kafka exactly once and in order, while workers crash, pause for minutes, lose the lane to another worker without
// hearing of it, and while requests to the broker arrive late or twice. The obvious approach, a lease in etcd and a checkpoint written after the rows, loses:
// a worker that slept past its lease wakes up and appends old rows after newer ones. So the fence is at Kafka, and the checkpoint travels in the same
// transaction as the rows:
//
//	        assigned              ok             ok           ok            ok
//	Idle ------------> Fence ----------> Confirm ----> Read ----> Subscribe ----> Next <---------+
//	  ^                  ^                  |                                     |  cut         |
//	  |  lost            | Wait             | not ours                            v     clean    |
//	  +---- Release <----+------ Release <--+------- any error ------------------ Commit ----> Ack
//
// Fence is a new producer with the lane's transactional id and InitTransactions: from here on nothing that an older producer has sent or will send can be
// committed. Only then Confirm asks etcd, by a linearizable read, whether the lane is still ours: a zombie that fences the rightful owner by mistake finds out
// here, goes away, and the owner fences again. Read finds the newest committed checkpoint, which after Fence nobody else can move. Each transaction holds rows
// and, last, the checkpoint.
//
// Invariant: a producer that has seen anything unclean never begins another transaction; every way out of Next, Commit and Ack that is not a clean commit
// leads through Release, which destroys it. librdkafka retries EndTxn by itself and speaks the protocol in which a late copy ends the next transaction of the
// same producer epoch; a model check of this rule found no violation in 61 million states, and a loss in seconds without it. The publisher's TestMutants breaks
// this rule and others, one at a time, in the simulator of package sim, and each is found.
//
// Nothing in this argument uses etcd's leases, clocks or the capturer: they only decide who works, not what is true.
package lane
