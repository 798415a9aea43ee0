package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rowmesh/rowmesh/services/errs"
)

// RootLogger is the name of what all loggers inherit from.
const RootLogger = "root"

// levelNames are the names of levels that Kafka Connect's clients know.
var levelNames = map[string]slog.Level{
	"ALL": slog.LevelDebug - 8, "TRACE": slog.LevelDebug - 4, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError,
	"FATAL": slog.LevelError, "OFF": slog.LevelError + 100,
}

// ParseLevel returns the level of a name in any case: TRACE, DEBUG, INFO, WARN, ERROR, FATAL, OFF, ALL.
func ParseLevel(name string) (slog.Level, error) {
	l, ok := levelNames[strings.ToUpper(name)]
	if !ok {
		return 0, errs.E(errs.Invalid, "invalid log level '%s'.", name)
	}
	return l, nil
}

// maxNamedLevels bounds how many parts have a level of their own: names come from users, and a process has a few dozen packages.
const maxNamedLevels = 1000

// Levels are the levels of a process's loggers. A logger is a package: "rowmesh.publisher.kafka" is what services log from there; a level counts for all
// packages below its name that have none of their own. Safe for concurrent use.
type Levels struct {
	lowest atomic.Int64 // of all: what is below it costs one comparison
	any    atomic.Bool  // a name besides root has a level

	mu    sync.Mutex
	named map[string]slog.Level // with RootLogger
}

func newLevels(root slog.Level) *Levels {
	l := &Levels{named: map[string]slog.Level{RootLogger: root}}
	l.lowest.Store(int64(root))
	return l
}

// Set sets the level of a logger and of all below it.
func (l *Levels) Set(name string, level slog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.named, func(n string, _ slog.Level) bool {
		return n != RootLogger && (name == RootLogger || strings.HasPrefix(n, name+"."))
	})
	if _, known := l.named[name]; known || len(l.named) < maxNamedLevels {
		l.named[name] = level
	}
	lowest := level
	for _, v := range l.named {
		lowest = min(lowest, v)
	}
	l.lowest.Store(int64(lowest))
	l.any.Store(len(l.named) > 1)
}

// SetByName is Set with the name of a level. Nil Levels stay as they are.
func (l *Levels) SetByName(name, level string) error {
	v, err := ParseLevel(level)
	if err == nil && l != nil {
		l.Set(name, v)
	}
	return err
}

// of returns the level of a logger: its own, or the nearest above it.
func (l *Levels) of(name string) slog.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name != "" {
		if v, ok := l.named[name]; ok {
			return v
		}
		name = name[:max(strings.LastIndexByte(name, '.'), 0)]
	}
	return l.named[RootLogger]
}

// leveled is a handler that asks Levels.
type leveled struct {
	slog.Handler
	levels *Levels
}

// Enabled implements slog.Handler.
func (h leveled) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.Level(h.levels.lowest.Load())
}

// Handle implements slog.Handler.
func (h leveled) Handle(ctx context.Context, r slog.Record) error {
	if h.levels.any.Load() && r.Level < h.levels.of(loggerOf(r.PC)) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.levels}
}

// WithGroup implements slog.Handler.
func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.levels}
}

// modulePrefix is what the names of functions begin with before the module's last element, which stays as the first of a logger's name.
const modulePrefix = "github.com/rowmesh/"

// loggerOf returns the name of the logger of a place in the code: its package with dots.
func loggerOf(pc uintptr) string {
	if pc == 0 {
		return RootLogger
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	path := strings.TrimPrefix(frame.Function, modulePrefix)
	folder := strings.LastIndexByte(path, '/') + 1
	if dot := strings.IndexByte(path[folder:], '.'); dot >= 0 {
		path = path[:folder+dot]
	}
	return strings.ReplaceAll(path, "/", ".")
}
