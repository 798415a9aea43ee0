package fault

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rowmesh/rowmesh/services/failpoint"
	"github.com/rowmesh/rowmesh/services/lease"
)

// beyondLease is long enough for a member's lease to end, and for etcd to notice.
const beyondLease = lease.DefaultTTL + 2*time.Second

// processFaults are group P.
func processFaults() []Fault {
	out := []Fault{
		{ID: "P1", Name: "publisher killed", Do: killed((*Stage).worker)},
		{ID: "P2", Name: "publisher stopped past its lease, then continued", Do: (*Stage).zombie},
		{ID: "P3", Name: "publisher stopped between rows and commit, past its lease", Do: atPoint((*Stage).worker, failpoint.CommitBefore, "pause", beyondLease)},
		{ID: "P3", Name: "publisher stopped right after a commit, past its lease", Long: true, Do: atPoint((*Stage).worker, failpoint.CommitAfter, "pause", beyondLease)},
		{ID: "P4", Name: "publisher stopped for less than its lease", Do: (*Stage).shortStop},
		{ID: "P5", Name: "a machine frozen: one of each role stopped past its lease", Long: true, Do: (*Stage).frozen},
		{ID: "P6", Name: "capturer dies between the messages of transactions", Do: crashAt((*Stage).capturer, failpoint.Send, 7)},
		{ID: "P7", Name: "capturer stopped longer than the server waits for it", Alone: true, Long: true, Do: (*Stage).capturerStopped},
		{ID: "P8", Name: "leading coordinator killed", Do: (*Stage).leaderKilled},
		{ID: "P8", Name: "leading coordinator stopped past its lease", Do: (*Stage).leaderStopped},
		{ID: "P9", Name: "all coordinators away", Do: (*Stage).noCoordinator},
		{ID: "P10", Name: "publisher killed again and again", Long: true, Do: (*Stage).crashLoop},
		{ID: "P11", Name: "no memory for a publisher", Long: true, Do: (*Stage).noMemory},
		{ID: "P12", Name: "publisher panics at a batch", Do: (*Stage).panics},
		{ID: "P13", Name: "all processes replaced one by one", Do: (*Stage).rolling},
		{ID: "P14", Name: "two publishers with one id", Alone: true, Long: true, Do: (*Stage).twin},
		{ID: "P15", Name: "no file descriptors for a capturer", Do: (*Stage).noFiles},
		{ID: "P1", Name: "capturer killed", Do: killed((*Stage).capturer)},
	}
	for i, point := range []string{failpoint.CommitBefore, failpoint.CommitAfter, failpoint.ProduceAfter, failpoint.BeginAfter, failpoint.CheckpointAfter, failpoint.AckBefore} {
		out = append(out, Fault{ID: "P1", Name: "publisher dies at " + point, Long: i > 2, Do: crashAt((*Stage).worker, point, 3)})
	}
	for _, point := range []string{failpoint.FenceBefore, failpoint.FenceAfter, failpoint.ConfirmAfter, failpoint.ReadAfter, failpoint.SubscribeAfter, failpoint.ReleaseAfter} {
		out = append(out, Fault{ID: "P1", Name: "publisher dies at " + point, Long: true, Do: crashAtStart(point)})
	}
	for _, point := range []string{failpoint.BeginBefore, failpoint.ProduceBefore, failpoint.CheckpointBefore, failpoint.CommitBefore, failpoint.CommitAfter} {
		out = append(out, Fault{ID: "P1", Name: "publisher fails at " + point, Long: true, Do: atPoint((*Stage).worker, point, "error", 0)})
	}
	return out
}

// pick chooses a process.
type pick func(*Stage, context.Context) (string, error)

// killed kills a process for good: somebody else must take over. It comes back when all is healed.
func killed(who pick) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := who(s, ctx)
		if err != nil {
			return err
		}
		if err := s.Kill(name); err != nil {
			return err
		}
		begin := time.Now()
		if err := s.Load.Recovered(ctx, begin, 30*time.Second); err != nil {
			return err
		}
		s.Log("%s killed: changes of all tables again after %.2f s", name, time.Since(begin).Seconds())
		return nil
	}
}

// crashAt lets a process die at a point, and starts it again.
func crashAt(who pick, point string, after int) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := who(s, ctx)
		if err != nil {
			return err
		}
		if err := s.AtPoint(ctx, name, point, "crash", after); err != nil {
			return err
		}
		return s.ended(ctx, name)
	}
}

