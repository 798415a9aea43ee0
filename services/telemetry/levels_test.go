package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestLevelsByPackage sets levels of this package, of what is above it and of others: what is logged here follows the nearest.
func TestLevelsByPackage(t *testing.T) {
	var b bytes.Buffer
	log, levels, err := NewLogger(&b, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	log = log.With("member", "m").WithGroup("g")
	for _, step := range []struct {
		logger string
		level  slog.Level
		shown  bool // of a record at debug
	}{
		{"rowmesh.publisher", slog.LevelDebug, false},
		{"rowmesh.services", slog.LevelDebug, true},
		{"rowmesh.services.telemetry", slog.LevelInfo, false},
		{"rowmesh.services.telemetr", slog.LevelDebug, false},
		{"rowmesh", slog.LevelDebug, true}, // and all below
		{"rowmesh.services", levelNames["OFF"], false},
		{RootLogger, slog.LevelDebug, true}, // and all below
		{RootLogger, slog.LevelWarn, false},
	} {
		levels.Set(step.logger, step.level)
		b.Reset()
		log.Debug("text")
		if shown := strings.Contains(b.String(), "text"); shown != step.shown {
			t.Errorf("after %s at %v: shown %t, want %t", step.logger, step.level, shown, step.shown)
		}
	}
}

// TestLevelsAreBounded names more loggers than there may be.
func TestLevelsAreBounded(t *testing.T) {
	l := newLevels(slog.LevelInfo)
	for i := range 2 * maxNamedLevels {
		l.Set(strings.Repeat("x", 1+i), slog.LevelDebug)
	}
	if len(l.named) > maxNamedLevels {
		t.Errorf("%d levels are kept, want at most %d", len(l.named), maxNamedLevels)
	}
}

func TestParseLevel(t *testing.T) {
	if l, err := ParseLevel("warn"); err != nil || l != slog.LevelWarn {
		t.Errorf("warn: %v %v", l, err)
	}
	if _, err := ParseLevel("LOUD"); err == nil || err.Error() != "invalid log level 'LOUD'." {
		t.Errorf("LOUD: %v", err)
	}
}
