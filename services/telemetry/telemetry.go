// Package telemetry gives every process the same logs, metrics and HTTP endpoints.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewLogger returns a logger for w. level is debug, info, warn or error; format is text or json. The returned Levels change levels later.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, *Levels, error) {
	var root slog.Level
	if err := root.UnmarshalText([]byte(level)); err != nil {
		return nil, nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	levels := newLevels(root)
	all := &slog.HandlerOptions{Level: levelNames["ALL"]}
	switch strings.ToLower(format) {
	case "json":
		return slog.New(leveled{slog.NewJSONHandler(w, all), levels}), levels, nil
	case "", "text":
		return slog.New(leveled{slog.NewTextHandler(w, all), levels}), levels, nil
	}
	return nil, nil, fmt.Errorf("log format %q: want text or json", format)
}

// NewRegistry returns a registry with the collectors of the Go runtime and the process.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler serves /metrics and /health (200 while healthy returns nil, else 503 with its text). profile adds /debug/pprof/.
func Handler(g prometheus.Gatherer, healthy func() error, profile bool) *http.ServeMux {
	m := http.NewServeMux()
	m.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))
	m.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if err := healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	if profile {
		m.HandleFunc("/debug/pprof/", pprof.Index)
		m.HandleFunc("/debug/pprof/profile", pprof.Profile)
		m.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		m.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return m
}

// Serve serves h on l until ctx ends, then gives open requests two seconds.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ReadTimeout: 2 * time.Minute, // a body that drips holds no connection for ever; longer than the 90 s that a request may take, since it ends those too
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if s.Shutdown(grace) != nil {
		s.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