// ended waits until a process has ended by itself.
func (s *Stage) ended(ctx context.Context, name string) error {
	select {
	case <-s.Process(name).Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s should have died", name)
	}
}

// crashAtStart lets a publisher die at a step that it does at the start of a lane only.
func crashAtStart(point string) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := s.worker(ctx)
		if err != nil {
			return err
		}
		before := s.PointHits(name, point)
		if err := s.Arm(name, point+" crash"); err != nil {
			return err
		}
		if err := s.RestartTasks(ctx, s.Load.Name); err != nil {
			return err
		}
		if err := s.ended(ctx, name); err != nil {
			return err
		}
		if s.PointHits(name, point) == before {
			return fmt.Errorf("%s has not died at %s", name, point)
		}
		return nil
	}
}

// atPoint lets a process do something at a point, and waits.
func atPoint(who pick, point, action string, wait time.Duration) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := who(s, ctx)
		if err != nil {
			return err
		}
		if err := s.AtPoint(ctx, name, point, action, 2); err != nil {
			return err
		}
		return s.pause(ctx, wait, wait)
	}
}

// stopped stops processes for a time.
func (s *Stage) stopped(ctx context.Context, short, long time.Duration, names ...string) error {
	for _, name := range names {
		if err := s.Signal(name, syscall.SIGSTOP); err != nil {
			return err
		}
		defer s.Process(name).Signal(syscall.SIGCONT)
	}
	return s.pause(ctx, short, long)
}

func (s *Stage) zombieOf(ctx context.Context) (string, error) {
	name, err := s.worker(ctx)
	if err != nil {
		return "", err
	}
	if err := s.Signal(name, syscall.SIGSTOP); err != nil {
		return "", err
	}
	begin := time.Now()
	if err := s.Load.Recovered(ctx, begin, 40*time.Second); err != nil { // somebody else has all of it
		return "", err
	}
	s.Log("%s stopped: changes of all tables again after %.2f s", name, time.Since(begin).Seconds())
	return name, nil
}

func (s *Stage) zombie(ctx context.Context) error {
	name, err := s.zombieOf(ctx)
	if err != nil {
		return err
	}
	return s.Signal(name, syscall.SIGCONT)
}

func (s *Stage) shortStop(ctx context.Context) error {
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	before, err := s.leaseOf(ctx, name)
	if err != nil {
		return err
	}
	if err := s.stopped(ctx, lease.DefaultTTL/4, lease.DefaultTTL/2, name); err != nil { // a third of it may be over before
		return err
	}
	if err := s.flows(ctx, flowLimit); err != nil {
		return err
	}
	after, err := s.leaseOf(ctx, name)
	if err == nil && after != before {
		err = fmt.Errorf("%s has lost its lease, whose time was not over", name)
	}
	return err
}

func (s *Stage) frozen(ctx context.Context) error {
	publisher, err := s.worker(ctx)
	if err != nil {
		return err
	}
	capturer, err := s.capturer(ctx)
	if err != nil {
		return err
	}
	return s.stopped(ctx, beyondLease, 30*time.Second, publisher, capturer, s.Names("coordinator")[s.Rnd.IntN(s.Coordinators)])
}

func (s *Stage) capturerStopped(ctx context.Context) error {
	name, err := s.capturer(ctx)
	if err != nil {
		return err
	}
	server := s.Primary(s.Load.Proxy)
	if err := s.Exec(ctx, server, "set global net_write_timeout=2"); err != nil {
		return err
	}
	if err := s.stopped(ctx, beyondLease, 90*time.Second, name); err != nil {
		return err
	}
	return s.Exec(ctx, server, "set global net_write_timeout=default")
}

// leader returns the coordinator that leads.
func (s *Stage) leader(ctx context.Context) (name string, err error) {
	err = Until(ctx, 20*time.Second, "a leading coordinator", func() error {
		id, err := s.leaderID(ctx)
		if err == nil && !s.Alive(id) {
			err = fmt.Errorf("%q leads and does not run", id)
		}
		name = id
		return err
	})
	return name, err
}

func (s *Stage) leaderKilled(ctx context.Context) error {
	name, err := s.leader(ctx)
	if err != nil {
		return err
	}
	if err := s.Kill(name); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.flows(ctx, flowLimit); err != nil { // nobody else is concerned
		return err
	}
	next, err := s.leader(ctx)
	if err != nil {
		return err
	}
	s.Log("%s killed: %s leads after %.2f s, changes went on", name, next, time.Since(begin).Seconds())
	return nil
}

