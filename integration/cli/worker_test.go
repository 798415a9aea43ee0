package cli

import (
	"context"
	"fmt"
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

// TestWorker runs the files that a worker of Kafka Connect takes: its properties, and a connector in properties whose password is a reference. The worker's
// converters count for the connector, which names none.
func TestWorker(t *testing.T) {
	addr, kafka := harness.Addr(t, harness.MySQL), harness.Addr(t, harness.Kafka)
	database(t, addr, "cli_worker", "create table cli_worker.t (id int primary key)", "insert into cli_worker.t values (1)")
	dir := t.TempDir()
	port, err := servers.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	config := (&harness.Mesh{Kafka: kafka}).Connector(harness.MySQL, addr, "cli-worker", "cli_worker",
		map[string]string{"key.converter": "", "value.converter": "", "name": "of-file", "database.password": "${file:" + dir + "/db.properties:password}"})
	connector := ""
	for k, v := range config {
		connector += k + "=" + v + "\n"
	}
	unique := fmt.Sprintf("cli-worker-%x", time.Now().UnixNano())
	for file, text := range map[string]string{
		"db.properties":        "password=" + servers.ConnectorPass + "\n",
		"connector.properties": connector,
		"worker.properties": "bootstrap.servers=" + kafka + "\ngroup.id=" + unique + "\noffset.storage.topic=" + unique + "\n" +
			"key.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n" +
			"config.storage.topic=x\nplugin.path=/none\nconfig.providers=file\n" +
			"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\nconfig.providers.file.param.allowed.paths=" + dir + "\n" +
			fmt.Sprintf("listeners=http://127.0.0.1:%d\n", port),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics("cli-worker.cli_worker.t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	w := start(t, "worker", filepath.Join(dir, "worker.properties"), filepath.Join(dir, "connector.properties"), "--data", filepath.Join(dir, "etcd"))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) == 0 && ctx.Err() == nil {
		got = consumer.PollFetches(ctx).Records()
	}
	if len(got) != 1 || !strings.HasPrefix(string(got[0].Value), `{"before":null`) || !strings.HasPrefix(string(got[0].Key), `{"schema":`) {
		t.Fatalf("%d records\n%s", len(got), w.said())
	}
	said := w.said()
	if strings.Count(said, "mean nothing here") != 1 || !strings.Contains(said, "plugin.path") || !strings.Contains(said, "config.storage.topic") {
		t.Errorf("the warning: %s", said)
	}
	r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/connectors/of-file/offsets", port))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 200 {
		t.Errorf("offsets: %s", r.Status)
	}
	w.interrupt(t)
}
