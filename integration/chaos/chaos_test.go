package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/check"
)

// A round's schedule follows from seed and number alone, and others have others.
func TestScheduleFollowsFromSeed(t *testing.T) {
	of := func(seed, n uint64) []int {
		r, err := newRound(nil, options{seed: seed}, n)
		if err != nil {
			t.Fatal(err)
		}
		return r.rnd.Perm(len(r.kinds))
	}
	if !slices.Equal(of(7, 3), of(7, 3)) {
		t.Error("the same seed and round give another schedule")
	}
	if slices.Equal(of(7, 3), of(7, 5)) || slices.Equal(of(7, 3), of(8, 3)) {
		t.Error("another seed or round gives the same schedule")
	}
}

// What must stand alone is never in a schedule, and what is done for minutes only where it is asked for.
func TestChosenFaults(t *testing.T) {
	short, err := chosen(options{}, &adversary{})
	if err != nil {
		t.Fatal(err)
	}
	long, err := chosen(options{long: true}, &adversary{})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range long {
		if f.Alone {
			t.Errorf("%s stands alone", f)
		}
		if names[f.String()] {
			t.Errorf("two faults have the name %s: what was measured of them could not be told apart", f)
		}
		names[f.String()] = true
	}
	if len(short) < 50 || len(long) <= len(short) {
		t.Errorf("%d faults, %d with the long ones", len(short), len(long))
	}
	if _, err := chosen(options{only: "no such fault"}, &adversary{}); err == nil || !strings.Contains(err.Error(), "no such fault") {
		t.Errorf("a name that no fault has: %v", err)
	}
	if _, err := chosen(options{only: "("}, &adversary{}); err == nil {
		t.Error("a bad expression is taken")
	}
}

// Rounds in which tables change do nothing that takes etcd away for long.
func TestRoundsWithStatements(t *testing.T) {
	for n := uint64(1); n <= 2; n++ {
		r, err := newRound(nil, options{}, n)
		if err != nil {
			t.Fatal(err)
		}
		without := 0
		for _, f := range r.kinds {
			if withoutEtcd.MatchString(f.String()) {
				without++
			}
		}
		if (without == 0) != r.shaped() {
			t.Errorf("round %d, statements %v: %d faults take etcd away", n, r.shaped(), without)
		}
	}
}

// Only the newest life of each process keeps its log.
func TestDropLogs(t *testing.T) {
	dir := t.TempDir()
	begin := time.Now()
	for i, name := range []string{"publisher-1.0.log", "publisher-1.1.log", "publisher-1.2.log", "capturer-1.0.log", "mesh.key"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		age := time.Duration(i) * time.Second
		if name == "publisher-1.2.log" { // a number that was free again
			age = -time.Second
		}
		if err := os.Chtimes(file, begin, begin.Add(age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := dropLogs(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, f := range files {
		left = append(left, f.Name())
	}
	if want := []string{"capturer-1.0.log", "mesh.key", "publisher-1.1.log"}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestSummary(t *testing.T) {
	s := newSummary(9)
	if s.good() {
		t.Error("a run without a round is good")
	}
	r := &round{n: 4, faults: []check.Fault{{Name: "P1 kill", RecoveredMS: 100, GapMS: 5000}, {Name: "P1 kill", RecoveredMS: 300, GapMS: 6000}, {Name: "N1 cut"}},
		report: &check.Report{Events: 12, Count: map[check.ID]int{}}}
	s.add(r)
	if !s.good() || s.Injections != 3 || s.Events != 12 || len(s.Recoveries) != 2 || s.Recoveries[1].Gap.MaxMS != 6000 {
		t.Errorf("%+v", s)
	}
	r.report.Count["I3"] = 2
	r.wrong("a row came twice")
	s.add(r)
	if s.good() || s.Violations["I3"] != 2 || !strings.Contains(s.text(), "round 4: a row came twice") {
		t.Errorf("%+v\n%s", s, s.text())
	}
	file := filepath.Join(t.TempDir(), "summary.json")
	if err := s.write(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	var back summary
	if err != nil || json.Unmarshal(b, &back) != nil || back.Seed != 9 || back.Injections != 6 {
		t.Errorf("%v %s", err, b)
	}
}
