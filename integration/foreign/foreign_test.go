package foreign

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// arrives bounds how long a record may take, and a lane to fail or to heal: its back-off reaches half a minute.
const arrives = 90 * time.Second

// python generates the code of the contract and returns how to run the example; what it needs is fetched once.
func python(t *testing.T) (dir string, env []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	lib, err := (&servers.Cache{Say: func(l string) { fmt.Fprintln(os.Stderr, l) }}).Python(ctx, "grpc-py-1", "gRPC for Python",
		"grpcio==1.85.1", "grpcio-tools==1.85.1", "protobuf==7.36.2", "setuptools==84.2.1", "typing-extensions==4.15.0")
	if err != nil {
		t.Skipf("no Python with gRPC: %v", err)
	}
	dir, env = t.TempDir(), append(os.Environ(), "PYTHONPATH="+lib, "PYTHONDONTWRITEBYTECODE=1")
	generate := exec.CommandContext(ctx, "python3", "-m", "grpc_tools.protoc", "-I", "../../proto", "--python_out="+dir, "--grpc_python_out="+dir, "rowmesh/transform/v1/transform_service.proto")
	generate.Env = env
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join("testdata", "python", "mask.py"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mask.py"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, env
}

// serve starts the example on a port ("0": a free one) and returns the port, and how to kill it.
func serve(t *testing.T, dir string, env []string, port string) (string, func()) {
	t.Helper()
	c := exec.Command("python3", "mask.py", port)
	c.Dir, c.Env, c.Stderr = dir, env, os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	dead := false
	kill := func() {
		if !dead {
			dead = true
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the example says no port: %v", err)
	}
	return strings.TrimSpace(line), kill
}

// values reads the values of a topic until there are n, in order.
func values(t *testing.T, kafka, topic string, n int) []string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), arrives)
	defer cancel()
	var out []string
	for len(out) < n {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s: %d records, want %d: %q", topic, len(out), n, out)
		}
		for _, r := range f.Records() {
			out = append(out, string(r.Value))
		}
	}
	return out
}

// TestPython masks rows by a server in Python, which then is killed and comes back: its lane waits and says why, another one goes on, and nothing is lost.
func TestPython(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	dir, env := python(t)
	port, kill := serve(t, dir, env, "0")
	db := harness.Root(t, addr)
	harness.Exec(t, db, "drop database if exists foreign_py", "create database foreign_py", "create table foreign_py.people (id int primary key, email varchar(80))",
		"insert into foreign_py.people values (1, 'ann@example.org'), (2, null)")
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	plain := map[string]string{"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false", "include.schema.changes": "false"}
	with := map[string]string{"transforms": "mask", "transforms.mask.type": "rowmesh.transforms.Foreign", "transforms.mask.address": "127.0.0.1:" + port, "transforms.mask.options.column": "email",
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "foreign-dead", "database.server.id": "7201"}
	for k, v := range plain {
		with[k] = v
	}
	m.Create(t, "foreign-mask", m.Connector(harness.MySQL, addr, "foreign-mask", "foreign_py", with))
	m.Create(t, "foreign-plain", m.Connector(harness.MySQL, addr, "foreign-plain", "foreign_py", plain))
	masked, unmasked := "foreign-mask.foreign_py.people", "foreign-plain.foreign_py.people"
	if got := values(t, m.Kafka, masked, 2); !strings.Contains(got[0], `"after":{"id":1,"email":"***@example.org"}`) || !strings.Contains(got[1], `"after":{"id":2,"email":null}`) {
		t.Errorf("the snapshot is %q", got)
	}
	harness.Exec(t, db, "insert into foreign_py.people values (3, 'nobody')", "update foreign_py.people set email = 'ben@example.net' where id = 2", "delete from foreign_py.people where id = 1")
	got := values(t, m.Kafka, masked, 5)
	if !strings.Contains(got[2], `"after":{"id":2,"email":"***@example.net"}`) || !strings.Contains(got[3], `"before":{"id":1,"email":"***@example.org"},"after":null`) || got[4] != "" {
		t.Errorf("the stream is %q", got[2:])
	}
	if dead := values(t, m.Kafka, "foreign-dead", 1); !strings.Contains(dead[0], `"email":"nobody"`) {
		t.Errorf("dead letters: %q", dead)
	}
	kill()
	harness.Exec(t, db, "insert into foreign_py.people values (4, 'cid@example.com')")
	harness.Await(t, arrives, "the lane to say that its server is away", func() error {
		if _, status := m.Call(t, "GET", "/connectors/foreign-mask/status", nil); !strings.Contains(status, "transform server 127.0.0.1:"+port) {
			return fmt.Errorf("%s", status)
		}
		return nil
	})
	values(t, m.Kafka, unmasked, 7) // the other lane goes on
	serve(t, dir, env, port)
	if got := values(t, m.Kafka, masked, 6); !strings.Contains(got[5], `"after":{"id":4,"email":"***@example.com"}`) {
		t.Errorf("after the server came back: %q", got[5])
	}
	harness.Await(t, arrives, "the connector to run", func() error { return m.Running(t, "foreign-mask", 1) })
}
