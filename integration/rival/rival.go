// Package rival starts a real Kafka Connect worker with a real Debezium on this machine, to measure rowmesh beside it and to record what it writes.
// Both come from Maven.
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

// Versions that are used unless others are asked for. MariaDB's connector is the newest that the recordings were made with.
const (
	connectVersion = "4.3.0"
	MySQLVersion   = "3.6.1.Final"
	MariaDBVersion = "3.5.0.Final"
	log4jVersion   = "2.25.1"
)

// Options say which worker is wanted.
type Options struct {
	// Dir holds its properties and its log.
	Dir string
	// Kafka is host:port.
	Kafka string
	// Heap is the JVM's, as "2g".
	Heap string
	// MySQL and MariaDB are the versions of Debezium's connectors; an empty one is left out.
	MySQL, MariaDB string
}

// Connect starts a distributed worker with Debezium's connector for MySQL on kafka and returns its process; Addr is that of its REST API. heap is the
// JVM's, as "2g".
func Connect(ctx context.Context, cache *servers.Cache, dir, kafka, heap string) (*servers.Process, error) {
	return Start(ctx, cache, Options{Dir: dir, Kafka: kafka, Heap: heap, MySQL: MySQLVersion})
}

// Start starts a distributed worker and returns its process; Addr is that of its REST API.
func Start(ctx context.Context, cache *servers.Cache, o Options) (*servers.Process, error) {
	log := "org.apache.logging.log4j:"
	lib, err := cache.Jars(ctx, "connect-"+connectVersion, "Kafka Connect "+connectVersion, "org.apache.kafka:connect-runtime:"+connectVersion,
		log+"log4j-slf4j-impl:"+log4jVersion, log+"log4j-core:"+log4jVersion, log+"log4j-api:"+log4jVersion)
	if err != nil {
		return nil, err
	}
	plugins, err := o.plugins(ctx, cache)
	if err != nil {
		return nil, err
	}
	port, err := servers.FreePort()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	properties := filepath.Join(o.Dir, "connect.properties")
	text := strings.Join([]string{
		"bootstrap.servers=" + o.Kafka, "group.id=rival", fmt.Sprintf("listeners=http://127.0.0.1:%d", port),
		"key.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter=org.apache.kafka.connect.json.JsonConverter",
		"offset.storage.topic=rival-offsets", "config.storage.topic=rival-configs", "status.storage.topic=rival-status",
		"offset.storage.replication.factor=1", "offset.storage.partitions=1", "config.storage.replication.factor=1",
		"status.storage.replication.factor=1", "status.storage.partitions=1", "offset.flush.interval.ms=5000",
		"plugin.path=" + strings.Join(plugins, ","), "plugin.discovery=hybrid_warn", "scheduled.rebalance.max.delay.ms=0", "connector.client.config.override.policy=All",
	}, "\n")
	if err := os.WriteFile(properties, []byte(text+"\n"), 0o644); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("Connect %s with Debezium %s", connectVersion, strings.Trim(o.MySQL+" "+o.MariaDB, " "))
	p, err := servers.Spawn(name, o.Dir, filepath.Join(o.Dir, "log"), nil, 10*time.Second,
		"java", "-Xmx"+o.Heap, "-cp", filepath.Join(lib, "*"), "org.apache.kafka.connect.cli.ConnectDistributed", properties)
	if err != nil {
		return nil, err
	}
	p.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	if err := p.Await(ctx, 2*time.Minute, func(ctx context.Context) error { return healthy(ctx, p.Addr) }); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// plugins fetches the connectors and returns the folders that plugin.path names.
func (o Options) plugins(ctx context.Context, cache *servers.Cache) (dirs []string, err error) {
	for _, c := range []struct{ name, version string }{{"mysql", o.MySQL}, {"mariadb", o.MariaDB}} {
		if c.version == "" {
			continue
		}
		what := fmt.Sprintf("debezium-%s-%s", c.name, c.version)
		lib, err := cache.Jars(ctx, what, fmt.Sprintf("Debezium %s for %s", c.version, c.name), fmt.Sprintf("io.debezium:debezium-connector-%s:%s", c.name, c.version))
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, filepath.Dir(lib))
	}
	return dirs, nil
}

// healthy returns nil once the worker at addr says that it is ready.
func healthy(ctx context.Context, addr string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/health", nil)
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
}
