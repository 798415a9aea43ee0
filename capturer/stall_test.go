package capturer

import (
	"testing"
	"time"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// TestManyStalledSubscribersHoldOthersUpOnce: ten subscribers of the shared connection do not read; the one that does waits for them together, not one after the other.
func TestManyStalledSubscribersHoldOthersUpOnce(t *testing.T) {
	t.Parallel() // waits for real time
	const stalled = 10
	sc := newScripted(t)
	hold := make(chan struct{})
	defer close(hold)
	quick := sc.subscribe(at(4))
	sc.s.txn("t", []int64{0})
	quick.awaitRows(t, 1)
	head := sc.s.head()
	for range stalled {
		s := sc.subscribe(at(head), func(_ *capturev1.Open, s *subscriber) { s.hold = hold })
		s.await(t, "Opened", func(s *subscriber) bool { return len(s.messages) == 1 })
	}
	begin := time.Now()
	for i := range int64(20) {
		sc.s.txn("t", []int64{1 + i})
		quick.awaitRows(t, int(2+i)) // one batch each: the others' queues fill
	}
	if took := time.Since(begin); took > 3*slowFor {
		t.Errorf("%d subscribers that do not read held one that does up for %s", stalled, took)
	}
}
