package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
	"github.com/rowmesh/rowmesh/integration/harness"
)

// TestStandalone runs the whole mesh in one process for the connector of a file, twice: the second time it goes on where the first has ended.
func TestStandalone(t *testing.T) {
	addr, kafka := harness.Addr(t, harness.MySQL), harness.Addr(t, harness.Kafka)
	c := database(t, addr, "cli_alone", "create table cli_alone.t (id int primary key)", "insert into cli_alone.t values (1)")
	file := connectorFile(t, "cli alone", (&harness.Mesh{Kafka: kafka}).Connector(harness.MySQL, addr, "cli-alone", "cli_alone", map[string]string{"value.converter.schemas.enable": "false"}))
	dir := t.TempDir()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics("cli-alone.cli_alone.t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	for n, op := range []string{`"op":"r"`, `"op":"c"`} {
		if n > 0 {
			run(t, c, "insert into cli_alone.t values (2)") // while nobody runs
		}
		port, err := servers.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		rest := fmt.Sprintf("127.0.0.1:%d", port)
		alone := start(t, "standalone", "--kafka", kafka, "--data", filepath.Join(dir, "etcd"), "--rest", rest, file)
		harness.Await(t, 40*time.Second, "the connector to run", func() error {
			r, err := http.Get("http://" + rest + "/connectors/cli%20alone/status")
			if err != nil {
				return fmt.Errorf("%w\n%s", err, alone.said())
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if err != nil || strings.Count(string(b), `"state":"RUNNING"`) != 2 {
				return fmt.Errorf("%s %v", b, err)
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		var got []*kgo.Record
		for len(got) == 0 && ctx.Err() == nil {
			got = consumer.PollFetches(ctx).Records()
		}
		cancel()
		if len(got) != 1 || !strings.Contains(string(got[0].Value), op) {
			t.Errorf("run %d: %d records, want one with %s\n%s", n, len(got), op, alone.said())
		}
		alone.interrupt(t)
	}
}

// TestStandaloneRefuses gives files that are no connectors, before anything is started.
func TestStandaloneRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.json")
	for text, words := range map[string][]string{
		`{"name":"x"`:                  {file, "no connector in JSON"},
		`{"name":"x"}`:                 {file, "lacks a name or a config"},
		`{"connector.class":"MySql"}`:  {file, "lacks a name or a config", `{"name": "..."`},
		`{"name":"x","config":"MySql"`: {file, "no connector in JSON"},
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "data")
		refused(t, rowmesh(t, "", "standalone", "--data", dir, file), words...)
		if _, err := os.Stat(dir); err == nil {
			t.Error("a data folder was made")
		}
	}
}

// TestStandaloneBadConnector gives a connector that the mesh refuses: the process ends and names the file and the option.
func TestStandaloneBadConnector(t *testing.T) {
	kafka := harness.Addr(t, harness.Kafka)
	file := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(file, []byte(`{"name":"bad","config":{"connector.class":"MySql","tasks.max":"none"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := rowmesh(t, "", "standalone", "--kafka", kafka, "--data", filepath.Join(t.TempDir(), "etcd"), "--rest", "127.0.0.1:0", "--log-level", "error", file)
	refused(t, r, "bad.json", "tasks.max")
	refused(t, rowmesh(t, "", "standalone", "--kafka", kafka, "--data", filepath.Join(t.TempDir(), "etcd"), "--rest", kafka), kafka, "in use", "--rest")
}
