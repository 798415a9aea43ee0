package capturer

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/rowmesh/rowmesh/capturer/binlog"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

func batches(s *subscriber) []*rowv1.Batch {
	var out []*rowv1.Batch
	for _, m := range s.messages {
		if b := m.GetBatch(); b != nil {
			out = append(out, b)
		}
	}
	return out
}

func TestTransactionsAreCoalesced(t *testing.T) {
	sc := newScripted(t)
	for i := range int64(100) {
		sc.s.txn("t", []int64{i})
		sc.s.txn("foreign", []int64{1})
	}
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 100)
	sub.mu.Lock()
	defer sub.mu.Unlock()
	list := batches(sub)
	if len(list) != 1 {
		t.Fatalf("%d batches for a backlog of 100 small transactions, want 1", len(list))
	}
	b := list[0]
	if len(b.TxnFlags) != 100 || len(b.GroupSchema) != 100 {
		t.Errorf("%d transactions in %d groups, want 100 each", len(b.TxnFlags), len(b.GroupSchema))
	}
	for i, f := range b.TxnFlags {
		if f != row.TxnBegins|row.TxnEnds {
			t.Fatalf("transaction %d has flags %d", i, f)
		}
	}
	token := new(rowv1.ResumeToken)
	if err := proto.Unmarshal(b.Checkpoint.Token, token); err != nil {
		t.Fatal(err)
	}
	// All is behind the token, the foreign transaction after the last row too.
	if want := sc.s.head(); token.Start.Pos != want || !b.Checkpoint.TransactionEnd {
		t.Errorf("token is at %d (transaction end: %v), want %d", token.Start.Pos, b.Checkpoint.TransactionEnd, want)
	}
	if o := b.Checkpoint.Offset; o.Event != 2 || o.Row != 1 {
		t.Errorf("offset has event %d, row %d; want those of the last row: 2, 1", o.Event, o.Row)
	}
}

func TestHugeTransactionFlowsInPieces(t *testing.T) {
	sc := newScripted(t)
	sc.s.txn("t", sequence(0, 3000), sequence(3000, 2000))
	sub := sc.subscribe(at(4), func(o *capturev1.Open, _ *subscriber) { o.MaxBatchBytes = 1000 })
	sub.awaitRows(t, 5000)
	sub.mu.Lock()
	list := batches(sub)
	sub.mu.Unlock()
	for i, b := range list {
		first, last := i == 0, i == len(list)-1
		if len(b.Payload) > 1010 {
			t.Errorf("batch %d has %d bytes", i, len(b.Payload))
		}
		if got := b.Checkpoint.TransactionEnd; got != last {
			t.Errorf("batch %d of %d says transaction end: %v", i, len(list), got)
		}
		if got := b.TxnFlags[0]&row.TxnBegins != 0; got != first {
			t.Errorf("batch %d says that the transaction begins: %v", i, got)
		}
	}
	// Each token resumes exactly behind its batch.
	sent := 0
	for _, b := range list[:len(list)-1] {
		for _, n := range b.GroupRows {
			sent += int(n)
		}
		again := sc.subscribe(fromToken(b.Checkpoint.Token))
		again.awaitRows(t, 5000-sent)
		again.mu.Lock()
		if diff := cmp.Diff(sequence(int64(sent), int64(5000-sent)), again.ids); diff != "" {
			t.Fatalf("after %d rows: %s", sent, diff)
		}
		again.mu.Unlock()
		again.cancel()
	}
}

// TestJoins lets subscribers start anywhere while the log grows, connections break at any event, and sockets look empty at any time. Each subscriber gets
// each row after its start once, in order; in the end all share one connection.
func TestJoins(t *testing.T) {
	t.Parallel()
	rnd := seeded(t)
	for range 5 {
		joinOnce(t, rand.New(rand.NewPCG(rnd.Uint64(), 1)))
	}
}

