package connect

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rowmesh/rowmesh/services/telemetry"
)

const (
	rootLogger = telemetry.RootLogger
	// maxLoggers bounds how many names are remembered: names come from clients, and a process of ours has a dozen parts to log for.
	maxLoggers = 1000
)

// loggerLevel is a logger that was set.
type loggerLevel struct {
	level      string
	modifiedMS int64 // 0: never
}

// loggers remembers the levels that were set. Names are hierarchic: setting one sets those below it.
type loggers struct {
	set func(string, slog.Level)
	now func() time.Time

	mu    sync.Mutex // guards known; set is called without it
	known map[string]loggerLevel
}

func newLoggers(root string, names []string, set func(string, slog.Level), now func() time.Time) *loggers {
	l := &loggers{set: set, now: now, known: map[string]loggerLevel{}}
	for _, n := range append([]string{rootLogger}, names...) {
		l.known[n] = loggerLevel{level: strings.ToUpper(root)}
	}
	return l
}

// change sets a logger and those below it, and returns the names whose level changed, sorted. ok is false if there are too many names.
func (l *loggers) change(name, level string) (changed []string, ok bool) {
	l.mu.Lock()
	if _, have := l.known[name]; !have {
		if len(l.known) >= maxLoggers {
			l.mu.Unlock()
			return nil, false
		}
		// A new logger has so far had the level of the nearest one above it.
		l.known[name] = loggerLevel{level: l.inherited(name)}
	}
	changed = []string{}
	for n, have := range l.known {
		if below(n, name) && have.level != level {
			l.known[n] = loggerLevel{level, l.now().UnixMilli()}
			changed = append(changed, n)
		}
	}
	l.mu.Unlock()
	slices.Sort(changed)
	if l.set != nil {
		value, _ := telemetry.ParseLevel(level) // checked before
		for _, n := range changed {
			l.set(n, value)
		}
	}
	return changed, true
}

func (l *loggers) inherited(name string) string {
	for name != "" {
		name = name[:max(strings.LastIndexByte(name, '.'), 0)]
		if have, ok := l.known[name]; ok {
			return have.level
		}
	}
	return l.known[rootLogger].level
}

func below(name, above string) bool {
	return name == above || above == rootLogger || strings.HasPrefix(name, above+".")
}

func (l loggerLevel) append(b []byte) []byte {
	b = appendMember(appendText(append(b, '{'), "level", l.level), "last_modified")
	if l.modifiedMS == 0 {
		return append(b, "null}"...)
	}
	return append(fmt.Append(b, l.modifiedMS), '}')
}

func (h *Handler) allLoggers(*request) reply {
	l := h.loggers
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(l.known))
	for n := range l.known {
		names = append(names, n)
	}
	slices.Sort(names)
	b := []byte{'{'}
	for _, n := range names {
		b = l.known[n].append(appendMember(b, n))
	}
	return document(http.StatusOK, append(b, '}'))
}

func (h *Handler) getLogger(r *request) reply {
	h.loggers.mu.Lock()
	have, ok := h.loggers.known[r.names[0]]
	h.loggers.mu.Unlock()
	if !ok {
		return failure(http.StatusNotFound, "Logger "+r.names[0]+" not found.")
	}
	return document(http.StatusOK, have.append(nil))
}

func (h *Handler) setLogger(r *request) reply {
	body, refused := r.readJSON(`{"level": "DEBUG"} with Content-Type application/json`)
	if refused != nil {
		return *refused
	}
	level, given := settings(body.members).get("level")
	switch {
	case !given:
		return failure(http.StatusBadRequest, "Desired 'level' parameter was not specified in request.")
	case level == "":
		return failure(http.StatusBadRequest, "Illegal null or empty Level name.")
	}
	if _, err := telemetry.ParseLevel(level); err != nil {
		return failure(http.StatusNotFound, err.Error())
	}
	upper := strings.ToUpper(level)
	changed, ok := h.loggers.change(r.names[0], upper)
	if !ok {
		return failure(http.StatusBadRequest, fmt.Sprintf("%d loggers have levels of their own already; set one of them, or root", maxLoggers))
	}
	h.cfg.Log.Info("log level set", "logger", r.names[0], "level", upper)
	if strings.EqualFold(r.query.Get("scope"), "cluster") {
		if h.cfg.SetLevels != nil {
			h.cfg.SetLevels(r.Context(), r.names[0], upper)
		}
		return empty(http.StatusNoContent)
	}
	return document(http.StatusOK, appendStrings(nil, changed))
}

// SetLevel sets a logger and those below it, as PUT /admin/loggers does: another coordinator was asked to.
func (h *Handler) SetLevel(logger, level string) error {
	if _, err := telemetry.ParseLevel(level); err != nil {
		return err
	}
	h.loggers.change(logger, strings.ToUpper(level)) // one of too many names is not shown, and changes nothing
	return nil
}
