package rpc

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/rowmesh/rowmesh/services/errs"
)

// Right is a kind of call.
type Right string

// Rights. Health and reflection need none.
const (
	// Everything is what members of the mesh need.
	Everything Right = "everything"
	// Look reads connectors and their states.
	Look Right = "look"
	// Administer changes connectors, and looks.
	Administer Right = "administer"
	// Subscribe reads rows and describes sources.
	Subscribe Right = "subscribe"
)

// Access is what an access file holds, in JSON: {"rules": [{"clients": ["publisher-*"], "rights": ["everything"]}, {"clients": ["reporting"],
// "rights": ["subscribe"], "tables": ["shop\\.order.*"]}]}. A client has what all rules that name it give together; one that none names has nothing.
type Access struct {
	Rules []Rule `json:"rules"`
}

// Rule gives rights to clients.
type Rule struct {
	// Clients are patterns (path.Match) of a certificate's common name, DNS names and URIs.
	Clients []string `json:"clients"`
	Rights  []Right  `json:"rights"`
	// Tables are anchored, case-insensitive expressions on database.table that bound Subscribe; empty: all tables.
	Tables []string `json:"tables"`
}

// ParseAccess reads an access file's text. Errors are Invalid and name the rule.
func ParseAccess(text []byte) (*Access, error) {
	a := new(Access)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(a); err != nil {
		return nil, errs.E(errs.Invalid, "access rules: %w", err)
	}
	for i, r := range a.Rules {
		if len(r.Clients) == 0 || len(r.Rights) == 0 {
			return nil, errs.E(errs.Invalid, "access rule %d: it needs clients and rights", i)
		}
		for _, c := range r.Clients {
			if _, err := path.Match(c, ""); err != nil {
				return nil, errs.E(errs.Invalid, "access rule %d: client %q: %w", i, c, err)
			}
		}
		for _, right := range r.Rights {
			if !slices.Contains([]Right{Everything, Look, Administer, Subscribe}, right) {
				return nil, errs.E(errs.Invalid, "access rule %d: right %q is none of everything, look, administer, subscribe", i, right)
			}
		}
		for _, t := range r.Tables {
			if _, err := regexp.Compile(t); err != nil {
				return nil, errs.E(errs.Invalid, "access rule %d: tables: %w", i, err)
			}
		}
	}
	return a, nil
}

// Grant is what a client may do.
type Grant struct {
	Client string
	Rights []Right
	// Tables bound Subscribe; nil: all tables.
	Tables []string
}

// Of returns what the rules give to a client with these names.
func (a *Access) Of(names []string) Grant {
	g := Grant{Client: strings.Join(names, ", ")}
	all := false
	for _, r := range a.Rules {
		if !slices.ContainsFunc(r.Clients, func(c string) bool {
			return slices.ContainsFunc(names, func(n string) bool { ok, _ := path.Match(c, n); return ok })
		}) {
			continue
		}
		g.Rights = append(g.Rights, r.Rights...)
		if reads := slices.Contains(r.Rights, Subscribe) || slices.Contains(r.Rights, Everything); reads {
			all = all || len(r.Tables) == 0
			g.Tables = append(g.Tables, r.Tables...)
		}
	}
	if all {
		g.Tables = nil
	}
	return g
}

// Has says whether the grant covers a right.
func (g Grant) Has(r Right) bool {
	return slices.Contains(g.Rights, r) || slices.Contains(g.Rights, Everything) || r == Look && slices.Contains(g.Rights, Administer)
}

// rightOf returns what a method needs; empty: nothing.
func rightOf(method string) Right {
	service, name := path.Split(strings.TrimPrefix(method, "/"))
	switch {
	case strings.HasPrefix(service, "grpc.health.") || strings.HasPrefix(service, "grpc.reflection."):
		return ""
	case service == "rowmesh.capture.v1.CaptureService/":
		return Subscribe
	case service == "rowmesh.control.v1.ControlService/" && (strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List")):
		return Look
	case service == "rowmesh.control.v1.ControlService/":
		return Administer
	}
	return Everything
}

type grantKey struct{}

// GrantOf returns what the client of a call may do; ok is false where nothing bounds clients.
func GrantOf(ctx context.Context) (g Grant, ok bool) {
	g, ok = ctx.Value(grantKey{}).(Grant)
	return g, ok
}

// WithGrant returns a context whose calls are bounded by g.
func WithGrant(ctx context.Context, g Grant) context.Context {
	return context.WithValue(ctx, grantKey{}, g)
}

// granted is a stream whose context has the grant.
type granted struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (g granted) Context() context.Context { return g.ctx }

// gate lets calls in. A nil gate lets all in.
type gate struct {
	file string

	mu      sync.Mutex
	access  *Access
	looked  time.Time
	changed time.Time
}

// lookEvery is how soon a changed access file holds.
const lookEvery = time.Second

func newGate(s Security) (*gate, error) {
	if s.AccessFile == "" {
		return nil, nil
	}
	if s.CAFile == "" {
		return nil, errs.E(errs.Invalid, "access file %s: clients are known by their certificates; give -tls-ca too", s.AccessFile)
	}
	g := &gate{file: s.AccessFile}
	_, err := g.rules()
	return g, err
}

// rules returns the file's rules. A file that has become unreadable lets nobody in: the rules before may be what was taken away.
func (g *gate) rules() (*Access, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.access != nil && time.Since(g.looked) < lookEvery {
		return g.access, nil
	}
	info, err := os.Stat(g.file)
	if err == nil && g.access != nil && info.ModTime().Equal(g.changed) {
		g.looked = time.Now()
		return g.access, nil
	}
	g.access = nil
	text, err := os.ReadFile(g.file)
	if err != nil {
		return nil, errs.E(errs.Denied, "access file: %w", err)
	}
	a, err := ParseAccess(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.file, err)
	}
	g.access, g.looked = a, time.Now()
	if info != nil {
		g.changed = info.ModTime()
	}
	return a, nil
}

// enter returns the context of a call that may be made. Errors are Denied and name client and right.
func (g *gate) enter(ctx context.Context, method string) (context.Context, error) {
	need := rightOf(method)
	if g == nil || need == "" {
		return ctx, nil
	}
	a, err := g.rules()
	if err != nil {
		return ctx, errs.E(errs.Denied, "%w", err)
	}
	grant := a.Of(namesOf(ctx))
	if !grant.Has(need) {
		return ctx, errs.E(errs.Denied, "client %q may not call %s: the access file of this member gives it no right %q", grant.Client, method, need)
	}
	return WithGrant(ctx, grant), nil
}

// namesOf returns the names in the certificate of a call's client.
func namesOf(ctx context.Context) []string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil
	}
	return names(info.State.PeerCertificates[0])
}

func names(c *x509.Certificate) []string {
	var out []string
	if c.Subject.CommonName != "" {
		out = append(out, c.Subject.CommonName)
	}
	out = append(out, c.DNSNames...)
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return out
}
