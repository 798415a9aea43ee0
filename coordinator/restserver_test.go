package coordinator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/rpc/rpctest"
)

// certificate writes a certificate for loopback with its key into one file, as PEM key stores have it, and returns a pool that trusts it.
func certificate(t *testing.T) (file string, pool *x509.CertPool) {
	t.Helper()
	a := rpctest.NewAuthority(t)
	cert, key := a.Issue("server", "server")
	read := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a.Write("rest.pem", append(read(cert), read(key)...))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(read(a.Path("ca.pem")))
	return a.Path("rest.pem"), pool
}

func restFlagsOf(t *testing.T, args ...string) *restFlags {
	t.Helper()
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	var r restFlags
	r.declare(f)
	if err := f.Parse(append([]string{"-rest", "127.0.0.1:0"}, args...)); err != nil {
		t.Fatal(err)
	}
	return &r
}

// TestRESTOverTLS serves with a certificate and users.
func TestRESTOverTLS(t *testing.T) {
	file, pool := certificate(t)
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("ann=s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := restFlagsOf(t, "-rest-tls-cert", file, "-rest-tls-key", file, "-rest-users", users)
	l, err := r.listen(false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- r.serve(ctx, slog.New(slog.DiscardHandler), l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "in") }))
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	for password, want := range map[string]int{"s3cret": 200, "wrong": 401} {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/connectors", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.SetBasicAuth("ann", password)
		got, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if got.StatusCode != want {
			t.Errorf("password %s: %s", password, got.Status)
		}
	}
}

// TestRESTRefusesToListen asks for what would show passwords to everybody, and for files that are not there.
func TestRESTRefusesToListen(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for args, word := range map[string]string{
		"-rest 0.0.0.0:0":        "-rest-tls-cert",
		"-rest-tls-cert /none":   "/none",
		"-rest-users /none":      "/none",
		"-rest-users " + empty:   "names nobody",
		"-rest 127.0.0.1:999999": "127.0.0.1:999999",
	} {
		l, err := restFlagsOf(t, strings.Fields(args)...).listen(false)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), word) || word != "127.0.0.1:999999" && errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", args, err)
		}
	}
	l, err := restFlagsOf(t, "-rest", "0.0.0.0:0").listen(true)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
