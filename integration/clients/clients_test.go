package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// fetched is a way to run clients of one language: the command, and what comes before the client's arguments.
type fetched func(ctx context.Context, t *testing.T) (cmd string, args []string, env []string, err error)

// publicClient is a client of the REST API.
type publicClient struct {
	name string // as its registry knows it, with its version
	run  fetched
	args []string
	// required: CI has had it before, so that it must be there where real things are required.
	required bool
}

var publicClients = []publicClient{
	{"github.com/go-kafka/connect v0.9.0", goProgram, []string{"go-kafka"}, true},
	{"github.com/ricardo-ch/go-kafka-connect v3.0.0-20221117134721-e033f95963cb", goProgram, []string{"ricardo"}, true},
	{"kafka-connect-py 1.0.0", pythonProgram, []string{"kafka-connect-py"}, false},
	{"kafka-connect-py 1.0.0, command line", pythonProgram, []string{"kc"}, false},
	{"kafkaconnect 1.3.1", pythonProgram, []string{"kafkaconnect"}, false},
	{"kafka-connect-api 0.5.10", pythonProgram, []string{"kafka-connect-api"}, false},
	{"kafka-connect-healthcheck 0.3.0", pythonProgram, []string{"kafka-connect-healthcheck"}, false},
	{"org.sourcelab kafka-connect-client 4.0.4", javaProgram, nil, false},
}

func cache() *servers.Cache {
	return &servers.Cache{Say: func(l string) { fmt.Fprintln(os.Stderr, l) }}
}

// goProgram builds the program of testdata/go, a module of its own, once.
func goProgram(ctx context.Context, t *testing.T) (string, []string, []string, error) {
	program := filepath.Join(os.TempDir(), fmt.Sprintf("rowmesh-clients-%d", os.Getpid()))
	if _, err := os.Stat(program); err != nil {
		build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
		build.Dir, build.Env = filepath.Join("testdata", "go"), append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			return "", nil, nil, fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	return program, nil, nil, nil
}

// pythonProgram is testdata/python/life.py with its packages.
func pythonProgram(ctx context.Context, _ *testing.T) (string, []string, []string, error) {
	dir, err := cache().Python(ctx, "connect-clients-py-1", "clients of Kafka Connect in Python",
		"kafka-connect-py==1.0.0", "kafkaconnect==1.3.1", "kafka-connect-api==0.5.10", "kafka-connect-healthcheck==0.3.0",
		"requests==2.34.2", "urllib3==2.8.0", "idna==3.20", "certifi==2026.10.18", "charset-normalizer==3.5.2", "click==8.5.1", "python-dotenv==0.21.1")
	return "python3", []string{filepath.Join("testdata", "python", "life.py")}, []string{"PYTHONPATH=" + dir, "PYTHONDONTWRITEBYTECODE=1"}, err
}

// javaProgram is testdata/java/Life.java, which a JDK compiles in memory.
func javaProgram(ctx context.Context, _ *testing.T) (string, []string, []string, error) {
	if _, err := exec.LookPath("javac"); err != nil {
		return "", nil, nil, fmt.Errorf("a Java compiler: %w", servers.ErrMissing)
	}
	lib, err := cache().Jars(ctx, "sourcelab-connect-client-4.0.4", "SourceLab's client of Kafka Connect", "org.sourcelab:kafka-connect-client:4.0.4", "org.slf4j:slf4j-nop:1.7.36")
	return "java", []string{"-cp", filepath.Join(lib, "*"), filepath.Join("testdata", "java", "Life.java")}, nil, err
}

// TestPublicClients runs all clients at once against one mesh, each with a connector of its own.
func TestPublicClients(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	c, err := client.Connect(addr, servers.RootUser, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, q := range []string{"create database if not exists pub_clients", "create table if not exists pub_clients.t (id int primary key)", "insert ignore into pub_clients.t values (1)"} {
		if _, err := c.Execute(q); err != nil {
			t.Fatal(err)
		}
	}
	m := harness.Start(t, harness.Size{Coordinators: 2, Capturers: 1, Publishers: 1}, nil)
	t.Run("all", func(t *testing.T) {
		for i, p := range publicClients {
			t.Run(p.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // the first run fetches
				defer cancel()
				cmd, args, env, err := p.run(ctx, t)
				switch {
				case err != nil && p.required && os.Getenv("ROWMESH_REQUIRE_REAL") == "1":
					t.Fatal(err)
				case err != nil:
					t.Skipf("cannot be had: %v", err)
				}
				t.Parallel()
				name := fmt.Sprintf("public-%d", i)
				p.life(t, m, name, m.Connector(harness.MySQL, addr, name, "pub_clients", nil), cmd, args, env)
			})
		}
	})
	os.Remove(filepath.Join(os.TempDir(), fmt.Sprintf("rowmesh-clients-%d", os.Getpid())))
}

// life runs a client's program to its end, which it says.
func (p publicClient) life(t *testing.T, m *harness.Mesh, name string, config map[string]string, cmd string, args, env []string) {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, cmd, append(append(args, p.args...), m.REST, name, file)...)
	run.Env = append(os.Environ(), env...)
	out, err := run.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "done") {
		t.Errorf("%v:\n%s", err, out)
	}
}
