//go:build failpoint

package failpoint

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Enabled says whether points can be armed in this build.
const Enabled = true

// File is the environment variable with the name of the file that says what is armed.
const File = "ROWMESH_FAILPOINTS"

// At does what is armed at a point.
func At(name string) error { return do(name, armed.reached(name)) }

func do(name, action string) error {
	delay, isDelay := strings.CutPrefix(action, "delay:")
	switch {
	case action == "crash":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case action == "pause":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(10 * time.Millisecond) // the signal stops the process within this call
	case action == "error":
		return errs.E(errs.Unavailable, "failpoint %s", name)
	case action == "panic":
		panic("failpoint " + name)
	case isDelay:
		d, err := time.ParseDuration(delay)
		if err != nil {
			panic(fmt.Sprintf("failpoint %s: %v", name, err))
		}
		time.Sleep(d)
	}
	return nil
}

// Is says whether a point is armed with "on".
func Is(name string) bool { return armed.reached(name) == "on" }

// Times says how often something is to be done: once, unless a point is armed with "drop" or "twice". Whatever else it is armed with is done before.
func Times(name string) int {
	switch action := armed.reached(name); action {
	case "drop":
		return 0
	case "twice":
		return 2
	default:
		_ = do(name, action)
		return 1
	}
}

// armed is the process's state. It is in test builds only; what is armed comes from outside, for whatever part of the process passes by.
var armed = &points{file: os.Getenv(File), seen: map[string]bool{}}

type points struct {
	file string

	mu     sync.Mutex
	looked time.Time // at the file
	stamp  time.Time // of the file as it was read
	size   int64
	rules  map[string]*rule
	seen   map[string]bool // reached at least once
}

// rule is a line of the file. after hits are passed over, then times hits do it.
type rule struct {
	action string
	after  int
	times  int
}

// lookEvery is how often the file is looked at, at most: a point may be passed a thousand times a second.
const lookEvery = 10 * time.Millisecond

func (p *points) reached(name string) string {
	if p.file == "" {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look()
	if !p.seen[name] {
		p.seen[name] = true
		p.note(name, "-")
	}
	r := p.rules[name]
	if r == nil {
		return ""
	}
	if r.after > 0 {
		r.after--
		return ""
	}
	if r.times == 0 {
		return ""
	}
	r.times--
	p.note(name, r.action)
	return r.action
}

// look reads the file if it has changed.
func (p *points) look() {
	now := time.Now()
	if now.Sub(p.looked) < lookEvery {
		return
	}
	p.looked = now
	st, err := os.Stat(p.file)
	if err != nil || st.ModTime().Equal(p.stamp) && st.Size() == p.size {
		return
	}
	f, err := os.Open(p.file)
	if err != nil {
		return
	}
	defer f.Close()
	p.stamp, p.size, p.rules = st.ModTime(), st.Size(), map[string]*rule{}
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) < 2 {
			continue
		}
		r := &rule{action: words[1], times: 1}
		for i, to := range []*int{&r.after, &r.times} {
			if len(words) > 2+i {
				if *to, err = strconv.Atoi(words[2+i]); err != nil {
					panic(fmt.Sprintf("failpoint file %s: %q: %v", p.file, s.Text(), err))
				}
			}
		}
		p.rules[words[0]] = r
	}
}

// note writes what happens to the file of hits.
func (p *points) note(name, action string) {
	f, err := os.OpenFile(p.file+".hits", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, name, action, os.Getpid())
}
