package kafka

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/rowmesh/rowmesh/services/errs"
)

// A connection that fails while EndTxn is on its way makes librdkafka send it again and report success; the producer must not be used any more.
func TestRetriedEndTxnIsUnclean(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "rows"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var seen atomic.Int32
	var cut atomic.Bool
	c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if seen.Add(1); cut.CompareAndSwap(true, false) {
			return nil, errors.New("cut"), true // the connection closes without an answer
		}
		return nil, nil, false
	})
	p := newProducer(t, Config{Client: map[string]string{"bootstrap.servers": c.ListenAddrs()[0]}, TransactionalID: "lane"})
	id, err := p.Topic("rows")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit := func() error {
		var b Batch
		b.Add(id, 0, None, []byte("k"), []byte("v"))
		if err := p.Begin(); err != nil {
			return err
		}
		if err := p.Produce(t.Context(), &b); err != nil {
			return err
		}
		return p.Commit(t.Context())
	}
	if err := commit(); err != nil {
		t.Fatalf("an ordinary commit: %v", err)
	}
	cut.Store(true)
	if err := commit(); !errors.Is(err, ErrUnclean) || errs.KindOf(err) != errs.Unavailable {
		t.Errorf("commit over a connection that broke: %v; want ErrUnclean", err)
	}
	if n := seen.Load(); n != 3 {
		t.Errorf("%d EndTxn requests; want 3: one clean, one cut, one again", n)
	}
}
