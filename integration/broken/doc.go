// Package broken proves that the live suite can see: publishers in which a rule of the lane protocol is out of force (publisher/broken.go, in builds with the tag
// "broken" only) run in a cluster of real processes, each under the schedule that provokes its rule, and the judge must find what the rule prevents. The same schedules
// without a broken rule must find nothing. That takes minutes and is done where ROWMESH_FULL=1 is set; the simulator breaks the same rules in every run of the
// publisher's tests (TestMutants).
package broken
