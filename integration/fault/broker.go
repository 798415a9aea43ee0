package fault

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/rowmesh/rowmesh/deploy/servers"
)

// planBrokers lays out the brokers. The first is the controller too. Among themselves, and to those who judge, they are where they are; the mesh meets their proxies.
func (c *Cluster) planBrokers() error {
	ports, err := freePorts(c.Brokers + 1)
	if err != nil {
		return err
	}
	controller := ports[c.Brokers]
	for i := range c.Brokers {
		name, port := fmt.Sprintf("kafka-%d", i+1), ports[i]
		p, err := c.Net.listen(name, local(port), &c.brokers)
		if err != nil {
			return err
		}
		c.brokers.proxy[int32(i+1)] = p
		extra := []string{
			fmt.Sprintf("node.id=%d", i+1), fmt.Sprintf("controller.quorum.voters=1@%s", local(controller)),
			// A broker that vanishes is missed within 4 s instead of 9.
			"broker.session.timeout.ms=4000", "broker.heartbeat.interval.ms=500", "replica.lag.time.max.ms=4000", "controlled.shutdown.max.retries=1",
			fmt.Sprintf("default.replication.factor=%d", c.Brokers), fmt.Sprintf("offsets.topic.replication.factor=%d", c.Brokers),
			fmt.Sprintf("transaction.state.log.replication.factor=%d", c.Brokers), "min.insync.replicas=1",
			"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "allow.everyone.if.no.acl.found=true",
		}
		if i == 0 {
			extra = append(extra, fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s", local(port), local(controller)))
		} else {
			extra = append(extra, "process.roles=broker", "listeners=PLAINTEXT://"+local(port))
		}
		c.starts[name] = func(ctx context.Context) (*servers.Process, error) {
			return c.broker.Start(ctx, servers.BrokerOptions{Dir: filepath.Join(c.Dir, name), Port: port, Extra: append(extra, c.Kafka...)})
		}
	}
	return nil
}

// Kafkas returns the addresses of the brokers themselves.
func (c *Cluster) Kafkas() (out []string) {
	for i := range c.Brokers {
		out = append(out, c.Net.Proxy(fmt.Sprintf("kafka-%d", i+1)).Target())
	}
	return out
}

// brokerNames are all brokers.
func (c *Cluster) brokerNames() (out []string) {
	for i := range c.Brokers {
		out = append(out, fmt.Sprintf("kafka-%d", i+1))
	}
	return out
}

// Admin calls f with an administrator's client of the brokers themselves.
func (c *Cluster) Admin(ctx context.Context, f func(ctx context.Context, adm *kadm.Client) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Kafkas()...), kgo.RetryTimeout(20*time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	return f(ctx, kadm.NewClient(cl))
}

// SetTopic changes a topic's configs: "name=value"; a name without a value goes back to its default.
func (c *Cluster) SetTopic(ctx context.Context, topic string, configs ...string) error {
	return c.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
		var all []kadm.AlterConfig
		for _, x := range configs {
			name, value, ok := strings.Cut(x, "=")
			a := kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value}
			if !ok {
				a.Op, a.Value = kadm.DeleteConfig, nil
			}
			all = append(all, a)
		}
		r, err := adm.AlterTopicConfigs(ctx, all, topic)
		if err != nil {
			return err
		}
		_, err = r.On(topic, func(x *kadm.AlterConfigsResponse) error { return x.Err })
		return err
	})
}

// awaitBrokers waits until all brokers are in the cluster and all partitions have a leader.
func (c *Cluster) awaitBrokers(ctx context.Context) error {
	return Until(ctx, time.Minute, "all brokers and leaders", func() error {
		return c.Admin(ctx, func(ctx context.Context, adm *kadm.Client) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			m, err := adm.Metadata(ctx)
			if err != nil {
				return err
			}
			if len(m.Brokers) != c.Brokers {
				return fmt.Errorf("%d of %d brokers", len(m.Brokers), c.Brokers)
			}
			for _, t := range m.Topics {
				for _, p := range t.Partitions {
					if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
						return fmt.Errorf("%s/%d has leader %d and %d of %d replicas in sync", t.Topic, p.Partition, p.Leader, len(p.ISR), len(p.Replicas))
					}
				}
			}
			return nil
		})
	})
}
