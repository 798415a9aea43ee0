package coordinator

import (
	"cmp"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/rowmesh/rowmesh/coordinator/connect"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/telemetry"
)

// restFlags say how the REST API is served.
type restFlags struct {
	address, url      string
	certFile, keyFile string
	usersFile         string
	maskSecrets       bool

	users connect.Users // of usersFile, once listen has read it
}

func (r *restFlags) declare(f *flag.FlagSet) {
	f.StringVar(&r.address, "rest", "127.0.0.1:8083", "address of the REST API")
	f.StringVar(&r.url, "rest-url", "", "base URL by which clients reach the REST API (default: the address listened on)")
	f.StringVar(&r.certFile, "rest-tls-cert", "", "PEM certificate with which the REST API is served")
	f.StringVar(&r.keyFile, "rest-tls-key", "", "its key")
	f.StringVar(&r.usersFile, "rest-users", "", "file with a line name=password for each user of the REST API (default: everybody may use it)")
	f.BoolVar(&r.maskSecrets, "rest-mask-secrets", false, "show passwords in configs as [hidden]; one that is sent back so keeps its value")
}

// listen reads the files and listens; in plain text on loopback only, unless insecure.
func (r *restFlags) listen(insecure bool) (net.Listener, error) {
	if r.usersFile != "" {
		f, err := os.Open(r.usersFile)
		if err != nil {
			return nil, errs.E(errs.Invalid, "-rest-users: %w", err)
		}
		defer f.Close()
		if r.users, err = connect.ReadUsers(f); err != nil {
			return nil, fmt.Errorf("-rest-users %s: %w", r.usersFile, err)
		}
	}
	scheme, security := "http://", (*tls.Config)(nil)
	if r.certFile != "" || r.keyFile != "" {
		cert, err := tls.LoadX509KeyPair(r.certFile, r.keyFile)
		if err != nil {
			return nil, errs.E(errs.Invalid, "-rest-tls-cert %s with -rest-tls-key %s: %w", r.certFile, r.keyFile, err)
		}
		// Java clients of ten years speak 1.2.
		scheme, security = "https://", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	}
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for the REST API: %w", r.address, err)
	}
	if security == nil && !insecure && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		l.Close()
		return nil, errs.E(errs.Invalid, "listen on %s for the REST API: configs hold passwords, so plain text is for loopback only; give -rest-tls-cert and -rest-tls-key, or -insecure", r.address)
	}
	r.url = cmp.Or(r.url, scheme+l.Addr().String())
	if security != nil {
		l = tls.NewListener(l, security)
	}
	return l, nil
}

func (r *restFlags) serve(ctx context.Context, log *slog.Logger, l net.Listener, h http.Handler) error {
	log.Info("REST API", "address", l.Addr().String(), "url", r.url, "users", len(r.users))
	if r.users != nil {
		h = r.users.Protect(h)
	}
	return telemetry.Serve(ctx, l, h)
}

// partNames are the loggers that are listed before somebody sets one: the parts of the mesh.
var partNames = []string{"rowmesh", "rowmesh.capturer", "rowmesh.coordinator", "rowmesh.publisher", "rowmesh.services"}

// restMember serves MemberService for a coordinator, which runs nothing.
type restMember struct {
	controlv1.UnimplementedMemberServiceServer
	rest   *connect.Handler
	levels *telemetry.Levels
}

var _ controlv1.MemberServiceServer = restMember{}

// Report implements controlv1.MemberServiceServer.
func (restMember) Report(context.Context, *controlv1.ReportRequest) (*controlv1.ReportResponse, error) {
	return &controlv1.ReportResponse{}, nil
}

// ForgetTopics implements controlv1.MemberServiceServer.
func (restMember) ForgetTopics(context.Context, *controlv1.ForgetTopicsRequest) (*controlv1.ForgetTopicsResponse, error) {
	return &controlv1.ForgetTopicsResponse{}, nil
}

// SetLogLevel implements controlv1.MemberServiceServer.
func (m restMember) SetLogLevel(_ context.Context, r *controlv1.SetLogLevelRequest) (*controlv1.SetLogLevelResponse, error) {
	return &controlv1.SetLogLevelResponse{}, m.rest.SetLevel(r.Logger, r.Level)
}
