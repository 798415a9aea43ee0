package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Fault is one entry of the catalogue.
type Fault struct {
	// ID is its number: "N4". Several faults may be variants of one.
	ID string
	// Name says what is done.
	Name string
	// Long: it takes so long, or needs so much, that the tests do it only where ROWMESH_FULL=1 is set.
	Long bool
	// Alone: it may not be joined with others, nor come in a random schedule, because it asks for something exact or leaves something behind.
	Alone bool
	// OneLane: more than one lane of the load would tell some changes again, as their documentation says.
	OneLane bool
	// Do does it, verifies that it took effect, and heals what Cluster.Heal does not. What must hold while it lasts is an error too if it does not.
	Do func(s *Stage, ctx context.Context) error
}

func (f Fault) String() string { return f.ID + " " + f.Name }

// Stage is where a fault is done.
type Stage struct {
	*Cluster
	// Load is what is written meanwhile; all its tables get changes all the time.
	Load *Load
	// Rnd is the schedule's.
	Rnd *rand.Rand
	// Long makes faults last as long as the catalogue says, instead of just long enough.
	Long bool
}

// Catalogue returns all faults that are done to a running load, in the order of their groups.
func Catalogue() []Fault {
	return slices.Concat(processFaults(), networkFaults(), etcdFaults(), kafkaFaults(), databaseFaults(), streamFaults(), resourceFaults())
}

// Group returns the faults whose ids begin with a letter.
func Group(letters string) (out []Fault) {
	for _, f := range Catalogue() {
		for _, l := range letters {
			if f.ID[0] == byte(l) {
				out = append(out, f)
			}
		}
	}
	return out
}

// flowLimit is how long a load may have no change of some table while nothing of the data plane is touched: many times the moment between two changes, for a machine that is
// busy with something else. endLimit is how long a process may take to end that was asked to: 5 s is what it is built for, and the rest is such a machine's.
const (
	flowLimit = 15 * time.Second
	endLimit  = 8 * time.Second
)

// settleLimit is how long a load may take to be well again.
const settleLimit = time.Minute

// Run does a fault, heals everything, and waits until the load is well again. It returns how long that took from the healing on.
func (s *Stage) Run(ctx context.Context, f Fault) (settled time.Duration, err error) {
	begin := time.Now()
	err = f.Do(s, ctx)
	s.Load.Note(f.String(), "", begin)
	if herr := s.Heal(ctx); err == nil {
		err = herr
	}
	healed := time.Now()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", f, err)
	}
	if err := s.Load.Settled(ctx, settleLimit); err != nil {
		return 0, fmt.Errorf("%s: after healing: %w", f, err)
	}
	s.Log("%-60s %5.1f s, well again after %.1f s", f, time.Since(begin).Seconds(), time.Since(healed).Seconds())
	return time.Since(healed), nil
}

// pause lets a fault last: short in the tests, long in the long tier.
func (s *Stage) pause(ctx context.Context, short, long time.Duration) error {
	d := short
	if s.Long {
		d = long
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// worker returns a publisher that has a task of the load.
func (s *Stage) worker(ctx context.Context) (name string, err error) {
	task := s.Rnd.IntN(s.Load.Tasks)
	err = Until(ctx, 20*time.Second, "a publisher of the load", func() error {
		name, err = s.WorkerOf(ctx, s.Load.Name, task)
		return err
	})
	return name, err
}

// capturer returns the capturer that reads the load's source.
func (s *Stage) capturer(ctx context.Context) (name string, err error) {
	err = Until(ctx, 20*time.Second, "the capturer of the load", func() error {
		name, err = s.CapturerOf(s.Load.Proxy)
		return err
	})
	return name, err
}

// apply puts a rule in force for a time and fails if it has done nothing.
func (s *Stage) apply(ctx context.Context, r Rule, short, long time.Duration) error {
	a := s.Net.Apply(r)
	defer a.Heal()
	if err := s.pause(ctx, short, long); err != nil {
		return err
	}
	if a.Hits() == 0 {
		return fmt.Errorf("the rule from %q to %q has met nothing", r.From, r.To)
	}
	return nil
}

// applyUntil puts a rule in force until it has done something n times, and then for a moment more.
func (s *Stage) applyUntil(ctx context.Context, r Rule, n int64, limit time.Duration) error {
	a := s.Net.Apply(r)
	defer a.Heal()
	return Until(ctx, limit, fmt.Sprintf("a rule from %q to %q to take effect", r.From, r.To), func() error {
		if got := a.Hits(); got < n {
			return fmt.Errorf("%d of %d times", got, n)
		}
		return nil
	})
}

// flows fails if no change comes for a while although one must: the load's data plane may not have noticed anything.
func (s *Stage) flows(ctx context.Context, limit time.Duration) error {
	if err := s.Load.Recovered(ctx, time.Now(), limit); err != nil {
		return fmt.Errorf("data should go on: %w", err)
	}
	return nil
}
