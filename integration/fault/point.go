package fault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func (c *Cluster) pointFile(name string) string { return filepath.Join(c.Dir, name+".points") }

// Arm arms failpoints of a process, a line each, and disarms all others of it: see package services/failpoint.
func (c *Cluster) Arm(name string, lines ...string) error {
	c.mu.Lock()
	c.asked[name] = true
	c.mu.Unlock()
	file := c.pointFile(name)
	if err := os.WriteFile(file+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file) // the process never sees half of it
}

// disarm disarms all.
func (c *Cluster) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.asked {
		os.WriteFile(c.pointFile(name), []byte("# nothing\n"), 0o644)
		delete(c.asked, name)
	}
}

// PointHits returns how often armed points of a process have done something, all of its lives counted.
func (c *Cluster) PointHits(name, point string) (n int) {
	b, _ := os.ReadFile(c.pointFile(name) + ".hits")
	for line := range strings.Lines(string(b)) {
		if w := strings.Fields(line); len(w) == 3 && w[0] == point && w[1] != "-" {
			n++
		}
	}
	return n
}

// Passed returns the points that the cluster's processes have passed so far.
func (c *Cluster) Passed() map[string]bool {
	out := map[string]bool{}
	for name := range c.Members {
		b, _ := os.ReadFile(c.pointFile(name) + ".hits")
		for line := range strings.Lines(string(b)) {
			if w := strings.Fields(line); len(w) == 3 {
				out[w[0]] = true
			}
		}
	}
	return out
}

// AtPoint arms a point of a process and waits until it has done its work there.
func (c *Cluster) AtPoint(ctx context.Context, name, point, action string, after int) error {
	before := c.PointHits(name, point)
	if err := c.Arm(name, fmt.Sprintf("%s %s %d", point, action, after)); err != nil {
		return err
	}
	return Until(ctx, 30*time.Second, fmt.Sprintf("%s to reach %s", name, point), func() error {
		if c.PointHits(name, point) == before {
			return fmt.Errorf("it has not")
		}
		return nil
	})
}