func joinOnce(t *testing.T, rnd *rand.Rand) {
	sc := newScripted(t)
	defer sc.stop()
	var rndMu, mu sync.Mutex // mu guards starts and places; rndMu is the innermost
	random := func(n int) int {
		rndMu.Lock()
		defer rndMu.Unlock()
		return rnd.IntN(n)
	}
	sc.s.buffered = func() bool { return random(4) > 0 }
	breaking := true
	sc.s.breakAfter = func() int {
		if !breaking || random(2) == 0 {
			return -1
		}
		return random(300)
	}
	const total = 1500
	starts := map[uint64]int64{4: 0} // place to first id
	places := []uint64{4}
	write := func(first, n int64) {
		for id := first; id < first+n; {
			k := min(int64(1+random(5)), first+n-id)
			sc.s.txn("t", sequence(id, k))
			id += k
			if random(3) == 0 {
				sc.s.txn("foreign", []int64{1}, []int64{2})
			}
			mu.Lock()
			head := sc.s.head()
			starts[head] = id
			places = append(places, head)
			mu.Unlock()
		}
	}
	write(0, 200)
	var subs []*subscriber
	var firsts []int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		write(200, total-200)
	}()
	for range 12 {
		mu.Lock()
		p := places[random(len(places))]
		first := starts[p]
		mu.Unlock()
		subs, firsts = append(subs, sc.subscribe(at(p))), append(firsts, first)
		time.Sleep(time.Duration(random(1500)) * time.Microsecond) // spreads the starts; nothing depends on it
	}
	<-done
	for i, sub := range subs {
		sub.awaitRows(t, int(total-firsts[i]))
		sub.mu.Lock()
		if diff := cmp.Diff(sequence(firsts[i], total-firsts[i]), append([]int64{}, sub.ids...)); diff != "" {
			t.Errorf("subscriber %d from row %d: %s", i, firsts[i], diff)
		}
		sub.mu.Unlock()
	}
	// Trickle, so that whoever did not join tries again.
	sc.s.mu.Lock()
	breaking = false
	sc.s.mu.Unlock()
	deadline := time.Now().Add(20 * time.Second)
	for n := int64(total); sc.s.connections() != 1; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections for %d subscribers that have all caught up", sc.s.connections(), len(subs))
		}
		sc.s.txn("t", []int64{n})
		time.Sleep(5 * time.Millisecond) // paces the trickle
	}
}

func TestSlowSubscriberIsReset(t *testing.T) {
	t.Parallel() // waits for real time
	sc := newScripted(t)
	hold := make(chan struct{})
	quick := sc.subscribe(at(4))
	sc.s.txn("t", []int64{0})
	quick.awaitRows(t, 1)
	slow := sc.subscribe(at(sc.s.head()), func(_ *capturev1.Open, s *subscriber) { s.hold = hold })
	slow.await(t, "Opened", func(s *subscriber) bool { return len(s.messages) == 1 })
	for i := range int64(20) {
		sc.s.txn("t", []int64{1 + i})
		quick.awaitRows(t, int(2+i)) // one batch each: the slow one's queue fills
	}
	close(hold)
	slow.await(t, "Reset", func(s *subscriber) bool { return s.messages[len(s.messages)-1].GetReset_() != nil })
	if err := <-slow.done; err != nil {
		t.Errorf("after Reset the subscription ends with %v, want nil", err)
	}
	got := len(slow.ids)
	if got >= 20 || got == 0 {
		t.Fatalf("the slow subscriber has %d rows before its Reset", got)
	}
	again := sc.subscribe(fromToken(slow.messages[len(slow.messages)-1].GetReset_().Token))
	again.awaitRows(t, 20-got)
	if diff := cmp.Diff(sequence(1, 20), append(slow.ids, again.ids...)); diff != "" {
		t.Error(diff)
	}
}

