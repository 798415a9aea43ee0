package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rowmesh/rowmesh/integration/fault"
)

// chosen returns the faults that a schedule may have: those of the catalogue that can be healed and leave nothing behind, and those of this package.
func chosen(o options, a *adversary) (out []fault.Fault, err error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	for _, f := range append(fault.Catalogue(), a.own()...) {
		if !f.Alone && (o.long || !f.Long) && only.MatchString(f.String()) {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("-only %s: no fault has such a name", o.only)
	}
	return out, nil
}

// adversary does the faults that only a long run has.
type adversary struct {
	mu   sync.Mutex
	done []string // troubles that were done since take
}

// take returns the troubles that were done since it was called last.
func (a *adversary) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := a.done
	a.done = nil
	return done
}

// own are its faults: lanes that move, and several at once of what else happens one by one.
func (a *adversary) own() []fault.Fault {
	return []fault.Fault{
		{ID: "L1", Name: "another number of tasks", Do: tasks},
		{ID: "L2", Name: "publishers leave and come back", Do: leave},
		{ID: "L3", Name: "capturers leave and come back", Do: replace},
		{ID: "C1", Name: "two troubles at once", Do: func(s *fault.Stage, ctx context.Context) error { return a.together(s, ctx, 2) }},
		{ID: "C1", Name: "three troubles at once", Do: func(s *fault.Stage, ctx context.Context) error { return a.together(s, ctx, 3) }},
		{ID: "C1", Name: "six troubles, one every second", Do: a.rotated},
	}
}

// tasks gives the connector another number of lanes, so that tables move between them.
func tasks(s *fault.Stage, ctx context.Context) error {
	name := s.Load.Name
	code, body := s.Call(ctx, http.MethodGet, "/connectors/"+name+"/config", nil)
	var config map[string]string
	if err := json.NewDecoder(bytes.NewBufferString(body)).Decode(&config); code != http.StatusOK || err != nil {
		return fmt.Errorf("config of %s: %d %s", name, code, body)
	}
	n := 1 + s.Rnd.IntN(5)
	if n == s.Load.Tasks {
		n++
	}
	config["tasks.max"] = fmt.Sprint(n)
	if code, body := s.Call(ctx, http.MethodPut, "/connectors/"+name+"/config", config); code != http.StatusOK {
		return fmt.Errorf("tasks.max=%d: %d %s", n, code, body)
	}
	s.Load.Tasks = n
	return fault.Until(ctx, time.Minute, fmt.Sprintf("%d tasks", n), func() error { return s.Running(ctx, name, n) })
}

// leave asks all publishers but one to end, and waits until that one has all lanes; healing brings the others back.
func leave(s *fault.Stage, ctx context.Context) error {
	all := s.Names("publisher")
	stays := s.Rnd.IntN(len(all))
	for i, name := range all {
		if i != stays {
			if err := s.Stop(name); err != nil {
				return err
			}
		}
	}
	return s.Load.Recovered(ctx, time.Now(), 30*time.Second)
}

