package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/integration/fault"
)

// base is what the processes of a mesh had when nothing ran on them, so that what they keep for ever is seen.
type base struct {
	c     *fault.Cluster
	first map[string]usage // by role: the most of any member after the first round
}

// usage is what a process has.
type usage struct {
	goroutines, files int
	residentMB        int
}

// What a member may have more than the base of its role: connections that a registry or a driver keeps for a while, and the heap's own rhythm.
const (
	moreGoroutines = 60
	moreFiles      = 30
	moreMB         = 120
)

// idleLimit is how long a member may take to let go of what a deleted connector had.
const idleLimit = 40 * time.Second

// compare says which members have more than after the first round.
func (b *base) compare(ctx context.Context) (bad []string) {
	ctx = context.WithoutCancel(ctx)
	wait(ctx, 5*time.Second) // connections that idle end
	if b.first == nil {
		all, err := b.look(ctx)
		if err != nil {
			return []string{fmt.Sprintf("what processes have: %v", err)}
		}
		b.first = map[string]usage{}
		for name, u := range all {
			old := b.first[role(name)]
			b.first[role(name)] = usage{max(old.goroutines, u.goroutines), max(old.files, u.files), max(old.residentMB, u.residentMB)}
		}
		return nil
	}
	err := fault.Until(ctx, idleLimit, "goroutines, files and memory to go back", func() error {
		bad = nil
		all, err := b.look(ctx)
		if err != nil {
			return err
		}
		for name, u := range all {
			f := b.first[role(name)]
			if u.goroutines > f.goroutines+moreGoroutines || u.files > f.files+moreFiles || u.residentMB > f.residentMB+moreMB {
				bad = append(bad, fmt.Sprintf("%s has %d goroutines, %d files and %d MB; the base is %d, %d and %d (I14)", name, u.goroutines, u.files, u.residentMB, f.goroutines, f.files, f.residentMB))
			}
		}
		if len(bad) > 0 {
			return fmt.Errorf("%v", bad)
		}
		return nil
	})
	if err != nil && len(bad) == 0 {
		bad = []string{err.Error()}
	}
	return bad
}

func role(member string) string { name, _, _ := strings.Cut(member, "-"); return name }

// look asks all members that run.
func (b *base) look(ctx context.Context) (map[string]usage, error) {
	out := map[string]usage{}
	for name := range b.c.Members {
		if !b.c.Alive(name) {
			continue
		}
		addr, err := address(b.c.Dir, name)
		if err != nil {
			return nil, err
		}
		if out[name], err = metrics(ctx, addr); err != nil {
			return nil, fmt.Errorf("metrics of %s: %w", name, err)
		}
	}
	return out, nil
}

// address reads from a member's newest log where its metrics are.
func address(dir, member string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, member+".*.log"))
	if err != nil {
		return "", err
	}
	addr, newest := "", time.Time{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return "", err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		_, line, started := strings.Cut(string(text), "msg=started ")
		_, line, found := strings.Cut(line, " http=")
		if started && found && info.ModTime().After(newest) {
			newest = info.ModTime()
			addr, _, _ = strings.Cut(line, " ")
		}
	}
	if addr == "" {
		return "", fmt.Errorf("%s has not said where its metrics are", member)
	}
	return addr, nil
}

// metrics reads a process's metrics.
func metrics(ctx context.Context, addr string) (u usage, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return u, err
	}
	p, err := http.DefaultClient.Do(q)
	if err != nil {
		return u, err
	}
	defer p.Body.Close()
	for s := bufio.NewScanner(p.Body); s.Scan(); {
		name, text, _ := strings.Cut(s.Text(), " ")
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		switch name {
		case "go_goroutines":
			u.goroutines = int(v)
		case "process_open_fds":
			u.files = int(v)
		case "process_resident_memory_bytes":
			u.residentMB = int(v) >> 20
		}
	}
	if u.goroutines == 0 || u.files == 0 || u.residentMB == 0 {
		return u, fmt.Errorf("%s does not tell goroutines, files or memory", addr)
	}
	return u, nil
}
