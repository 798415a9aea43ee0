package rpc

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/rpc/rpctest"
)

func issue(a *rpctest.Authority, file, commonName string) Security {
	cert, key := a.Issue(file, commonName)
	return Security{CertFile: cert, KeyFile: key, CAFile: a.Path("ca.pem")}
}

// secured starts a server with every service of the mesh, none of which does anything.
func secured(t *testing.T, s Security) string {
	t.Helper()
	srv, hs, err := NewServer(quiet(), s)
	if err != nil {
		t.Fatal(err)
	}
	controlv1.RegisterControlServiceServer(srv, controlv1.UnimplementedControlServiceServer{})
	controlv1.RegisterMemberServiceServer(srv, controlv1.UnimplementedMemberServiceServer{})
	capturev1.RegisterCaptureServiceServer(srv, capturev1.UnimplementedCaptureServiceServer{})
	l, err := Listen("127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, srv, hs, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string, s Security) *grpc.ClientConn {
	t.Helper()
	conn, err := Dial(addr, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// call makes one call of any method and returns its code.
func call(t *testing.T, conn *grpc.ClientConn, m grpc.MethodDesc, service string) codes.Code {
	return status.Code(conn.Invoke(t.Context(), "/"+service+"/"+m.MethodName, &emptypb.Empty{}, &emptypb.Empty{}))
}

func stream(t *testing.T, conn *grpc.ClientConn, d grpc.StreamDesc, service string) codes.Code {
	s, err := conn.NewStream(t.Context(), &d, "/"+service+"/"+d.StreamName)
	if err == nil {
		err = s.RecvMsg(&emptypb.Empty{})
	}
	return status.Code(err)
}

// Every method asks for its right: who has it gets to the service, which says Unimplemented here, and who has not is denied.
func TestEveryMethodAsksForItsRight(t *testing.T) {
	a := rpctest.NewAuthority(t)
	s := issue(a, "server", "coordinator-1")
	s.AccessFile = a.Path("access.json")
	a.Write("access.json", []byte(`{"rules": [{"clients": ["coordinator-*", "capturer-*"], "rights": ["everything"]}, {"clients": ["ops"], "rights": ["administer"]},
		{"clients": ["board"], "rights": ["look"]}, {"clients": ["reporting"], "rights": ["subscribe"]}]}`))
	addr := secured(t, s)
	rights := map[string][]Right{"capturer-7": {Everything, Administer, Look, Subscribe}, "ops": {Administer, Look}, "board": {Look}, "reporting": {Subscribe}, "stranger": nil}
	needs := func(service, method string) Right {
		switch {
		case service == "rowmesh.capture.v1.CaptureService":
			return Subscribe
		case service == "rowmesh.control.v1.MemberService":
			return Everything
		case strings.HasPrefix(method, "Get") || strings.HasPrefix(method, "List"):
			return Look
		}
		return Administer
	}
	for name, has := range rights {
		conn := dial(t, addr, issue(a, name, name))
		for _, d := range []grpc.ServiceDesc{controlv1.ControlService_ServiceDesc, controlv1.MemberService_ServiceDesc, capturev1.CaptureService_ServiceDesc} {
			got := map[string]codes.Code{}
			for _, m := range d.Methods {
				got[m.MethodName] = call(t, conn, m, d.ServiceName)
			}
			for _, m := range d.Streams {
				got[m.StreamName] = stream(t, conn, m, d.ServiceName)
			}
			for method, code := range got {
				want := codes.PermissionDenied
				for _, r := range has {
					if r == needs(d.ServiceName, method) {
						want = codes.Unimplemented
					}
				}
				if code != want {
					t.Errorf("%s calls %s.%s: %v, want %v", name, d.ServiceName, method, code, want)
				}
			}
		}
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Errorf("%s asks for health: %v", name, err)
		}
	}
}

// Without a certificate of the authority nobody gets in, and a name in plain text proves nothing.
func TestNoCertificateNoCall(t *testing.T) {
	a, other := rpctest.NewAuthority(t), rpctest.NewAuthority(t)
	addr := secured(t, issue(a, "server", "s"))
	foreign := issue(other, "client", "s")
	foreign.CAFile = a.Path("ca.pem")
	for name, s := range map[string]Security{"plain text": {}, "no certificate": {CAFile: a.Path("ca.pem")}, "a foreign one": foreign} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := grpc_health_v1.NewHealthClient(dial(t, addr, s)).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		cancel()
		if status.Code(err) != codes.Unavailable && status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate, an authority and an access file that are replaced hold without a restart.
func TestFilesThatChange(t *testing.T) {
	a := rpctest.NewAuthority(t)
	s := issue(a, "server", "server")
	s.AccessFile = a.Path("access.json")
	a.Write("access.json", []byte(`{"rules": []}`))
	addr := secured(t, s)
	look := controlv1.ControlService_ServiceDesc.Methods[0]
	for _, m := range controlv1.ControlService_ServiceDesc.Methods {
		if strings.HasPrefix(m.MethodName, "Get") {
			look = m
		}
	}
	client := issue(a, "client", "board")
	if code := call(t, dial(t, addr, client), look, "rowmesh.control.v1.ControlService"); code != codes.PermissionDenied {
		t.Fatalf("without rules: %v", code)
	}
	a.Write("access.json", []byte(`{"rules": [{"clients": ["board"], "rights": ["look"]}]}`))
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(s.AccessFile, later, later); err != nil { // file systems tell times in ticks of several milliseconds
		t.Fatal(err)
	}
	await(t, "the new rules", func() bool {
		return call(t, dial(t, addr, client), look, "rowmesh.control.v1.ControlService") == codes.Unimplemented
	})

	// A new authority: certificates of the old one are worth nothing from the next connection on.
	a.Renew()
	issue(a, "server", "server")
	if code := call(t, dial(t, addr, client), look, "rowmesh.control.v1.ControlService"); code != codes.Unavailable {
		t.Errorf("a certificate of the authority before: %v", code)
	}
	if code := call(t, dial(t, addr, issue(a, "client", "board")), look, "rowmesh.control.v1.ControlService"); code != codes.Unimplemented {
		t.Errorf("a certificate of the new authority: %v", code)
	}
	if err := os.Remove(s.AccessFile); err != nil {
		t.Fatal(err)
	}
	await(t, "no file, no call", func() bool {
		return call(t, dial(t, addr, client), look, "rowmesh.control.v1.ControlService") == codes.PermissionDenied
	})
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within ten seconds", what)
		}
	}
}

func TestGrants(t *testing.T) {
	a, err := ParseAccess([]byte(`{"rules": [{"clients": ["r*"], "rights": ["subscribe"], "tables": ["shop\\..*"]}, {"clients": ["reporting"], "rights": ["subscribe"], "tables": ["crm\\.people"]},
		{"clients": ["*.example.com", "spiffe://mesh/all"], "rights": ["subscribe"]}, {"clients": ["r2"], "rights": ["look"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Grant{
		"reporting":         {Client: "reporting", Rights: []Right{Subscribe, Subscribe}, Tables: []string{`shop\..*`, `crm\.people`}},
		"a.example.com":     {Client: "a.example.com", Rights: []Right{Subscribe}},
		"spiffe://mesh/all": {Client: "spiffe://mesh/all", Rights: []Right{Subscribe}},
		"r2":                {Client: "r2", Rights: []Right{Subscribe, Look}, Tables: []string{`shop\..*`}},
		"nobody":            {Client: "nobody"},
	} {
		if d := cmp.Diff(want, a.Of([]string{name})); d != "" {
			t.Error(d)
		}
	}
	for text, part := range map[string]string{
		`{"rules": [{"clients": ["a"], "rights": ["fly"]}]}`:                         `"fly"`,
		`{"rules": [{"rights": ["look"]}]}`:                                          "rule 0",
		`{"rules": [{"clients": ["["], "rights": ["look"]}]}`:                        `"["`,
		`{"rules": [{"clients": ["a"], "rights": ["subscribe"], "tables": ["(("]}]}`: "tables",
		`{"rules": [{"client": ["a"]}]}`:                                             `"client"`,
		`nonsense`:                                                                   "access rules",
	} {
		if _, err := ParseAccess([]byte(text)); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, _, err := NewServer(quiet(), Security{AccessFile: "x.json"}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("an access file without an authority: %v", err)
	}
}
