package publisher

import (
	"sync"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
)

// pump reads a subscription into a channel, so that a lane can wait for a message, an assignment and a moment at once. What waits is bounded in bytes by the
// subscription's credit, which only Release gives back.
type pump struct {
	s    Stream
	ch   chan message
	done chan struct{}
	wg   sync.WaitGroup
}

// message is a message or the error that ends the stream.
type message struct {
	m   *capturev1.SubscribeResponse
	err error
}

// pumpDepth is in messages: enough small ones that a commit finds the next transactions ready.
const pumpDepth = 64

func newPump(s Stream) *pump {
	p := &pump{s: s, ch: make(chan message, pumpDepth), done: make(chan struct{})}
	p.wg.Go(func() {
		for {
			m, err := s.Recv()
			select {
			case p.ch <- message{m, err}:
			case <-p.done:
				if m != nil {
					s.Release(m)
				}
				return
			}
			if err != nil {
				return
			}
		}
	})
	return p
}

// idlePump never has a message.
func idlePump() *pump { return &pump{done: make(chan struct{})} }

// ready reports that a message can be had without waiting.
func (p *pump) ready() bool { return p != nil && len(p.ch) > 0 }

func (p *pump) close() {
	close(p.done)
	if p.s == nil {
		return
	}
	p.s.Close()
	p.wg.Wait()
	for {
		select {
		case m := <-p.ch:
			if m.m != nil {
				p.s.Release(m.m)
			}
		default:
			return
		}
	}
}
