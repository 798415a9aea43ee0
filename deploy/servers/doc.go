// Package servers has real servers on one machine, without containers and without root: MySQL, MariaDB and Kafka, fetched into a cache folder
// once and started on loopback. The demo (deploy/local) and the tests (integration) share it.
//
// Where a server comes from, in this order: the PATH; Debian's packages, unpacked beside the system and run through their own loader; Maven's
// artifacts. What is fetched is pinned where the source keeps old versions (Maven does, Debian's unstable does not: there the pinned version is
// tried first and the current one is taken, and named, if it is gone). apt and Maven verify what they download.
//
// Every process started here ends with the process that started it, however that ends.
package servers
