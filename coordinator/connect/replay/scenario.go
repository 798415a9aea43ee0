package replay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// step is a request, with what comes before it.
type step struct {
	Method  string             `json:"method"`
	Path    string             `json:"path"`
	Headers map[string]*string `json:"headers"` // null removes one
	Body    json.RawMessage    `json:"body"`
	SleepMS int                `json:"sleep_ms"` // first
	Await   *await             `json:"await"`    // then
	Watch   *watch             `json:"watch"`
	Filter  bool               `json:"filter"` // keep only the scenario's own connectors in the answer
	Copy    string             `json:"copy"`
	Keep    []string           `json:"keep"` // texts that the body must hold
}

// await is a condition on what a path answers; all that is given must hold.
type await struct {
	Path        string `json:"path"`
	Contains    string `json:"contains"`
	Matches     string `json:"matches"`
	NotContains string `json:"not_contains"`
	Status      int    `json:"status"`
	TimeoutS    int    `json:"timeout_s"`
}

// watch repeats the step's request until its body matches.
type watch struct {
	Until    string `json:"until"`
	EveryMS  int    `json:"every_ms"`
	TimeoutS int    `json:"timeout_s"`
}

// defaultWait is how long await and watch wait where they say nothing; then the request is sent anyway and its answer shows what is wrong.
const defaultWait = 20 * time.Second

func limit(seconds int) time.Duration {
	if seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	return defaultWait
}

// mask is what differs between servers: matches are replaced before bodies are compared.
type mask struct {
	Regex string `json:"regex"`
	With  string `json:"with"`
	re    *regexp.Regexp
}

// scenario is a file of requests.
type scenario struct {
	Connectors []string `json:"connectors"`
	Masks      []mask   `json:"masks"`
	Steps      []step   `json:"steps"`
}

// answer is what came back, now or when it was recorded.
type answer struct {
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	BodyFile string            `json:"body_file"` // a long body
	// Seen are the answers of a watched step; the last one counts.
	Seen []struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	} `json:"seen"`
	// Instead is what belongs there where the recorded worker has a defect.
	Instead *struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	} `json:"instead"`
}

// load reads a scenario with its recording from dir; the masks of all scenarios come after its own.
func load(dir, name string) (sc scenario, want []answer, err error) {
	var golden struct{ Steps []answer }
	var common []mask
	for file, into := range map[string]any{name + ".json": &sc, name + ".golden.json": &golden, "masks.json": &common} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return sc, nil, err
		}
		if err := json.Unmarshal(b, into); err != nil {
			return sc, nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if len(golden.Steps) != len(sc.Steps) {
		return sc, nil, fmt.Errorf("%s: %d steps, %d recorded", name, len(sc.Steps), len(golden.Steps))
	}
	sc.Masks = append(sc.Masks, common...)
	want = golden.Steps
	for i := range want {
		if want[i].BodyFile == "" {
			continue
		}
		// A body that is not compared need not be kept.
		b, err := os.ReadFile(filepath.Join(dir, want[i].BodyFile))
		if err != nil && !os.IsNotExist(err) {
			return sc, nil, err
		}
		want[i].Body = string(b)
	}
	return sc, want, nil
}
