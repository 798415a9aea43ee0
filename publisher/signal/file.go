package signal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
)

// record is a signal as files and topics hold it: data is an object in place of its text.
type record struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// Decode reads a signal from a line or a record.
func Decode(text []byte, from Channel) (Signal, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return Signal{}, errs.E(errs.Invalid, "signal %.200q cannot be parsed: %w", text, err)
	}
	if r.Type == "" {
		return Signal{}, errs.E(errs.Invalid, "signal %.200q has no type", text)
	}
	return Signal{ID: r.ID, Type: r.Type, Data: string(r.Data), Channel: from}, nil
}

// maxFile bounds a signal file: some signals of the largest kind.
const maxFile = 1 << 20

// Files reads signals from a file that others write: a JSON object a line. What was read is cut off.
type Files struct {
	Path  string
	Every time.Duration
	// Take gets a signal; it waits until there is room, or the context ends.
	Take func(context.Context, Signal) error
	// Tell is told what is wrong; nil when it works.
	Tell func(error)
}

// Run reads until ctx ends.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	for {
		signals, err := f.read()
		f.Tell(err)
		for _, s := range signals {
			if err := f.Take(ctx, s); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// read takes the lines out of the file. A file that is not there is empty. The error may be about some lines, beside the signals of the others.
func (f *Files) read() ([]Signal, error) {
	info, err := os.Stat(f.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (info.IsDir() || info.Size() == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.E(errs.Invalid, "signal.file: %w", err)
	}
	if info.Size() > maxFile {
		return nil, errs.E(errs.Invalid, "signal.file %s has %d bytes, more than %d, and is not read; shorten it", f.Path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(f.Path)
	if err == nil {
		err = os.Truncate(f.Path, 0)
	}
	if err != nil { // signals that cannot be taken out would be followed again and again
		return nil, errs.E(errs.Denied, "signal.file is not read: %w; let the publisher read and write it", err)
	}
	var out []Signal
	var bad error
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s, err := Decode([]byte(line), File)
		if err != nil {
			bad = fmt.Errorf("signal.file %s: %w", f.Path, err)
			continue
		}
		out = append(out, s)
	}
	return out, bad
}
