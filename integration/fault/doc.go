// Package fault is the adversary: a cluster of real processes on one machine, the wires between them, and everything that can be done to both.
//
//	Cluster    MySQL primary and replica, a spare server, Kafka brokers, etcd members, coordinators, capturers, publishers (cluster.go, database.go, etcd.go)
//	Network    a proxy in front of each of them; rules say what happens on the way from one process to another (network.go, proxy.go)
//	           and, in front of Kafka, to requests by their API key (kafka.go): lost, late, twice, answered into nothing
//	points     steps of the protocol at which a process dies, stops or fails (package services/failpoint; the cluster's processes are built with the tag)
//	Load       a connector with a workload whose rows judge themselves, and a consumer that follows what comes (load.go, stream.go)
//	Catalogue  the faults by the groups P, N, E, K, M, G, D, T, S and C, each with its number: what is done, how it is healed, what must be seen meanwhile
//
// A fault that cannot be done is an error: silence is not success. Each fault verifies that it took effect, from the proxy's counters, the process's end or the
// server's own answers.
//
// # Who is talking
//
// All are on one machine, so a proxy cannot tell by the address who connects. It looks the connection's other end up among the processes of the cluster, in /proc.
// So each server has one proxy, and a rule names both ends: from "publisher-1" to "kafka-*".
//
// # What is judged
//
// Safety always, by package check, on the whole history of a load. Liveness with generous limits: once a fault is healed, changes arrive again within a minute with
// less than five seconds of lag, and no lane is without an owner.
package fault
