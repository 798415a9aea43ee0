package process

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	for _, c := range []struct {
		text string
		good bool
	}{{hex.EncodeToString(make([]byte, 32)) + "\n", true}, {"", false}, {"abc", false}, {strings.Repeat("z", 64), false}} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := readKey(file); (err == nil) != c.good || c.good && len(key) != 32 {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	if key, err := readKey(""); key != nil || err != nil {
		t.Error("no file is no key")
	}
}

func TestProcessServesBeforeEtcdIsThere(t *testing.T) {
	p, err := New(Config{ID: "x", Etcd: "127.0.0.1:1", Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", LogLevel: "error"}, registry.Capturer, "v1", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, func() error { return errs.E(errs.Unavailable, "no etcd") }, p.Register) }()
	r, err := http.Get("http://" + p.Member.HTTPAddress + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("health: %s", r.Status)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("does not end")
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for want, c := range map[string]Config{
		"-etcd":     {Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", LogLevel: "info", Etcd: " , "},
		"log level": {Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", LogLevel: "loud", Etcd: "127.0.0.1:1"},
		"loopback":  {Listen: "0.0.0.0:0", HTTP: "127.0.0.1:0", LogLevel: "info", Etcd: "127.0.0.1:1"},
	} {
		p, err := New(c, registry.Capturer, "v1", io.Discard)
		if err == nil {
			p.Close()
			t.Errorf("%s: accepted", want)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
