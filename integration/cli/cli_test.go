// Package cli runs the rowmesh command line as processes, against a mesh of real processes and databases.
package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// result is what a command that ended has said.
type result struct {
	code           int
	stdout, stderr string
}

// rowmesh runs a command line with stdin until it ends.
func rowmesh(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := harness.Command(ctx, t, args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// succeeds runs a command line that must succeed and returns what it printed.
func succeeds(t *testing.T, args ...string) string {
	t.Helper()
	r := rowmesh(t, "", args...)
	if r.code != 0 {
		t.Fatalf("%v: exit code %d, %s", args, r.code, r.stderr)
	}
	return r.stdout
}

// refused checks that r failed with a message that holds all words.
func refused(t *testing.T, r result, words ...string) {
	t.Helper()
	if r.code != 1 && r.code != 2 || r.stdout != "" {
		t.Errorf("exit code %d, output %q", r.code, r.stdout)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("%q does not say %q", r.stderr, w)
		}
	}
}

// running is a command that runs, with what it has printed.
type running struct {
	cmd   *exec.Cmd
	ended chan error

	mu    sync.Mutex
	lines []string // of standard output
	notes string   // standard error
}

// start starts a command line; it is interrupted at the end of the test, if not before.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{cmd: harness.Command(context.Background(), t, args...), ended: make(chan error, 1)}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		for s := bufio.NewScanner(stdout); s.Scan(); {
			r.mu.Lock()
			r.lines = append(r.lines, s.Text())
			r.mu.Unlock()
		}
	})
	readers.Go(func() {
		for s := bufio.NewScanner(stderr); s.Scan(); {
			r.mu.Lock()
			r.notes += s.Text() + "\n"
			r.mu.Unlock()
		}
	})
	go func() {
		readers.Wait()
		r.ended <- r.cmd.Wait()
	}()
	t.Cleanup(func() { r.interrupt(t) })
	return r
}

// interrupt ends the command as Ctrl-C does; it must end well, and soon.
func (r *running) interrupt(t *testing.T) {
	t.Helper()
	if r.cmd == nil {
		return
	}
	r.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("%v after an interrupt: %v\n%s", r.cmd.Args[1:], err, r.said())
		}
	case <-time.After(15 * time.Second):
		r.cmd.Process.Kill()
		t.Errorf("%v does not end", r.cmd.Args[1:])
	}
	r.cmd = nil
}

func (r *running) printed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[:len(r.lines):len(r.lines)]
}

func (r *running) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes
}

// await waits until the command has printed a line that holds text, and returns all lines so far.
func (r *running) await(t *testing.T, text string) []string {
	t.Helper()
	var lines []string
	harness.Await(t, 20*time.Second, "a line with "+text, func() error {
		lines = r.printed()
		for _, l := range lines {
			if strings.Contains(l, text) {
				return nil
			}
		}
		return fmt.Errorf("printed %q, said %q", lines, r.said())
	})
	return lines
}

// database is a database with root's rights, made anew.
func database(t *testing.T, addr, name string, statements ...string) *client.Conn {
	t.Helper()
	c, err := client.Connect(addr, servers.RootUser, "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	run(t, c, append([]string{"drop database if exists " + name, "create database " + name}, statements...)...)
	return c
}

func run(t *testing.T, c *client.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := c.Execute(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}
