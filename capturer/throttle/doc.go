// Package throttle says when who reads a server's tables should rest: so many rows and bytes a second, and no more load on the server than it is meant to bear.
//
//	batch read ── Took ──> how long to rest before the next
//	load seen  ── Seen ──> Wait is a second as long as a limit is passed
//
// It is pure: times come from the caller, who sleeps too. One Throttle paces any number of readers together; limits may be changed while they run.
//
// Rates hold over some seconds and not over each moment: a reader may be ahead by one batch, and what it did not use while it waited for something else is forgiven up
// to burst, so that a pause of the subscriber is not followed by a rush.
package throttle
