// Package sim is a world for lanes that a seed decides: Kafka, etcd and a database server as lanes meet them, with their faults, a clock that nothing but the
// world moves, and a judge of what is in the topics. The real tasks of package publisher run in it (publisher/sim_test.go), thousands of worlds a minute, and a
// world that goes wrong goes wrong again with its seed.
//
//	World            who runs next, and what time it is; faults come as steps between the steps of the lanes
//	  Host           a publisher's process: killed, stopped for longer than its lease, cut off from etcd
//	  Proc           one lane's code on a host: a coroutine that runs until it waits for something
//	Broker           topics, coordinators of transactions, requests that come late; it speaks the old transaction protocol
//	  Producer       a client of it, as publisher/kafka's producer behaves
//	  Offsets        a reader of checkpoints, as services/offset's store
//	Registry         etcd and the coordinator: leases, owners, generations, layouts, told late or never
//	Source           a database server: transactions, failover with and without a lost tail, purge, reset, tables that cannot be read
//	  Stream         a capturer's subscription
//	Judge            what was committed against what is in the topics, after each step and at the end
//
// One goroutine runs at a time, so nothing here locks, and a world is the same each time for the same seed. What it does not hold: bytes on the wire, the
// capturer's own code, brokers that lose what they have acknowledged, and the fallback without transactions.
package sim
