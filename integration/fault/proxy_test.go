package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// echo starts a server that answers all with itself, and a proxy in front of it.
func echo(t *testing.T) (*Network, *Proxy) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	n := newNetwork(1, func(int, int) string { return "client-1" })
	p, err := n.listen("echo", l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); n.close() })
	return n, p
}

// say sends a text through the proxy and returns what comes back.
func say(c net.Conn, text string, limit time.Duration) (string, error) {
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	b := make([]byte, len(text))
	_, err := io.ReadFull(c, b)
	return string(b), err
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const soon = 10 * time.Second // a limit, not a time that passes

func TestRulesOfTheNetwork(t *testing.T) {
	n, p := echo(t)
	c := dial(t, p)
	if got, err := say(c, "hello", soon); got != "hello" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, way := range []Way{Up, Down, Both} {
		held := n.Apply(Rule{From: "client-*", To: "echo", Hold: way})
		if _, err := say(c, "a", 100*time.Millisecond); err == nil {
			t.Errorf("something came though way %d is held", way)
		}
		if held.Hits() == 0 {
			t.Errorf("nothing was held on way %d", way)
		}
		held.Heal()
		b := make([]byte, 1)
		c.SetDeadline(time.Now().Add(soon))
		if _, err := io.ReadFull(c, b); err != nil || b[0] != 'a' {
			t.Errorf("what was held on way %d came as %q, %v", way, b, err)
		}
	}
	other := n.Apply(Rule{From: "server-*", Hold: Both, Reset: true, Refuse: true})
	if got, err := say(c, "mine", soon); got != "mine" || err != nil || other.Hits() != 0 {
		t.Errorf("somebody else's rule met the connection: %q, %v, %d hits", got, err, other.Hits())
	}
	other.Heal()
	flip := n.Apply(Rule{To: "echo", Times: 1, Flip: func(b []byte) int { return bytes.IndexByte(b, 'l') }})
	if got, err := say(c, "hello", soon); err != nil || got == "hello" || len(got) != 5 {
		t.Errorf("got %q, %v, want one byte changed", got, err)
	}
	if got, err := say(c, "hello", soon); err != nil || got != "hello" {
		t.Errorf("got %q, %v, want no second change", got, err)
	}
	flip.Heal()
	slow := n.Apply(Rule{To: "echo", Delay: 50 * time.Millisecond})
	begin := time.Now()
	if _, err := say(c, "slow", soon); err != nil || time.Since(begin) < 100*time.Millisecond {
		t.Errorf("there and back after %s, %v, want 100 ms at least", time.Since(begin), err)
	}
	slow.Heal()
	rate := n.Apply(Rule{To: "echo", Rate: 10_000})
	begin = time.Now()
	if _, err := say(c, string(make([]byte, 1000)), soon); err != nil || time.Since(begin) < 200*time.Millisecond {
		t.Errorf("1000 bytes there and back after %s, %v, want 200 ms at least", time.Since(begin), err)
	}
	rate.Heal()
	if reset := n.Apply(Rule{To: "echo", Reset: true, Refuse: true}); reset.Hits() != 1 {
		t.Errorf("%d connections reset, want 1", reset.Hits())
	}
	if _, err := say(c, "gone", soon); err == nil {
		t.Error("the connection lives on")
	}
	if _, err := say(dial(t, p), "refused", soon); err == nil {
		t.Error("a new connection was not refused")
	}
	n.HealAll()
	n.Apply(Rule{To: "echo", Life: 30 * time.Millisecond})
	short := dial(t, p)
	var err error
	for end := time.Now().Add(soon); err == nil && time.Now().Before(end); {
		_, err = say(short, "x", soon)
	}
	if err == nil {
		t.Error("the connection does not die")
	}
}

// TestRequestsToKafka lets a transactional producer, whose only way to two brokers is through the proxies, meet each treatment of a request.
func TestRequestsToKafka(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(2, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	n := newNetwork(1, func(int, int) string { return "client-1" })
	defer n.close()
	b := &brokers{proxy: map[int32]*Proxy{}}
	for i, addr := range k.ListenAddrs() {
		p, err := n.listen(fmt.Sprintf("kafka-%d", i+1), addr, b)
		if err != nil {
			t.Fatal(err)
		}
		b.proxy[int32(i)] = p
	}
	var past atomic.Int64 // connections to a broker itself
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.Proxy("kafka-1").Addr), kgo.TransactionalID("x"), kgo.RequestTimeoutOverhead(2*time.Second), kgo.RetryTimeout(20*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
			if host != n.Proxy("kafka-1").Addr && host != n.Proxy("kafka-2").Addr {
				past.Add(1)
			}
			return new(net.Dialer).DialContext(ctx, network, host)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	transaction := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		for p := range int32(2) {
			cl.Produce(ctx, &kgo.Record{Topic: "t", Partition: p, Value: []byte("v")}, nil)
		}
		if err := cl.Flush(ctx); err != nil {
			return errors.Join(err, cl.EndTransaction(ctx, kgo.TryAbort))
		}
		return cl.EndTransaction(ctx, kgo.TryCommit)
	}
	if err := transaction(); err != nil {
		t.Fatal(err)
	}
	for _, q := range []Requests{
		{Keys: []int16{EndTxn}, Treat: Slow, Delay: 50 * time.Millisecond},
		{Keys: []int16{Produce}, Treat: LoseRequest},
		{Keys: []int16{Produce}, Treat: LoseResponse},
		{Keys: []int16{Metadata, Produce}, Treat: Twice},
		{Keys: []int16{EndTxn}, Treat: Late, Delay: 20 * time.Millisecond},
	} {
		a := n.Apply(Rule{To: "kafka-*", Times: 1, Kafka: &q})
		err := transaction() // what becomes of it is the client's affair; that the next one works is what counts
		if a.Hits() != 1 {
			t.Errorf("treatment %d met %d requests, want 1 (%v)", q.Treat, a.Hits(), err)
		}
		a.Heal()
	}
	if n := past.Load(); n != 0 {
		t.Errorf("%d connections went past the proxies", n)
	}
}

// TestOwner finds this process by its connection, and nobody by one that is not there.
func TestOwner(t *testing.T) {
	_, p := echo(t)
	c := dial(t, p)
	if _, err := say(c, "x", soon); err != nil {
		t.Fatal(err)
	}
	from, to := c.LocalAddr().(*net.TCPAddr).Port, c.RemoteAddr().(*net.TCPAddr).Port
	me := map[int]string{os.Getpid(): "me", 1 << 30: "gone"}
	if got := owner(from, to, me); got != "me" {
		t.Errorf("the connection belongs to %q, want me", got)
	}
	if got := owner(from, to, map[int]string{1 << 30: "gone"}); got != "" {
		t.Errorf("the connection belongs to %q, want nobody", got)
	}
	if got := owner(1, 2, me); got != "" {
		t.Errorf("no connection belongs to %q", got)
	}
}

// TestCatalogue checks that each group has faults, and that enough of them are automated.
func TestCatalogue(t *testing.T) {
	ids, groups, count := map[string]bool{}, map[byte]int{}, 0
	note := func(id string) {
		count++
		groups[id[0]]++
		ids[id] = true
	}
	for _, f := range Catalogue() {
		note(f.ID)
	}
	for _, x := range Scripts() {
		note(x.ID)
	}
	for _, x := range append(Stops(), LateStops()...) {
		note(x.ID)
	}
	for _, x := range interruptions() {
		note(x.id)
	}
	for _, g := range []byte("PNEKMGDTSC") {
		if groups[g] == 0 {
			t.Errorf("no fault of group %c", g)
		}
	}
	if len(ids) < 70 {
		t.Errorf("%d faults of the catalogue, want 70 at least", len(ids))
	}
	t.Logf("%d faults, %d numbers of the catalogue, by group:", count, len(ids))
	for _, g := range []byte("PNEKMGDTSC") {
		t.Logf("%c %d", g, groups[g])
	}
}
