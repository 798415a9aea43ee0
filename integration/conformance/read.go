package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topics lists the case's topics, those that it writes to and the history's too.
func (r *runner) topics(ctx context.Context) (names []string, err error) {
	topics, err := kadm.NewClient(r.Client).ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	prefixes := []string{r.name + ".", "x-" + r.name + ".", "x-" + r.name + "-"}
	if d := r.c.Config["topic.delimiter"]; d != "" {
		prefixes = append(prefixes, r.name+d)
	}
	if strings.Contains(r.c.Config["topic.naming.strategy"], "Unicode") {
		prefixes = append(prefixes, strings.ReplaceAll(r.name, "_", "_u005f"))
	}
	for t := range topics {
		if t == r.name || t == "__debezium-heartbeat."+r.name || slices.Contains(r.inputs, t) || slices.Contains(r.histories, t) ||
			slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(t, p) }) {
			names = append(names, t)
		}
	}
	slices.Sort(names)
	return names, nil
}

// markersWithin is how long the markers of a commit may take to reach all its partitions. A lane that failed leaves a transaction open: nothing comes then.
const markersWithin = 3 * time.Second

// ends returns the ends of topics as committed. A transaction is over for its consumers partition by partition: that the marker's was seen says nothing of
// the others, so it waits until nothing is open. What a lane has left open when it failed is none of the result.
func (r *runner) ends(ctx context.Context, names []string) (kadm.ListedOffsets, error) {
	adm := kadm.NewClient(r.Client)
	for begin := time.Now(); ; {
		committed, err := adm.ListCommittedOffsets(ctx, names...)
		if err != nil {
			return nil, err
		}
		all, err := adm.ListEndOffsets(ctx, names...)
		if err != nil {
			return nil, err
		}
		open := committed.Error() != nil
		all.Each(func(l kadm.ListedOffset) {
			c, _ := committed.Lookup(l.Topic, l.Partition)
			open = open || l.Err != nil || c.Offset != l.Offset
		})
		if !open || time.Since(begin) > markersWithin {
			return committed, committed.Error()
		}
		time.Sleep(20 * time.Millisecond) // the broker announces nothing
	}
}

// read reads the case's topics to their ends, committed records only, and leaves out the marker's and what the case itself wrote.
func (r *runner) read(ctx context.Context) ([]*kgo.Record, error) {
	names, err := r.topics(ctx)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(t string) bool { return slices.Contains(r.inputs, t) })
	if len(names) == 0 { // none would mean all
		return nil, nil
	}
	ends, err := r.ends(ctx, names)
	if err != nil {
		return nil, err
	}
	from := map[string]map[int32]kgo.Offset{}
	left := map[string]int64{}
	ends.Each(func(l kadm.ListedOffset) {
		if l.Offset == 0 {
			return
		}
		left[fmt.Sprintf("%s/%d", l.Topic, l.Partition)] = l.Offset
		if from[l.Topic] == nil {
			from[l.Topic] = map[int32]kgo.Offset{}
		}
		from[l.Topic][l.Partition] = kgo.NewOffset().At(0)
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.Kafka), kgo.ConsumePartitions(from), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond)) // the defaults of 5 s are for those who read on
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var recs []*kgo.Record
	for len(left) > 0 {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("could not read to the end of %v", left)
		}
		f.EachRecord(func(x *kgo.Record) {
			at := fmt.Sprintf("%s/%d", x.Topic, x.Partition)
			if x.Offset >= left[at]-1 {
				delete(left, at)
			}
			if !x.Attrs.IsControl() && !strings.HasSuffix(x.Topic, "zz_marker") {
				if x.Topic == historyOf(r.name) {
					x.Topic = historyTopic
				}
				recs = append(recs, x)
			}
		})
	}
	slices.SortStableFunc(recs, func(a, b *kgo.Record) int {
		if a.Topic != b.Topic {
			return strings.Compare(a.Topic, b.Topic)
		}
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(a.Offset - b.Offset)
	})
	return recs, nil
}