// A subscriber that does not read holds the connection that it is alone on, but not that of others: they share another one.
func TestStalledSubscriberDoesNotKeepOthersApart(t *testing.T) {
	t.Parallel() // waits for real time
	sc := newScripted(t)
	hold := make(chan struct{})
	sc.s.txn("t", sequence(0, 1000)) // before it comes, so that its reader has never been at the end of the log, where others wait for it
	stalled := sc.subscribe(at(4), func(o *capturev1.Open, s *subscriber) { s.hold, o.MaxBatchBytes = hold, 10 })
	stalled.await(t, "Opened", func(s *subscriber) bool { return len(s.messages) == 1 })
	head := sc.s.head()
	var others []*subscriber
	for range 3 {
		others = append(others, sc.subscribe(at(head)))
	}
	deadline := time.Now().Add(20 * time.Second)
	n := int64(1000)
	for ; n < 1010 || sc.s.connections() != 2; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections for one that is stalled and three that are not, want 2", sc.s.connections())
		}
		sc.s.txn("t", []int64{n})
		time.Sleep(10 * time.Millisecond) // paces the trickle
	}
	for _, o := range others {
		o.awaitRows(t, int(n-1000))
	}
	close(hold)
	stalled.awaitRows(t, int(n))
	if diff := cmp.Diff(sequence(0, n), stalled.ids); diff != "" {
		t.Error(diff)
	}
}

func TestAloneASlowSubscriberIsWaitedFor(t *testing.T) {
	t.Parallel() // waits for real time
	sc := newScripted(t)
	hold := make(chan struct{})
	sub := sc.subscribe(at(4), func(o *capturev1.Open, s *subscriber) { s.hold, o.MaxBatchBytes = hold, 10 })
	sc.s.txn("t", sequence(0, 1000))
	time.Sleep(2 * slowFor) // the time after which it would be reset if it were not alone
	close(hold)
	sub.awaitRows(t, 1000)
	if diff := cmp.Diff(sequence(0, 1000), sub.ids); diff != "" {
		t.Error(diff)
	}
}

func TestDDLComesBetweenItsRows(t *testing.T) {
	sc := newScripted(t)
	sc.s.txn("t", []int64{1})
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "CREATE TABLE t (id INT PRIMARY KEY)"})
	sc.s.txn("t", []int64{2})
	sc.s.append(binlog.Event{Kind: binlog.Query, Database: "db", SQL: "CREATE TABLE elsewhere (id INT PRIMARY KEY)"})
	sc.s.txn("t", []int64{3})
	sub := sc.subscribe(at(4))
	sub.awaitRows(t, 3)
	sub.mu.Lock()
	defer sub.mu.Unlock()
	var order []string
	for _, m := range sub.messages {
		switch m := m.Message.(type) {
		case *capturev1.SubscribeResponse_Batch:
			order = append(order, "batch")
		case *capturev1.SubscribeResponse_Ddl:
			order = append(order, m.Ddl.Statement)
			if !m.Ddl.Checkpoint.TransactionEnd || m.Ddl.Pos == 0 {
				t.Errorf("ddl without its place: %v", m.Ddl)
			}
		}
	}
	if diff := cmp.Diff([]string{"batch", "CREATE TABLE t (id INT PRIMARY KEY)", "batch"}, order); diff != "" {
		t.Error(diff)
	}
	sc.awaitStored(t, "t", "elsewhere")
}

func TestEndOfOwnershipEndsSubscriptions(t *testing.T) {
	sc := newScripted(t)
	sub := sc.subscribe(at(4))
	sub.await(t, "Opened", func(s *subscriber) bool { return len(s.messages) > 0 })
	sc.stop()
	if err := <-sub.done; errs.KindOf(err) != errs.NotOwner {
		t.Errorf("subscription ended with %v, want NotOwner", err)
	}
	if n := sc.s.connections(); n != 0 {
		t.Errorf("%d connections left", n)
	}
}

func TestLastSubscriberEndsTheReader(t *testing.T) {
	sc := newScripted(t)
	a, b := sc.subscribe(at(4)), sc.subscribe(at(4))
	sc.s.txn("t", []int64{1})
	a.awaitRows(t, 1)
	b.awaitRows(t, 1)
	a.cancel()
	<-a.done
	sc.s.txn("t", []int64{2})
	b.awaitRows(t, 2)
	b.cancel()
	<-b.done
	deadline := time.Now().Add(10 * time.Second)
	for sc.s.connections() != 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections without a subscriber", sc.s.connections())
		}
		time.Sleep(time.Millisecond) // the connection closes after the subscription has ended
	}
}
