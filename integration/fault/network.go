package fault

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Way is a direction on a wire: Up towards the server, Down towards the client.
type Way int

// Ways. Both are the two of them.
const (
	Up   Way = 1
	Down Way = 2
	Both Way = Up | Down
)

// Rule says what happens on the wires from some processes to some servers while it is applied.
type Rule struct {
	// From and To are names of processes or patterns as path.Match has them ("publisher-*"); empty: any.
	From, To string

	// Refuse ends new connections at once.
	Refuse bool
	// Reset ends open connections, without a goodbye, when the rule is applied.
	Reset bool
	// Hold keeps what goes that way until the rule is healed: nobody is told, as when a machine behind a router vanishes.
	Hold Way
	// Delay is added to each piece that goes either way, more or less Jitter.
	Delay, Jitter time.Duration
	// Loss is the share of pieces that come LossDelay later, as what a network loses comes when it is sent again.
	Loss float64
	// Rate bounds what goes either way, bytes a second; 0: no bound.
	Rate int
	// Life ends each connection after a random part of it, at least a third; 0: never.
	Life time.Duration
	// Flip is asked for each piece that goes Down and returns which byte to flip, negative for none.
	Flip func(piece []byte) int
	// Times bounds how often Flip or Kafka take effect; 0: no bound.
	Times int64
	// Kafka is what happens to requests; in front of brokers only.
	Kafka *Requests
}

// LossDelay is TCP's shortest wait before it sends again.
const LossDelay = 200 * time.Millisecond

// Applied is a rule in force.
type Applied struct {
	Rule
	n *Network
	// hits counts what the rule has done: connections ended or refused, pieces held, delayed or changed, requests treated.
	hits atomic.Int64
	used atomic.Int64 // of Times
	// bucket is when the next byte may go, for Rate.
	mu     sync.Mutex
	bucket time.Time
}

// Hits returns how often the rule has done something.
func (a *Applied) Hits() int64 { return a.hits.Load() }

// Heal takes the rule away.
func (a *Applied) Heal() {
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	a.n.rules = slices.DeleteFunc(a.n.rules, func(r *Applied) bool { return r == a })
}

// take counts an effect that Times bounds, and says whether it may happen.
func (a *Applied) take() bool {
	if a.Times > 0 && a.used.Add(1) > a.Times {
		return false
	}
	a.hits.Add(1)
	return true
}

func (a *Applied) matches(from, to string) bool {
	return (a.From == "" || match(a.From, from)) && (a.To == "" || match(a.To, to))
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// Network is all the wires.
type Network struct {
	mu      sync.RWMutex
	rules   []*Applied
	proxies map[string]*Proxy
	rnd     *rand.Rand
	// who tells which process has a connection, by the ports of its two ends.
	who func(port, to int) string
}

func newNetwork(seed uint64, who func(port, to int) string) *Network {
	return &Network{proxies: map[string]*Proxy{}, rnd: rand.New(rand.NewPCG(seed, 0x6e657477)), who: who}
}

// Apply puts a rule in force until it is healed.
func (n *Network) Apply(r Rule) *Applied {
	a := &Applied{Rule: r, n: n}
	n.mu.Lock()
	n.rules = append(n.rules, a)
	proxies := n.proxies
	n.mu.Unlock()
	if r.Reset {
		for _, p := range proxies {
			a.hits.Add(int64(p.reset(a.matches)))
		}
	}
	return a
}

// HealAll takes all rules away.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = nil
}

// on returns the rules for a wire.
func (n *Network) on(from, to string) []*Applied {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var out []*Applied
	for _, r := range n.rules {
		if r.matches(from, to) {
			out = append(out, r)
		}
	}
	return out
}

func (n *Network) float() float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rnd.Float64()
}

// Proxy returns the proxy in front of a server; nil if there is none.
func (n *Network) Proxy(name string) *Proxy {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.proxies[name]
}

// Connections returns how many there are on a wire now.
func (n *Network) Connections(from, to string) (count int) {
	a := &Applied{Rule: Rule{From: from, To: to}}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, p := range n.proxies {
		count += p.count(a.matches)
	}
	return count
}

// listen puts a proxy in front of a server. kafka is nil for all but brokers.
func (n *Network) listen(name, target string, kafka *brokers) (*Proxy, error) {
	p, err := newProxy(n, name, target, kafka)
	if err != nil {
		return nil, fmt.Errorf("proxy of %s: %w", name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proxies[name] = p
	return p, nil
}

func (n *Network) close() {
	n.mu.RLock()
	proxies := n.proxies
	n.mu.RUnlock()
	for _, p := range proxies {
		p.close()
	}
}
