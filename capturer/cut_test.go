package capturer

import (
	"strings"
	"testing"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// A token inside a transaction counts the events of one server's log. Another server with the same transaction does not go on from there: rows would be lost or come
// twice. Servers without a uuid are known by their server_id.
func TestTokenInTransactionOfAnotherServer(t *testing.T) {
	for name, c := range map[string]struct {
		uuid string // of the first server
		then string
		id   uint32
		gap  bool
	}{
		"same server":             {"u", "u", 1, false},
		"renumbered":              {"u", "u", 2, false},
		"another uuid":            {"u", "v", 1, true},
		"no uuid, same server_id": {"", "", 1, false},
		"no uuid, another one":    {"", "", 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScripted(t)
			sc.s.gtids, sc.s.uuid, sc.s.id = true, c.uuid, 1
			sc.s.txn("t", []int64{1, 2}, []int64{3})
			start := at(4)
			start.GetPosition().ServerUuid = c.uuid
			sub := sc.subscribe(start, func(o *capturev1.Open, _ *subscriber) { o.MaxBatchBytes = 1 })
			sub.awaitRows(t, 3)
			token := batches(sub)[1].Checkpoint.Token // behind row 2
			sub.cancel()
			<-sub.done
			sc.s.mu.Lock()
			sc.s.uuid, sc.s.id = c.then, c.id
			sc.s.mu.Unlock()
			f, err := newFeed(&capturev1.Open{Consumer: "c", Start: fromToken(token), MaxBatchBytes: 1000}, sc.src.pool)
			if err != nil {
				t.Fatal(err)
			}
			if c.gap {
				err := sc.src.subscribe(t.Context(), f, &subscriber{changed: make(chan struct{})})
				if errs.KindOf(err) != errs.Gap || !strings.Contains(err.Error(), "inside a transaction") {
					t.Errorf("%v, want Gap", err)
				}
				return
			}
			again := sc.subscribe(fromToken(token))
			again.awaitRows(t, 1)
			if again.ids[0] != 3 {
				t.Errorf("rows %v, want 3", again.ids)
			}
		})
	}
}

// The server changes after the subscription was accepted inside a transaction and before any of its rows: it begins again, rather than getting what it has once more.
func TestFailoverBeforeRestOfTransaction(t *testing.T) {
	t.Parallel() // waits for a retry
	sc := newScripted(t)
	sc.s.gtids, sc.s.uuid, sc.s.id = true, "", 1
	sc.s.txn("t", []int64{1, 2}, []int64{3})
	sub := sc.subscribe(at(4), func(o *capturev1.Open, _ *subscriber) { o.MaxBatchBytes = 1 })
	sub.awaitRows(t, 3)
	token := batches(sub)[1].Checkpoint.Token
	sub.cancel()
	<-sub.done
	sc.s.mu.Lock()
	broken := false
	sc.s.breakAfter = func() int {
		if broken {
			return -1
		}
		broken = true
		return 1
	}
	sc.s.onBreak = func() { sc.s.id = 2 }
	sc.s.mu.Unlock()
	again := sc.subscribe(fromToken(token))
	again.await(t, "Reset", func(s *subscriber) bool {
		return len(s.ids) > 0 || len(s.messages) > 0 && s.messages[len(s.messages)-1].GetReset_() != nil
	})
	if len(again.ids) > 0 {
		t.Errorf("rows %v came again", again.ids)
	}
}
