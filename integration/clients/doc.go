// Package clients runs public clients of Kafka Connect's REST API, unmodified and of fixed versions, against a mesh of real processes: each creates a
// connector, reads it, changes its config, pauses, resumes, restarts and deletes it, and looks at what it gets as strictly as its code does.
//
// The programs that use the clients stand in testdata. The clients come from the registries of their languages; one that cannot be had, or whose language is
// not on the machine, skips its test with the reason. Those that CI has run before must be there where ROWMESH_REQUIRE_REAL=1 is set.
package clients
