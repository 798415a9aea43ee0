package restlive

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rowmesh/rowmesh/integration/harness"
	controlv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/control/v1"
	"github.com/rowmesh/rowmesh/services/rpc"
)

// TestReferences names a database and its password by references. It is the same source as when it is named outright, it is read, and nothing that is
// answered shows what the references lead to.
func TestReferences(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	setup(t, addr)
	host, port, _ := net.SplitHostPort(addr)
	file := filepath.Join(t.TempDir(), "db.properties")
	if err := os.WriteFile(file, []byte("host="+host+"\nport="+port+"\npassword=dbz\nother=hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"-secret-roots", filepath.Dir(file)}
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 2, Publishers: 1}, map[string][]string{"coordinator": flags, "capturer": flags, "publisher": flags})
	ref := func(key string) string { return "${file:" + file + ":" + key + "}" }
	m.Create(t, "plain", m.Connector(harness.MySQL, addr, "ref-plain", "rest_inv", nil))
	m.Create(t, "referred", m.Connector(harness.MySQL, addr, "ref-referred", "rest_inv", map[string]string{
		"database.hostname": ref("host"), "database.port": ref("port"), "database.password": ref("password"),
	}))
	for _, name := range []string{"plain", "referred"} {
		harness.Await(t, 30*time.Second, name+" to run and write", func() error {
			_, status := m.Call(t, "GET", "/connectors/"+name+"/status", nil)
			_, topics := m.Call(t, "GET", "/connectors/"+name+"/topics", nil)
			if strings.Count(status, `"state":"RUNNING"`) != 2 || strings.Contains(status, "warnings") || !strings.Contains(topics, "rest_inv.orders") {
				return fmt.Errorf("%s %s", status, topics)
			}
			return nil
		})
	}
	if _, config := m.Call(t, "GET", "/connectors/referred/config", nil); !strings.Contains(config, ref("host")) || !strings.Contains(config, ref("password")) {
		t.Errorf("the config came back as %s", config)
	}
	conn, err := rpc.Dial(m.Control, rpc.Security{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	mesh, err := controlv1.NewControlServiceClient(conn).GetMesh(ctx, &controlv1.GetMeshRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(mesh.Sources) != 1 || mesh.Sources[0].Id != addr {
		t.Errorf("sources %v, want %s alone", mesh.Sources, addr)
	}
	for option, words := range map[string][]string{
		"database.hostname": {"Unable to connect", ref("other")},
		"database.user":     {"Access denied", ref("other")},
		"database.port":     {"database.port"},
		"snapshot.mode":     {"snapshot.mode"},
	} {
		config := m.Connector(harness.MySQL, addr, "ref-bad", "rest_inv", map[string]string{option: ref("other")})
		code, body := m.Call(t, "POST", "/connectors", map[string]any{"name": "bad", "config": config})
		if code != 400 || strings.Contains(body, "hunter2") {
			t.Errorf("%s: %d %s", option, code, body)
		}
		for _, w := range words {
			if !strings.Contains(body, w) {
				t.Errorf("%s: %s does not say %q", option, body, w)
			}
		}
	}
}
