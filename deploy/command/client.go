package command

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rowmesh/rowmesh/services/errs"
)

// defaultServer is where a coordinator serves REST unless it is told otherwise.
const defaultServer = "http://127.0.0.1:8083"

// connection is how commands reach the REST API: flags over the environment over the context.
type connection struct {
	server, context string
	user, caFile    string
}

// flags declares what all commands that ask the REST API have.
func (c *connection) flags(f *pflag.FlagSet) {
	f.StringVar(&c.server, "server", "", "base URL of the REST API (default: $ROWMESH_SERVER, the context's, "+defaultServer+")")
	f.StringVar(&c.context, "context", "", "named mesh of the contexts' file (default: the current one)")
	f.StringVar(&c.user, "user", "", "name of a user of the REST API; the password is $ROWMESH_PASSWORD or the context's")
	f.StringVar(&c.caFile, "ca", "", "PEM certificates of the authority that the REST API's certificate comes from")
}

// open returns a client.
func (c *connection) open() (*api, error) {
	known, err := readContexts()
	if err != nil {
		return nil, err
	}
	name := cmp.Or(c.context, known.Current)
	saved, ok := known.Contexts[name]
	if name != "" && !ok {
		return nil, errs.E(errs.Invalid, "context %s is not in %s; rowmesh context list shows what is", name, contextsFile())
	}
	server := cmp.Or(c.server, os.Getenv("ROWMESH_SERVER"))
	if server != "" && c.context == "" {
		saved = meshContext{} // another mesh has other users
	}
	a := &api{base: strings.TrimSuffix(cmp.Or(server, saved.Server, defaultServer), "/"), http: http.DefaultClient,
		user: cmp.Or(c.user, os.Getenv("ROWMESH_USER"), saved.User), password: os.Getenv("ROWMESH_PASSWORD")}
	if a.password == "" && saved.PasswordFile != "" {
		b, err := os.ReadFile(saved.PasswordFile)
		if err != nil {
			return nil, errs.E(errs.Invalid, "password of context %s: %w", name, err)
		}
		a.password = strings.TrimSpace(string(b))
	}
	if ca := cmp.Or(c.caFile, saved.CA); ca != "" {
		pem, err := os.ReadFile(ca)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return nil, errs.E(errs.Invalid, "--ca %s holds no certificate: %v", ca, err)
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		a.http = &http.Client{Transport: t}
	}
	return a, nil
}

// api is a client of the REST API, as any client of Kafka Connect is one.
type api struct {
	base           string
	user, password string
	http           *http.Client
}

// answerError is an answer that is no success.
type answerError struct {
	code int
	text string
}

// Error returns the answer's message with the request.
func (e *answerError) Error() string { return e.text }

// answered reports whether err is an answer with one of the codes.
func answered(err error, codes ...int) bool {
	var e *answerError
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.code == c {
			return true
		}
	}
	return false
}

// maxAnswerBytes bounds what is read of an answer: the validation of a config is 100 KiB, a list of 10,000 connectors with their configs some 20 MiB.
const maxAnswerBytes = 256 << 20

// do does a request and returns the body of a 2xx answer; another answer's message is the error. Segments of path are escaped already.
func (a *api) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	url := a.base + path
	q, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, errs.E(errs.Invalid, "%w", err)
	}
	q.Header.Set("Content-Type", "application/json")
	if a.user != "" {
		q.SetBasicAuth(a.user, a.password)
	}
	r, err := a.http.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("no answer from the REST API: %w; is a coordinator there? --server and --rest say where", err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, maxAnswerBytes))
	if err != nil {
		return nil, err
	}
	if r.StatusCode/100 == 2 {
		return b, nil
	}
	var e struct{ Message string }
	switch {
	case r.StatusCode == http.StatusUnauthorized:
		return nil, &answerError{r.StatusCode, fmt.Sprintf("%s: %s wants a user: --user and $ROWMESH_PASSWORD, or a context with both", r.Status, a.base)}
	case json.Unmarshal(b, &e) == nil && e.Message != "":
		return nil, &answerError{r.StatusCode, fmt.Sprintf("%s: %s (%s %s)", r.Status, e.Message, method, url)}
	}
	return nil, &answerError{r.StatusCode, fmt.Sprintf("%s %s: %s: %.300s; is that the REST API of a coordinator?", method, url, r.Status, b)}
}

// get reads a document into v.
func (a *api) get(ctx context.Context, path string, v any) error {
	b, err := a.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s%s answers no JSON: %w", a.base, path, err)
	}
	return nil
}

// connectorPath is the path of a connector, or of something of it.
func connectorPath(name string, more ...string) string {
	return "/connectors/" + url.PathEscape(name) + strings.Join(append([]string{""}, more...), "/")
}
