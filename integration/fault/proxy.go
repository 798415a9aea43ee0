package fault

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy stands in front of one server.
type Proxy struct {
	// Name is the server's, Addr where clients connect.
	Name, Addr string

	n     *Network
	lis   net.Listener
	kafka *brokers
	wg    sync.WaitGroup

	mu     sync.Mutex
	target string
	wires  map[*wire]struct{}
	closed bool
}

func newProxy(n *Network, name, target string, kafka *brokers) (*Proxy, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Name: name, Addr: lis.Addr().String(), n: n, lis: lis, kafka: kafka, target: target, wires: map[*wire]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Point makes new connections go to another server; those that are open stay where they are.
func (p *Proxy) Point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Target returns where new connections go.
func (p *Proxy) Target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

func (p *Proxy) accept() {
	for {
		c, err := p.lis.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(c *net.TCPConn) {
	from := p.n.who(c.RemoteAddr().(*net.TCPAddr).Port, p.lis.Addr().(*net.TCPAddr).Port)
	w := &wire{p: p, from: from, client: c, done: make(chan struct{})}
	for _, r := range p.n.on(from, p.Name) {
		if r.Refuse {
			r.hits.Add(1)
			w.end()
			return
		}
	}
	if !w.wait(Up) { // a network that swallows all does not connect either
		w.end()
		return
	}
	s, err := net.DialTimeout("tcp", p.Target(), 5*time.Second)
	if err != nil {
		w.end()
		return
	}
	w.server = s.(*net.TCPConn)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		w.end()
		return
	}
	p.wires[w] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.wires, w)
		p.mu.Unlock()
		w.end()
	}()
	w.carry()
}

// reset ends the connections for which f is true and returns how many there were.
func (p *Proxy) reset(f func(from, to string) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		if f(w.from, p.Name) {
			w.end()
			n++
		}
	}
	return n
}

func (p *Proxy) count(f func(from, to string) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		if f(w.from, p.Name) {
			n++
		}
	}
	return n
}

func (p *Proxy) close() {
	p.lis.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.reset(func(string, string) bool { return true })
	p.wg.Wait()
}

// wire is one connection through the proxy.
type wire struct {
	p              *Proxy
	from           string
	client, server *net.TCPConn
	once           sync.Once
	done           chan struct{}
}

// end resets both ends.
func (w *wire) end() {
	w.once.Do(func() {
		close(w.done)
		for _, c := range []*net.TCPConn{w.client, w.server} {
			if c != nil {
				c.SetLinger(0)
				c.Close()
			}
		}
	})
}

// carry moves bytes both ways until the connection ends.
func (w *wire) carry() {
	var wg sync.WaitGroup
	if life := w.life(); life > 0 {
		t := time.AfterFunc(life, w.end)
		defer t.Stop()
	}
	up, down := w.up, w.down
	if w.p.kafka != nil {
		k := &kafkaWire{w: w}
		up, down = k.up, k.down
	}
	wg.Go(func() { w.finish(w.server, up()) })
	wg.Go(func() { w.finish(w.client, down()) })
	wg.Wait()
}

// life returns after which time a rule ends this connection; 0: never.
func (w *wire) life() time.Duration {
	for _, r := range w.p.n.on(w.from, w.p.Name) {
		if r.Life > 0 {
			r.hits.Add(1)
			return r.Life/3 + time.Duration(w.p.n.float()*float64(r.Life)*2/3)
		}
	}
	return 0
}

// finish ends a wire of which one way broke. One that has closed its sending half may still be told what is on its way.
func (w *wire) finish(to *net.TCPConn, err error) {
	if errors.Is(err, io.EOF) {
		to.CloseWrite()
		return
	}
	w.end()
}

func (w *wire) up() error   { return w.pump(w.server, w.client, Up) }
func (w *wire) down() error { return w.pump(w.client, w.server, Down) }

// pieceBytes is what is read at a time.
const pieceBytes = 32 << 10

func (w *wire) pump(to, from *net.TCPConn, way Way) error {
	buf := make([]byte, pieceBytes)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !w.pass(buf[:n], way) {
				return net.ErrClosed
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// pass does to a piece what the rules say, and returns false if the connection ended meanwhile.
func (w *wire) pass(piece []byte, way Way) bool {
	rules := w.p.n.on(w.from, w.p.Name)
	if len(rules) == 0 {
		return true
	}
	var pause time.Duration
	for _, r := range rules {
		if r.Delay > 0 {
			r.hits.Add(1)
			pause += max(r.Delay+time.Duration((w.p.n.float()*2-1)*float64(r.Jitter)), 0)
		}
		if r.Loss > 0 && w.p.n.float() < r.Loss {
			r.hits.Add(1)
			pause += LossDelay
		}
		if r.Rate > 0 {
			r.hits.Add(1)
			pause += r.turn(len(piece))
		}
		if r.Flip != nil && way == Down {
			if i := r.Flip(piece); i >= 0 && r.take() {
				piece[i] ^= 0x55
			}
		}
	}
	if pause > 0 && !w.sleep(pause) {
		return false
	}
	return w.wait(way)
}

// turn takes n bytes of a rule's rate and returns how long to wait for them.
func (a *Applied) turn(n int) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.bucket.Before(now) {
		a.bucket = now
	}
	a.bucket = a.bucket.Add(time.Duration(n) * time.Second / time.Duration(a.Rate))
	return a.bucket.Sub(now)
}

// holdLook is how often a wire that is held looks whether it still is.
const holdLook = 10 * time.Millisecond

// wait returns once no rule holds what goes a way; false if the connection ended meanwhile.
func (w *wire) wait(way Way) bool {
	first := true
	for {
		held := false
		for _, r := range w.p.n.on(w.from, w.p.Name) {
			if r.Hold&way != 0 {
				held = true
				if first {
					r.hits.Add(1)
				}
			}
		}
		if !held {
			return true
		}
		first = false
		if !w.sleep(holdLook) {
			return false
		}
	}
}

func (w *wire) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.done:
		return false
	case <-t.C:
		return true
	}
}
