package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestLoggerLevelCanChange(t *testing.T) {
	var b bytes.Buffer
	log, lv, err := NewLogger(&b, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hidden")
	if b.Len() != 0 {
		t.Fatalf("info at level warn: %s", &b)
	}
	lv.Set(RootLogger, slog.LevelInfo)
	log.Info("shown")
	if b.Len() == 0 {
		t.Fatal("nothing logged after the level changed")
	}
	if _, _, err := NewLogger(&b, "loud", ""); err == nil {
		t.Fatal("level loud accepted")
	}
}

func TestHandlerHealthAndMetrics(t *testing.T) {
	sick := error(nil)
	h := Handler(NewRegistry(), func() error { return sick }, false)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	if c, _ := get("/health"); c != 200 {
		t.Fatalf("healthy: %d", c)
	}
	sick = errors.New("no leader")
	if c, b := get("/health"); c != 503 || !strings.Contains(b, "no leader") {
		t.Fatalf("sick: %d %s", c, b)
	}
	if c, b := get("/metrics"); c != 200 || !strings.Contains(b, "process_cpu_seconds_total") {
		t.Fatalf("metrics: %d", c)
	}
	if c, _ := get("/debug/pprof/"); c != 404 {
		t.Fatalf("profiles without being asked for: %d", c)
	}
}

func TestServeEndsWithContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hi") }))
	}()
	r, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still serving")
	}
}
