package servers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestItemIsFetchedOnceAndWhole(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	n := 0
	fetch := func(_ context.Context, dir string) error {
		n++
		if n == 1 {
			os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
			return errors.New("line cut")
		}
		return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o644)
	}
	if _, err := c.item(t.Context(), "x", "x", fetch); err == nil {
		t.Fatal("a failed fetch counts")
	}
	for range 2 {
		dir, err := c.item(t.Context(), "x", "x", fetch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
			t.Fatal("rest of the failed fetch is left")
		}
	}
	if n != 2 {
		t.Fatalf("fetched %d times", n)
	}
}

func TestProcessThatEndsWhileStartingShowsItsLog(t *testing.T) {
	dir := t.TempDir()
	p, err := Spawn("thing", dir, filepath.Join(dir, "log"), nil, time.Second, "sh", "-c", "echo bad option; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.Await(t.Context(), 10*time.Second, func(context.Context) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "bad option") {
		t.Fatalf("got %v", err)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	dir := t.TempDir()
	p, err := Spawn("stubborn", dir, filepath.Join(dir, "log"), nil, 100*time.Millisecond, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Await(t.Context(), 10*time.Second, func(context.Context) error {
		if b, _ := os.ReadFile(p.LogFile); len(b) == 0 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if err := syscall.Kill(p.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("still there: %v", err)
	}
}

func TestMissingToolIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := (&Cache{Dir: t.TempDir()}).Kafka(t.Context())
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "java") {
		t.Fatalf("got %v", err)
	}
	if _, err := exec.LookPath("java"); err == nil {
		t.Fatal("the test's own premise fails")
	}
}
