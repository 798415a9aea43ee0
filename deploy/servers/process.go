package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a server that runs.
type Process struct {
	// Name says what it is: "MySQL 9.7.4 (Debian)".
	Name string
	// Addr is the host:port that clients use.
	Addr string
	// LogFile holds what it prints.
	LogFile string

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; set before done is closed
	grip time.Duration // how long a stop may take before it is killed
}

// Spawn starts argv in dir with its output in logFile. Stop gives it grip to end. The process gets SIGKILL when this process dies: the kernel ties that to the thread that forked,
// so the fork and the wait share a locked thread.
func Spawn(name, dir, logFile string, env []string, grip time.Duration, argv ...string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	p := &Process{Name: name, LogFile: logFile, done: make(chan struct{}), grip: grip}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.Env = append(os.Environ(), env...)
	// Own group: Ctrl-C in the terminal reaches this process only, which then stops the servers in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		log.Close()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended; nil before that and after exit code 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the process at once.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks the process to end and kills it if it does not in time.
func (p *Process) Stop() { p.StopWithin(p.grip) }

// StopWithin is Stop with another time. Databases and brokers recover from being killed; it takes them a moment at the next start.
func (p *Process) StopWithin(grip time.Duration) {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grip):
		p.Kill()
	}
}

// Await waits until ready returns nil. It fails early, with the end of the log, when the process ends.
func (p *Process) Await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			b, _ := os.ReadFile(p.LogFile)
			return fmt.Errorf("%s ended while starting: %s", p.Name, tail(b))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s (log: %s): %w", p.Name, limit, p.LogFile, err)
		case <-time.After(50 * time.Millisecond): // a server announces nothing when it is ready
		}
	}
}

// FreePort returns a TCP port of loopback that nobody listens on now.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
