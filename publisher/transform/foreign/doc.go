// Package foreign calls transforms that run in a process of their own, in any language, by the contract rowmesh.transform.v1.
//
//	records ──encode (JSON of Kafka's JsonConverter, schemas once per call)──> calls of bounded size, one at a time ──> results ──check, decode──> records
//
// A server is not trusted. An answer that is late, too large, of the wrong length or that does not fit its schemas is an error: of one record where it can be
// told which, because a call that fails is made again with halves of its records until one is left. What concerns no record, such as a server that is not there,
// is an error of the call, of kind Unavailable, and nothing is decided about its records.
//
// Memory: one call's records and its answer, both bounded (Config.MaxBytes, and the answer by four times as much), beside the schemas that were seen last.
package foreign
