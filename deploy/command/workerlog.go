package command

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/process"
)

// secrets are what references in the worker's own properties may name.
func (w *worker) secrets() config.Secrets {
	var c process.Config
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	c.Flags(f)
	if f.Parse(w.out.common) != nil {
		return config.Secrets{}
	}
	s, err := c.Secrets()
	if err != nil {
		return config.Secrets{} // told when a role starts with the same arguments
	}
	return s
}

// leave lists what nothing was made of.
func (w *worker) leave() {
	for key := range w.in {
		if w.used[key] {
			continue
		}
		w.out.ignored[key] = ""
		for known, why := range workerReasons {
			if key == known || strings.HasSuffix(known, ".") && strings.HasPrefix(key, known) {
				w.out.ignored[key] = why
			}
		}
	}
}

// warning names the keys that mean nothing here, those with one reason together; empty if there are none.
func (c workerConfig) warning() string {
	byReason := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(c.ignored)) {
		byReason[c.ignored[key]] = append(byReason[c.ignored[key]], key)
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		text := strings.Join(byReason[why], ", ")
		if why != "" {
			text += fmt.Sprintf(" (%s)", why)
		}
		parts = append(parts, text)
	}
	if parts == nil {
		return ""
	}
	return "keys of the worker's file that mean nothing here: " + strings.Join(parts, "; ")
}