func (s *Stage) leaderStopped(ctx context.Context) error {
	name, err := s.leader(ctx)
	if err != nil {
		return err
	}
	if err := s.Signal(name, syscall.SIGSTOP); err != nil {
		return err
	}
	defer s.Process(name).Signal(syscall.SIGCONT)
	err = Until(ctx, 30*time.Second, "another leader", func() error {
		if id, err := s.leaderID(ctx); err != nil || id == name || id == "" {
			return fmt.Errorf("%q leads: %w", id, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.flows(ctx, flowLimit)
}

func (s *Stage) noCoordinator(ctx context.Context) error {
	for _, name := range s.Names("coordinator") {
		if err := s.Kill(name); err != nil {
			return err
		}
	}
	if err := s.flows(ctx, flowLimit); err != nil {
		return err
	}
	if err := s.pause(ctx, time.Second, 3*time.Minute); err != nil {
		return err
	}
	return s.flows(ctx, flowLimit)
}

func (s *Stage) crashLoop(ctx context.Context) error {
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	rounds, every := 4, time.Second
	if s.Long {
		rounds, every = 40, 3*time.Second
	}
	for range rounds {
		if err := s.Bounce(ctx, name); err != nil {
			return err
		}
		if err := s.pause(ctx, every, every); err != nil {
			return err
		}
	}
	return nil
}

// noMemory gives a publisher no more memory than it has, and a large transaction to eat. It may live through that, as its memory is bounded, or die of it.
func (s *Stage) noMemory(ctx context.Context) error {
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	pid := s.Process(name).PID()
	var data uint64
	if data, err = writableBytes(pid); err != nil {
		return err
	}
	back, err := limit(pid, unix.RLIMIT_DATA, data+4<<20)
	if err != nil {
		return fmt.Errorf("limit the memory of %s: %w", name, err)
	}
	if err := s.big(ctx, 20_000); err != nil {
		return err
	}
	if err := back(); err != nil && s.Alive(name) {
		return err
	}
	return nil
}

// limit lowers a limit of a process; back raises it again.
func limit(pid, resource int, to uint64) (back func() error, err error) {
	var old unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &old); err != nil {
		return nil, err
	}
	now := old
	now.Cur = min(to, old.Max)
	return func() error { return unix.Prlimit(pid, resource, &old, nil) }, unix.Prlimit(pid, resource, &now, nil)
}

func (s *Stage) panics(ctx context.Context) error {
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	if err := s.AtPoint(ctx, name, failpoint.Convert, "panic", 2); err != nil {
		return err
	}
	if !s.Alive(name) {
		return errors.New("a batch that one lane cannot convert has ended the whole process")
	}
	err = s.Failed(ctx, s.Load.Name, 20*time.Second, failpoint.Convert)
	if err != nil {
		return err
	}
	s.disarm()
	return s.RestartTasks(ctx, s.Load.Name)
}

// rolling replaces each process of the mesh by one of the same program, or of another version where there is one.
func (s *Stage) rolling(ctx context.Context) error {
	for _, role := range []string{"coordinator", "capturer", "publisher"} {
		for _, name := range s.Names(role) {
			begin := time.Now()
			if err := s.Stop(name); err != nil {
				return err
			}
			if took := time.Since(begin); took > endLimit {
				return fmt.Errorf("%s took %s to end", name, took)
			}
			if err := s.Spawn(ctx, name); err != nil {
				return err
			}
			if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
				return err
			}
		}
	}
	return nil
}

// twin starts a second publisher with the id of one that runs.
func (s *Stage) twin(ctx context.Context) error {
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	m := s.Members[name]
	m.Args = append(m.Args[:len(m.Args):len(m.Args)], "-listen", local(ports[0]), "-advertise", local(ports[0])) // the last one counts
	p, err := s.spawnMember(name+"-twin", m, s.Program)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := s.pause(ctx, beyondLease, 30*time.Second); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return fmt.Errorf("the twin ended: %v", p.Err())
	default:
		return nil
	}
}

// noFiles leaves a capturer the descriptors that it has, and ends its connections, so that it needs new ones.
func (s *Stage) noFiles(ctx context.Context) error {
	name, err := s.capturer(ctx)
	if err != nil {
		return err
	}
	pid := s.Process(name).PID()
	back, err := limit(pid, unix.RLIMIT_NOFILE, 8)
	if err != nil {
		return fmt.Errorf("limit the descriptors of %s: %w", name, err)
	}
	err = s.apply(ctx, Rule{From: name, Reset: true}, 2*time.Second, 20*time.Second)
	if berr := back(); err == nil && s.Alive(name) {
		err = berr
	}
	return err
}
