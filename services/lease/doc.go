// Package lease holds something in etcd for as long as this process lives, and elects one leader among many.
//
// Both are scopes: Hold and Election.Lead call a function with a context that ends with the lease, and return once the function has returned and
// the lease is given back. So "I hold it" can neither be stored nor outlive the lease.
//
//	Hold:  grant ── fn(ctx) ─────────────── fn returns ── revoke
//	          └ renew every TTL/3 ┘ └ no answer until sent+TTL: ctx ends with ErrLost
//
//	Lead:  Hold ── put PREFIX/<lease> ── wait until all older keys are gone ── fn(ctx, Leadership) ── revoke (deletes the key)
//
// What is guaranteed: ctx ends before etcd lets the lease expire, as far as both clocks run at the same speed (the time is counted from before the
// renewal was sent). What is not: a write that was already under way when ctx ended may still arrive. Hence each write of a leader carries
// Leadership.Guard, and etcd refuses it once the leader's key is gone.
package lease
