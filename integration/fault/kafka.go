package fault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// API keys of Kafka's protocol that faults name.
const (
	Produce            int16 = 0
	Fetch              int16 = 1
	Metadata           int16 = 3
	FindCoordinator    int16 = 10
	APIVersions        int16 = 18
	InitProducerID     int16 = 22
	AddPartitionsToTxn int16 = 24
	EndTxn             int16 = 26
	DescribeCluster    int16 = 60
)

// Treatment is what is done to a request.
type Treatment int

// Treatments.
const (
	// LoseRequest ends the connection instead of passing the request on: the broker never sees it.
	LoseRequest Treatment = iota + 1
	// LoseResponse passes the request on and ends the connection instead of passing the answer back.
	LoseResponse
	// Late ends the client's connection at once and passes the request on after Delay, when nobody expects it any more.
	Late
	// Twice passes the request on two times, and the first answer back.
	Twice
	// Slow passes the request on after Delay.
	Slow
	// Swallow passes neither request nor answer: the client waits.
	Swallow
)

// Requests says which requests are treated, and how.
type Requests struct {
	Keys  []int16
	Treat Treatment
	Delay time.Duration
}

// brokers tells where the proxy of each broker is: answers that name brokers are rewritten, so that clients stay behind them.
type brokers struct {
	mu    sync.Mutex
	proxy map[int32]*Proxy // by node id
}

func (b *brokers) at(node int32) (host string, port int32, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.proxy[node]
	if p == nil {
		return "", 0, false
	}
	host, text, _ := net.SplitHostPort(p.Addr)
	n, _ := strconv.Atoi(text)
	return host, int32(n), true
}

// kafkaWire carries one connection to a broker, request by request.
type kafkaWire struct {
	w *wire

	mu      sync.Mutex
	pending []request // in the order of their answers
}

// request is one whose answer is awaited.
type request struct {
	key, version int16
	lose         bool // the connection ends with its answer
	swallow      bool // nobody gets its answer
}

// maxFrame bounds a request or an answer: brokers refuse more than socket.request.max.bytes, 100 MiB.
const maxFrame = 110 << 20

// readFrame reads one frame with its length before it.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	b := make([]byte, 4+n)
	copy(b, size[:])
	if _, err := io.ReadFull(r, b[4:]); err != nil {
		return nil, err
	}
	return b, nil
}

func (k *kafkaWire) up() error {
	for {
		f, err := readFrame(k.w.client)
		if err != nil {
			return err
		}
		if len(f) < 12 {
			return fmt.Errorf("a request of %d bytes", len(f))
		}
		q := request{key: int16(binary.BigEndian.Uint16(f[4:])), version: int16(binary.BigEndian.Uint16(f[6:]))}
		if !k.w.pass(f[:0], Up) {
			return net.ErrClosed
		}
		times, err := k.treat(f, &q)
		if err != nil {
			return err
		}
		for range times {
			k.expect(q)
			if _, err := k.w.server.Write(f); err != nil {
				return err
			}
			q.swallow = true
		}
	}
}

func (k *kafkaWire) expect(q request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending = append(k.pending, q)
}

// treat does to a request what a rule says, and returns how often it is passed on. The error ends the connection.
func (k *kafkaWire) treat(frame []byte, q *request) (times int, err error) {
	for _, r := range k.w.p.n.on(k.w.from, k.w.p.Name) {
		if r.Kafka == nil || !slices.Contains(r.Kafka.Keys, q.key) || !r.take() {
			continue
		}
		switch r.Kafka.Treat {
		case LoseRequest:
			return 0, errors.New("request lost")
		case LoseResponse:
			q.lose = true
		case Late:
			return 0, k.late(frame, r.Kafka.Delay)
		case Twice:
			return 2, nil
		case Slow:
			if !k.w.sleep(r.Kafka.Delay) {
				return 0, net.ErrClosed
			}
		case Swallow:
			return 0, nil
		}
	}
	return 1, nil
}

// late delivers a request after the client has gone. It does so on a connection of its own, as what a network had kept back comes to a broker whose other end is closed.
func (k *kafkaWire) late(frame []byte, after time.Duration) error {
	p := k.w.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	target := p.target
	p.wg.Go(func() {
		time.Sleep(after) // the fault itself
		c, err := net.DialTimeout("tcp", target, 5*time.Second)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(frame); err == nil {
			_, _ = readFrame(c) // that it was taken is enough
		}
	})
	return errors.New("request held back")
}

func (k *kafkaWire) down() error {
	for {
		f, err := readFrame(k.w.server)
		if err != nil {
			return err
		}
		k.mu.Lock()
		if len(k.pending) == 0 {
			k.mu.Unlock()
			return errors.New("an answer that nobody awaits")
		}
		q := k.pending[0]
		k.pending = k.pending[1:]
		k.mu.Unlock()
		if q.lose {
			return errors.New("response lost")
		}
		if q.swallow {
			continue
		}
		f = k.w.p.kafka.rewrite(f, q)
		if !k.w.pass(f[4:], Down) {
			return net.ErrClosed
		}
		if _, err := k.w.client.Write(f); err != nil {
			return err
		}
	}
}

// rewrite puts the proxies' addresses into an answer that names brokers. What cannot be read is passed on as it is.
func (b *brokers) rewrite(frame []byte, q request) []byte {
	switch q.key {
	case Metadata, FindCoordinator, DescribeCluster, Produce, Fetch:
	default:
		return frame
	}
	answer := kmsg.ResponseForKey(q.key)
	answer.SetVersion(q.version)
	at := 8
	if answer.IsFlexible() {
		at = 9 // an empty list of tags
	}
	if len(frame) < at || answer.IsFlexible() && frame[8] != 0 || answer.ReadFrom(frame[at:]) != nil {
		return frame
	}
	if !b.place(answer) {
		return frame
	}
	out := answer.AppendTo(append(make([]byte, 0, len(frame)+64), frame[:at]...))
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}

// place changes the addresses in an answer and says whether there were any.
func (b *brokers) place(answer kmsg.Response) (changed bool) {
	set := func(node int32, host *string, port *int32) {
		if h, p, ok := b.at(node); ok {
			*host, *port, changed = h, p, true
		}
	}
	switch r := answer.(type) {
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			set(r.Brokers[i].NodeID, &r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		set(r.NodeID, &r.Host, &r.Port)
		for i := range r.Coordinators {
			set(r.Coordinators[i].NodeID, &r.Coordinators[i].Host, &r.Coordinators[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			set(r.Brokers[i].NodeID, &r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.ProduceResponse:
		for i := range r.Brokers {
			set(r.Brokers[i].NodeID, &r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FetchResponse:
		for i := range r.Brokers {
			set(r.Brokers[i].NodeID, &r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	}
	return changed
}
