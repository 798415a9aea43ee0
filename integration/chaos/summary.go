package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/rowmesh/rowmesh/integration/check"
)

// summary is what all rounds say together.
type summary struct {
	Seed        uint64           `json:"seed"`
	Seconds     float64          `json:"seconds"`
	Rounds      int              `json:"rounds"`
	Injections  int              `json:"injections"`
	Changes     int              `json:"changes"`
	Events      int              `json:"events"`
	Records     int              `json:"records_and_markers"`
	Checkpoints int              `json:"checkpoints"`
	Owners      int              `json:"confirmations_of_owners"`
	Violations  map[check.ID]int `json:"violations"`
	// Wrong is all that was not as it should be, by round, with the violations.
	Wrong      []string         `json:"wrong"`
	Recoveries []check.Recovery `json:"faults"`

	faults []check.Fault
}

func newSummary(seed uint64) *summary {
	return &summary{Seed: seed, Violations: map[check.ID]int{}}
}

func (s *summary) add(r *round) {
	s.Rounds++
	s.faults = append(s.faults, r.faults...)
	s.Injections = len(s.faults)
	s.Recoveries = check.RecoveriesOf(s.faults)
	for _, text := range r.bad {
		s.Wrong = append(s.Wrong, fmt.Sprintf("round %d: %s", r.n, text))
	}
	if r.report == nil {
		return
	}
	s.Changes += r.report.Changes
	s.Events += r.report.Events
	s.Records += r.report.Raw
	s.Checkpoints += r.report.Checkpoints
	s.Owners += len(r.report.Owners)
	for id, n := range r.report.Count {
		s.Violations[id] += n
	}
}

// good says that nothing was wrong.
func (s *summary) good() bool { return len(s.Wrong) == 0 && s.Rounds > 0 }

func (s *summary) write(file string) error {
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// text is the summary for people.
func (s *summary) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-72s %5s  %-26s  %s\n", "fault", "times", "gap: median, 99 %, longest", "well after healing")
	for _, r := range s.Recoveries {
		fmt.Fprintf(&b, "%-72s %5d  %6.1f s %6.1f s %6.1f s  %6.1f s %6.1f s %6.1f s\n", r.Name, r.Injections, seconds(r.Gap.P50MS), seconds(r.Gap.P99MS), seconds(r.Gap.MaxMS),
			seconds(r.Recovered.P50MS), seconds(r.Recovered.P99MS), seconds(r.Recovered.MaxMS))
	}
	fmt.Fprintf(&b, "\nseed %d: %d rounds in %.0f s, %d injections of %d kinds; %d changes, %d events, %d records and markers, %d checkpoints, %d confirmations of owners judged; violations %v\n",
		s.Seed, s.Rounds, s.Seconds, s.Injections, len(s.Recoveries), s.Changes, s.Events, s.Records, s.Checkpoints, s.Owners, s.Violations)
	for _, text := range s.Wrong {
		fmt.Fprintf(&b, "WRONG %s\n", text)
	}
	return b.String()
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }
