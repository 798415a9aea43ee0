package capturer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// TestRowsAfterManyForeignTransactions: a reader that has had nothing of use for a while rests between looks, and misses nothing.
func TestRowsAfterManyForeignTransactions(t *testing.T) {
	sc := newScripted(t)
	sub := sc.subscribe(at(4), func(o *capturev1.Open, _ *subscriber) {
		o.Tables = &capturev1.TableFilter{IncludeTables: []string{`[^.]*\.t`}}
	})
	for round := range int64(3) {
		for range 2 * foreignRun {
			sc.s.txn("foreign", []int64{1})
		}
		sc.s.txn("t", []int64{round})
		sub.awaitRows(t, int(round+1))
	}
	if diff := cmp.Diff(sequence(0, 3), sub.ids); diff != "" {
		t.Error(diff)
	}
}