// replace ends and starts capturers one after the other.
func replace(s *fault.Stage, ctx context.Context) error {
	for _, name := range s.Names("capturer") {
		if err := s.Stop(name); err != nil {
			return err
		}
		if err := s.Load.Recovered(ctx, time.Now(), 30*time.Second); err != nil {
			return err
		}
		if err := s.Spawn(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// trouble is one of several that come at once; it lasts a moment and undoes itself where Heal does not.
type trouble struct {
	name string
	do   func(s *fault.Stage, ctx context.Context, rnd *rand.Rand) error
}

// troubles are all there are.
var troubles = [...]trouble{
	{"a process killed", func(s *fault.Stage, _ context.Context, rnd *rand.Rand) error { return s.Kill(anyOf(s, rnd)) }},
	{"a process killed and started", func(s *fault.Stage, ctx context.Context, rnd *rand.Rand) error { return s.Bounce(ctx, anyOf(s, rnd)) }},
	{"a process stopped", func(s *fault.Stage, ctx context.Context, rnd *rand.Rand) error {
		name := anyOf(s, rnd)
		if err := s.Signal(name, syscall.SIGSTOP); err != nil {
			return err
		}
		wait(ctx, time.Duration(1+rnd.IntN(8))*time.Second)
		return s.Signal(name, syscall.SIGCONT)
	}},
	{"the source restarted", func(s *fault.Stage, ctx context.Context, _ *rand.Rand) error {
		return s.Bounce(ctx, s.Primary(fault.Source))
	}},
	{"a broker killed and started", func(s *fault.Stage, ctx context.Context, rnd *rand.Rand) error {
		return s.Bounce(ctx, fmt.Sprintf("kafka-%d", 1+rnd.IntN(2)))
	}},
	{"a member of etcd killed", func(s *fault.Stage, ctx context.Context, rnd *rand.Rand) error {
		return s.Bounce(ctx, fmt.Sprintf("etcd-%d", 1+rnd.IntN(3)))
	}},
	{"connections reset", func(s *fault.Stage, ctx context.Context, rnd *rand.Rand) error {
		for range 5 {
			s.Net.Apply(fault.Rule{From: anyOf(s, rnd), Reset: true}).Heal()
			wait(ctx, 500*time.Millisecond)
		}
		return nil
	}},
	{"a wire held", rule(func(from string, rnd *rand.Rand) fault.Rule {
		return fault.Rule{From: from, To: []string{"kafka-*", "etcd-*", "capturer-*", fault.Source}[rnd.IntN(4)], Hold: []fault.Way{fault.Up, fault.Down, fault.Both}[rnd.IntN(3)]}
	})},
	{"slow wires", rule(func(from string, rnd *rand.Rand) fault.Rule {
		return fault.Rule{From: from, Delay: time.Duration(20+rnd.IntN(200)) * time.Millisecond, Jitter: 20 * time.Millisecond}
	})},
	{"commits answered late", rule(func(from string, rnd *rand.Rand) fault.Rule {
		return fault.Rule{From: "publisher-*", To: "kafka-*", Kafka: &fault.Requests{Keys: []int16{fault.EndTxn}, Treat: fault.Late, Delay: time.Duration(rnd.IntN(1000)) * time.Millisecond}, Times: 5}
	})},
	{"requests lost", rule(func(from string, rnd *rand.Rand) fault.Rule {
		return fault.Rule{From: "publisher-*", To: "kafka-*", Kafka: &fault.Requests{Keys: []int16{fault.Produce, fault.AddPartitionsToTxn, fault.InitProducerID}, Treat: fault.LoseResponse}, Times: 8}
	})},
}

// rule is a trouble on the wires of a process for some seconds.
func rule(f func(from string, rnd *rand.Rand) fault.Rule) func(*fault.Stage, context.Context, *rand.Rand) error {
	return func(s *fault.Stage, ctx context.Context, rnd *rand.Rand) error {
		a := s.Net.Apply(f(anyOf(s, rnd), rnd))
		defer a.Heal()
		wait(ctx, time.Duration(2+rnd.IntN(8))*time.Second)
		return nil
	}
}

// anyOf is a member of the mesh that runs.
func anyOf(s *fault.Stage, rnd *rand.Rand) string {
	var alive []string
	for _, role := range []string{"publisher", "publisher", "capturer", "coordinator"} {
		for _, name := range s.Names(role) {
			if s.Alive(name) {
				alive = append(alive, name)
			}
		}
	}
	if len(alive) == 0 {
		return ""
	}
	return alive[rnd.IntN(len(alive))]
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d): // the fault lasts so long
	}
}

// try does a trouble, and keeps its name if it could be done.
func (a *adversary) try(s *fault.Stage, ctx context.Context, t trouble, rnd *rand.Rand) error {
	if err := t.do(s, ctx, rnd); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, "C1 among others: "+t.name)
	return nil
}

// together does several troubles at once. What one of them meets may be gone by another, which is what they are for: only if nothing could be done that is an error.
func (a *adversary) together(s *fault.Stage, ctx context.Context, n int) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		t, rnd := troubles[s.Rnd.IntN(len(troubles))], rand.New(rand.NewPCG(s.Rnd.Uint64(), 1))
		wg.Go(func() {
			wait(ctx, time.Duration(rnd.IntN(2000))*time.Millisecond)
			errs[i] = a.try(s, ctx, t, rnd)
		})
	}
	wg.Wait()
	if !slices.Contains(errs, nil) {
		return fmt.Errorf("none of them could be done: %w", errors.Join(errs...))
	}
	return nil
}

// rotated begins a trouble every second, whatever the ones before it do.
func (a *adversary) rotated(s *fault.Stage, ctx context.Context) error {
	const n = 6
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		t, rnd := troubles[s.Rnd.IntN(len(troubles))], rand.New(rand.NewPCG(s.Rnd.Uint64(), 1))
		wg.Go(func() { errs[i] = a.try(s, ctx, t, rnd) })
		wait(ctx, time.Second)
	}
	wg.Wait()
	if !slices.Contains(errs, nil) {
		return fmt.Errorf("none of them could be done: %w", errors.Join(errs...))
	}
	return nil
}
