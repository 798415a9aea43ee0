package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// TopicSpec says how a topic is made. -1 leaves a number to the broker.
type TopicSpec struct {
	Partitions        int
	ReplicationFactor int
	Configs           map[string]string
}

// Topics finds topics, makes the missing ones, and remembers how many partitions they have. Safe for concurrent use.
type Topics struct {
	admin *kafka.AdminClient

	mu    sync.Mutex
	known map[string]topicInfo
}

type topicInfo struct {
	partitions int32
	seen       time.Time
}

// topicMaxAge is how long a partition count is believed, as Kafka's metadata.max.age.ms.
const topicMaxAge = 5 * time.Minute

// Topics returns an admin view that works over the producer's connections. It ends with the producer.
func (p *Producer) Topics() (*Topics, error) {
	a, err := kafka.NewAdminClientFromProducer(p.p)
	if err != nil {
		return nil, classify("admin client", err)
	}
	return &Topics{admin: a, known: map[string]topicInfo{}}, nil
}

// Partitions returns the number of partitions of a topic as last seen; 0 if it must be asked with Ensure.
func (t *Topics) Partitions(name string) int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.known[name]
	if time.Since(i.seen) > topicMaxAge {
		return 0
	}
	return i.partitions
}

// Forget makes the next Ensure ask again, after an error that says that a topic is not as we know it.
func (t *Topics) Forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, name)
}

// Ensure returns the number of partitions of a topic, which it makes if there is none; created says so. It never relies on the broker's auto-creation.
func (t *Topics) Ensure(ctx context.Context, name string, spec TopicSpec) (partitions int32, created bool, err error) {
	if n := t.Partitions(name); n > 0 {
		return n, false, nil
	}
	n, err := t.describe(ctx, name)
	if err == nil {
		return n, false, nil
	}
	switch errs.KindOf(err) {
	case errs.NotFound:
		if err := t.create(ctx, name, spec); err != nil {
			return 0, false, err
		}
		created = true
	case errs.Unavailable: // somebody else may be making it
	default:
		return 0, false, err
	}
	// The controller knows the topic before the other brokers do: wait for it to appear with a leader.
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if n, err = t.describe(ctx, name); err == nil {
			return n, created, nil
		}
		if errs.KindOf(err) != errs.NotFound && errs.KindOf(err) != errs.Unavailable {
			return 0, created, err
		}
		if sleep(ctx, wait) != nil {
			return 0, created, err
		}
	}
}

func (t *Topics) create(ctx context.Context, name string, spec TopicSpec) error {
	res, err := t.admin.CreateTopics(ctx, []kafka.TopicSpecification{{
		Topic: name, NumPartitions: spec.Partitions, ReplicationFactor: spec.ReplicationFactor, Config: spec.Configs,
	}}, kafka.SetAdminOperationTimeout(10*time.Second))
	if err == nil && len(res) > 0 && res[0].Error.Code() != kafka.ErrNoError {
		err = res[0].Error
	}
	switch codeOf(err) {
	case kafka.ErrTopicAlreadyExists:
		return nil // another lane was faster
	case kafka.ErrUnknownTopicOrPart:
		return errs.E(errs.Invalid, "create topic %q: %w", name, err)
	}
	if err != nil {
		return classify(fmt.Sprintf("create topic %q (partitions %d, replication factor %d)", name, spec.Partitions, spec.ReplicationFactor), err)
	}
	return nil
}

func (t *Topics) describe(ctx context.Context, name string) (int32, error) {
	res, err := t.admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{name}), kafka.SetAdminRequestTimeout(15*time.Second))
	if err != nil {
		return 0, classify(fmt.Sprintf("look up topic %q", name), err)
	}
	if len(res.TopicDescriptions) != 1 {
		return 0, errs.E(errs.Unavailable, "look up topic %q: the broker described %d topics", name, len(res.TopicDescriptions))
	}
	d := res.TopicDescriptions[0]
	if d.Error.Code() != kafka.ErrNoError {
		return 0, classify(fmt.Sprintf("look up topic %q", name), d.Error)
	}
	n := int32(len(d.Partitions))
	if n == 0 {
		return 0, errs.E(errs.Unavailable, "look up topic %q: no partitions yet", name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[name] = topicInfo{n, time.Now()}
	return n, nil
}
