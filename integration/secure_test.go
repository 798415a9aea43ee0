package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/rowmesh/rowmesh/integration/harness"
	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/rpc"
	"github.com/rowmesh/rowmesh/services/rpc/rpctest"
)

// TestMutualTLS runs a mesh whose members prove to each other who they are, with clients that may do some things only.
func TestMutualTLS(t *testing.T) {
	a := rpctest.NewAuthority(t)
	as := func(name string) rpc.Security {
		cert, key := a.Issue(name, name)
		return rpc.Security{CertFile: cert, KeyFile: key, CAFile: a.Path("ca.pem")}
	}
	a.Write("access.json", []byte(`{"rules": [{"clients": ["coordinator", "capturer", "publisher"], "rights": ["everything"]}, {"clients": ["board"], "rights": ["look"]},
		{"clients": ["shop"], "rights": ["look", "subscribe"], "tables": ["secure\\.orders"]}]}`))
	extra := map[string][]string{}
	for _, role := range []string{"coordinator", "capturer", "publisher"} {
		s := as(role)
		extra[role] = []string{"-tls-cert", s.CertFile, "-tls-key", s.KeyFile, "-tls-ca", s.CAFile, "-access", a.Path("access.json")}
	}
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 1, Publishers: 1}, extra)
	addr := harness.Addr(t, harness.MySQL)
	c := harness.Root(t, addr)
	harness.Exec(t, c, "drop database if exists secure", "create database secure", "create table secure.orders (id int primary key)", "create table secure.people (id int primary key)",
		"insert into secure.orders values (1)", "insert into secure.people values (1)")
	m.Create(t, "secure", m.Connector(harness.MySQL, addr, "secure", "secure", nil))
	r := follow(t, m.Kafka, "secure")
	harness.Await(t, time.Minute, "both rows", func() error {
		topics := map[string]int{}
		for _, x := range r.records() {
			topics[x.Topic]++
		}
		if topics["secure.secure.orders"] == 0 || topics["secure.secure.people"] == 0 {
			return fmt.Errorf("%v", topics)
		}
		return nil
	})

	control := func(name string) controlv1.ControlServiceClient {
		cc, err := rpc.Dial(m.Control, as(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cc.Close() })
		return controlv1.NewControlServiceClient(cc)
	}
	got, err := control("board").GetConnector(t.Context(), &controlv1.GetConnectorRequest{Name: "secure"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got.Connector.Config {
		if want := "[hidden]"; e.Key == "database.password" && e.Value != want {
			t.Errorf("who may look sees the password: %q", e.Value)
		}
	}
	if _, err := control("board").DeleteConnector(t.Context(), &controlv1.DeleteConnectorRequest{Name: "secure"}); grpcstatus.Code(err) != codes.PermissionDenied {
		t.Errorf("who may look deletes: %v", err)
	}
	if _, err := control("stranger").GetMesh(t.Context(), &controlv1.GetMeshRequest{}); grpcstatus.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("a stranger looks: %v", err)
	}

	rows := func(name string) ([]string, error) {
		cc, err := rpc.Dial(m.Members["capturer-1"].GRPC, as(name))
		if err != nil {
			t.Fatal(err)
		}
		defer cc.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		s, err := capture.NewClient(cc).Subscribe(ctx, &capturev1.Open{Consumer: name, Source: addr, Start: &capturev1.Start{At: &capturev1.Start_Snapshot{Snapshot: true}},
			Snapshot: &capturev1.SnapshotOptions{Data: true, Only: true}, Tables: &capturev1.TableFilter{IncludeDatabases: []string{"secure"}}})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		var tables []string
		for {
			x, err := s.Recv()
			if err != nil {
				return nil, err
			}
			if x.GetSchema() != nil {
				tables = append(tables, x.GetSchema().Table)
			}
			if x.GetSnapshot().GetComplete() {
				return tables, nil
			}
			s.Release(x)
		}
	}
	cc, err := rpc.Dial(m.Members["capturer-1"].GRPC, as("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	source, err := capturev1.NewCaptureServiceClient(cc).DescribeSource(t.Context(), &capturev1.DescribeSourceRequest{Source: addr})
	if err != nil || len(source.Tables) != 1 || source.Tables[0].Table != "orders" || len(source.Subscribers) != 0 {
		t.Errorf("who may read orders is told %v, %v", source, err)
	}
	if got, err := rows("shop"); err != nil || fmt.Sprint(got) != "[orders]" {
		t.Errorf("who may read orders reads %v, %v", got, err)
	}
	if _, err := rows("board"); errs.KindOf(err) != errs.Denied {
		t.Errorf("who may look reads rows: %v", err)
	}
}
