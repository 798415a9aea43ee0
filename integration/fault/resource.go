package fault

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rowmesh/rowmesh/services/failpoint"
)

// streamFaults are group G.
func streamFaults() []Fault {
	return []Fault{
		{ID: "G1", Name: "a message of the row stream is left out", Do: message("drop")},
		{ID: "G1", Name: "a message of the row stream comes twice", Do: message("twice")},
		{ID: "G5", Name: "what was sent never arrives, as the publisher dies", Do: crashAt((*Stage).worker, failpoint.Convert, 2)},
	}
}

// message does something to one message of the row stream, which the publisher must notice.
func message(action string) func(*Stage, context.Context) error {
	return func(s *Stage, ctx context.Context) error {
		name, err := s.capturer(ctx)
		if err != nil {
			return err
		}
		return s.AtPoint(ctx, name, failpoint.Send, action, 5)
	}
}

// resourceFaults are groups D and T.
func resourceFaults() []Fault { return nil }

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
