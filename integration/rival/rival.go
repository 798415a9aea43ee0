// Package rival starts a real Kafka Connect worker with a real Debezium on this machine, to measure rowmesh beside it. Both come from Maven.
package rival

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// Versions of what is measured against.
const (
	connectVersion  = "4.3.0"
	debeziumVersion = "3.6.1.Final"
	log4jVersion    = "2.25.1"
)

// Connect starts a distributed worker on kafka and returns its process; Addr is that of its REST API. heap is the JVM's, as "2g".
func Connect(ctx context.Context, cache *servers.Cache, dir, kafka, heap string) (*servers.Process, error) {
	log := "org.apache.logging.log4j:"
	lib, err := cache.Jars(ctx, "connect-"+connectVersion, "Kafka Connect "+connectVersion, "org.apache.kafka:connect-runtime:"+connectVersion,
		log+"log4j-slf4j-impl:"+log4jVersion, log+"log4j-core:"+log4jVersion, log+"log4j-api:"+log4jVersion)
	if err != nil {
		return nil, err
	}
	plugin, err := cache.Jars(ctx, "debezium-mysql-"+debeziumVersion, "Debezium "+debeziumVersion, "io.debezium:debezium-connector-mysql:"+debeziumVersion)
	if err != nil {
		return nil, err
	}
	port, err := servers.FreePort()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	properties := filepath.Join(dir, "connect.properties")
	text := strings.Join([]string{
		"bootstrap.servers=" + kafka, "group.id=rival", fmt.Sprintf("listeners=http://127.0.0.1:%d", port),
		"key.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter=org.apache.kafka.connect.json.JsonConverter",
		"offset.storage.topic=rival-offsets", "config.storage.topic=rival-configs", "status.storage.topic=rival-status",
		"offset.storage.replication.factor=1", "offset.storage.partitions=1", "config.storage.replication.factor=1",
		"status.storage.replication.factor=1", "status.storage.partitions=1", "offset.flush.interval.ms=5000",
		"plugin.path=" + filepath.Dir(plugin), "plugin.discovery=hybrid_warn", "scheduled.rebalance.max.delay.ms=0", "connector.client.config.override.policy=All",
	}, "\n")
	if err := os.WriteFile(properties, []byte(text+"\n"), 0o644); err != nil {
		return nil, err
	}
	p, err := servers.Spawn("Connect "+connectVersion+" with Debezium "+debeziumVersion, dir, filepath.Join(dir, "log"), nil, 10*time.Second,
		"java", "-Xmx"+heap, "-cp", filepath.Join(lib, "*"), "org.apache.kafka.connect.cli.ConnectDistributed", properties)
	if err != nil {
		return nil, err
	}
	p.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	err = p.Await(ctx, 2*time.Minute, func(ctx context.Context) error {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr+"/health", nil)
		if err != nil {
			return err
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			return err
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("health: %s", r.Status)
		}
		return nil
	})
	if err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}
