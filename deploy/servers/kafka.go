package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaVersion is the broker's; log4jVersion that of its logging back end.
const (
	kafkaVersion = "4.3.0"
	log4jVersion = "2.25.1"
)

// Broker is a Kafka broker's program.
type Broker struct {
	Name string
	jars string // class path
}

// kafkaItem is the cache's name of the broker.
const kafkaItem = "kafka-" + kafkaVersion

// KafkaMissing returns nil if Kafka can be had here, else an error that wraps ErrMissing and names what is not on the machine.
func (c *Cache) KafkaMissing() error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("java (a JRE, 17 or newer): %w", ErrMissing)
	}
	root, err := c.dir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, kafkaItem)); err == nil {
		return nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("mvn (Maven): %w", ErrMissing)
	}
	return nil
}

// Kafka fetches a broker. Java must be on the machine, and Maven for the first time: see KafkaMissing.
func (c *Cache) Kafka(ctx context.Context) (*Broker, error) {
	if err := c.KafkaMissing(); err != nil {
		return nil, err
	}
	log := "org.apache.logging.log4j:"
	lib, err := c.Jars(ctx, kafkaItem, "Kafka "+kafkaVersion, "org.apache.kafka:kafka_2.13:"+kafkaVersion,
		log+"log4j-slf4j-impl:"+log4jVersion, log+"log4j-core:"+log4jVersion, log+"log4j-api:"+log4jVersion)
	if err != nil {
		return nil, err
	}
	return &Broker{Name: "Kafka " + kafkaVersion + " (Maven)", jars: filepath.Join(lib, "*")}, nil
}

// BrokerOptions say how a broker is started.
type BrokerOptions struct {
	Dir   string // data, properties and log
	Port  int    // 0: a free one
	Extra []string
}

const log4jConfig = `<Configuration status="warn"><Appenders><Console name="c"><PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/></Console></Appenders>` +
	`<Loggers><Root level="warn"><AppenderRef ref="c"/></Root></Loggers></Configuration>`

// clusterID is a base64 UUID, as the format tool demands.
const clusterID = "cm93bWVzaC1sb2NhbC1jbA"

// Start starts a broker that is its own controller (KRaft) and waits until it answers requests.
func (b *Broker) Start(ctx context.Context, o BrokerOptions) (*Process, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if o.Port == 0 {
		if o.Port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	controller, err := FreePort()
	if err != nil {
		return nil, err
	}
	properties, log4j, logs := filepath.Join(dir, "server.properties"), filepath.Join(dir, "log4j2.xml"), filepath.Join(dir, "logs")
	text := strings.Join(append([]string{
		"process.roles=broker,controller", "node.id=1",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", controller),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", o.Port, controller),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d", o.Port),
		"controller.listener.names=CONTROLLER", "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", "inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + logs,
		// One broker: nothing can be replicated. Few partitions: each is a file set that is opened at start.
		"offsets.topic.replication.factor=1", "offsets.topic.num.partitions=4", "transaction.state.log.replication.factor=1", "transaction.state.log.num.partitions=4",
		"transaction.state.log.min.isr=1", "share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
	}, o.Extra...), "\n")
	if err := os.WriteFile(properties, []byte(text+"\n"), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(log4j, []byte(log4jConfig), 0o644); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(logs, "meta.properties")); err != nil {
		if err := b.format(ctx, dir, log4j, properties); err != nil {
			os.RemoveAll(logs)
			return nil, err
		}
	}
	p, err := Spawn(b.Name, dir, filepath.Join(dir, "log"), nil, 15*time.Second, "java", "-Xmx1g", "-Xms256m", "-Dlog4j2.configurationFile="+log4j, "-cp", b.jars, "kafka.Kafka", properties)
	if err != nil {
		return nil, err
	}
	p.Addr = fmt.Sprintf("127.0.0.1:%d", o.Port)
	if err := p.Await(ctx, 90*time.Second, func(ctx context.Context) error { return answers(ctx, p.Addr) }); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

func (b *Broker) format(ctx context.Context, dir, log4j, properties string) error {
	cmd := exec.CommandContext(ctx, "java", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile="+log4j, "-cp", b.jars,
		"kafka.tools.StorageTool", "format", "-t", clusterID, "-c", properties)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format the storage of %s: %w: %s", b.Name, err, tail(out))
	}
	return nil
}

// answers returns nil once the broker answers requests and knows a controller, without which no topic can be made.
func answers(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if r.ControllerID < 0 || len(r.Brokers) == 0 {
		return fmt.Errorf("%s has no controller yet", addr)
	}
	return nil
}
