package fault

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// resourceFaults are groups D and T.
func resourceFaults() []Fault {
	return []Fault{
		{ID: "D1", Name: "no space for a publisher's log", Do: noSpaceFor((*Stage).worker)},
		{ID: "D1", Name: "no space for a capturer's log", Long: true, Do: noSpaceFor((*Stage).capturer)},
		{ID: "D3", Name: "no processor time to spare", Do: (*Stage).starved},
		{ID: "T2", Name: "a publisher whose clocks are a day ahead", Long: true, Do: (*Stage).clockAhead},
	}
}

// noSpaceFor lets no file of a process grow: all that it writes is its log, which must not matter.
func noSpaceFor(who pick) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := who(s, ctx)
		if err != nil {
			return err
		}
		back, err := limit(s.Process(name).PID(), unix.RLIMIT_FSIZE, 1)
		if err != nil {
			return fmt.Errorf("limit the files of %s: %w", name, err)
		}
		if err := s.apply(ctx, Rule{From: name, Reset: true}, 2*time.Second, 30*time.Second); err != nil { // something to log
			return err
		}
		if !s.Alive(name) {
			return fmt.Errorf("%s has ended because it could not write its log", name)
		}
		return back()
	}
}

// starved takes the processors away with loops that do nothing.
func (s *Stage) starved(ctx context.Context) error {
	for i := range 4 * runtime.NumCPU() {
		p, err := servers.Spawn(fmt.Sprintf("loop-%d", i), s.Dir, s.logFile("loop"), nil, time.Second, "sh", "-c", "while :; do :; done")
		if err != nil {
			return err
		}
		defer p.Kill()
	}
	return s.pause(ctx, 4*time.Second, time.Minute)
}

// clockAhead starts a publisher again in a time namespace of its own.
func (s *Stage) clockAhead(ctx context.Context) error {
	name, err := s.worker(ctx)
	if err != nil {
		return err
	}
	if err := s.Kill(name); err != nil {
		return err
	}
	m := s.Members[name]
	args := append([]string{"unshare", "-T", "--monotonic", "86400", "--boottime", "86400", s.Program}, m.Args...)
	p, err := servers.Spawn(name, s.Dir, s.logFile(name), []string{"ROWMESH_FAILPOINTS=" + s.pointFile(name)}, 10*time.Second, args...)
	if err != nil {
		return fmt.Errorf("a process with clocks of its own: %w", err)
	}
	s.mu.Lock()
	s.procs[name] = p
	s.mu.Unlock()
	if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
		return err
	}
	for _, other := range s.Names("publisher") { // its turn
		if other != name {
			if err := s.Kill(other); err != nil {
				return err
			}
		}
	}
	if err := s.Load.Recovered(ctx, time.Now(), settleLimit); err != nil {
		return err
	}
	if !s.Alive(name) {
		return fmt.Errorf("%s with clocks of its own has ended: %v", name, p.Err())
	}
	return s.Kill(name)
}

// big commits one transaction of n rows in a table of its own, and waits until all have come.
func (s *Stage) big(ctx context.Context, n int) error {
	table := fmt.Sprintf("big%d", s.Rnd.IntN(1_000_000))
	conn, err := s.Session(ctx, s.Primary(s.Load.Proxy))
	if err != nil {
		return err
	}
	defer conn.Close()
	name := s.Load.W.Database + "." + table
	if _, err := conn.Execute("create table " + name + " (k bigint primary key, version bigint not null, pad varchar(1000))"); err != nil {
		return err
	}
	if err := conn.Begin(); err != nil {
		return err
	}
	const each = 1000
	for from := 0; from < n; from += each {
		var b strings.Builder
		b.WriteString("insert into " + name + " values ")
		for k := from; k < min(from+each, n); k++ {
			if k > from {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d,1,'%s')", k, strings.Repeat("b", 800))
		}
		if _, err := conn.Execute(b.String()); err != nil {
			return err
		}
	}
	if err := conn.Commit(); err != nil {
		return err
	}
	return Until(ctx, 2*settleLimit, fmt.Sprintf("%d rows of one transaction", n), func() error {
		all, err := s.Load.Events(table)
		if err != nil {
			return err
		}
		for i, x := range all {
			if x.Key != int64(i) {
				return fmt.Errorf("row %d is key %d", i, x.Key)
			}
		}
		if len(all) != n {
			return fmt.Errorf("%d came", len(all))
		}
		return nil
	})
}

// writableBytes returns what of a process's memory RLIMIT_DATA counts.
func writableBytes(pid int) (uint64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmData:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmData", pid)
}
