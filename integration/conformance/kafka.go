package conformance

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// produce writes a record for --@ kafka. The client is a new one: that of the suite may still know the topic by the id that it had in a run before.
func (r *runner) produce(ctx context.Context, arg string) error {
	f := strings.SplitN(arg, " ", 3)
	if len(f) != 3 {
		return fmt.Errorf("needs a topic, a key and a value")
	}
	cl, err := NewClient(r.Kafka)
	if err != nil {
		return err
	}
	defer cl.Close()
	return until(ctx, 20*time.Second, "record for "+f[0], func() error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: f[0], Key: []byte(f[1]), Value: []byte(f[2])}).FirstErr()
	})
}

// records waits until a topic has so many committed records, for --@ records.
func (r *runner) records(ctx context.Context, arg string) error {
	topic, number, _ := strings.Cut(arg, " ")
	want, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		return fmt.Errorf("needs a topic and a number")
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Kafka), kgo.MetadataMinAge(20*time.Millisecond), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for got := 0; got < want; {
		fetched := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%d records after 60 s", got)
		}
		got += fetched.NumRecords()
	}
	return nil
}
