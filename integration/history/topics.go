package history

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Log of one partition: what a reader of committed records sees is compared with what follows from markers, by count and by a hash of offsets and keys.
type sight struct {
	records int
	hash    uint64
}

func (s *sight) add(offset int64, key []byte) {
	h := fnv.New64a()
	fmt.Fprint(h, s.hash, offset)
	h.Write(key)
	s.hash = h.Sum64()
	s.records++
}

// place names a partition.
type place struct {
	topic     string
	partition int32
}

// record is a record that waits for its marker.
type record struct {
	*kgo.Record
	state   byte // 0: open, 'c' or 'a'
	segment int
}

// partition follows one partition's markers. Memory: what is behind the first open transaction.
type partition struct {
	queue    []*record
	segments int
}

// Topics reads partitions to their ends of now, twice, and calls raw for every record and marker and committed for the committed ones, each partition in the order of
// its offsets. It returns the partitions in which a consumer of committed records sees something else than the markers say.
func Topics(ctx context.Context, kafka string, topics []string, raw func(r *kgo.Record, marker byte), committed func(r *kgo.Record, segment int)) (different []string, err error) {
	var want, got = map[place]*sight{}, map[place]*sight{}
	at := func(m map[place]*sight, r *kgo.Record) *sight {
		p := place{r.Topic, r.Partition}
		if m[p] == nil {
			m[p] = &sight{}
		}
		return m[p]
	}
	parts := map[place]*partition{}
	ends, err := settled(ctx, kafka, topics)
	if err != nil {
		return nil, err
	}
	err = read(ctx, kafka, ends, false, func(r *kgo.Record) {
		p := parts[place{r.Topic, r.Partition}]
		if p == nil {
			p = &partition{}
			parts[place{r.Topic, r.Partition}] = p
		}
		raw(r, p.take(r))
		for len(p.queue) > 0 && p.queue[0].state != 0 {
			if q := p.queue[0]; q.state == 'c' {
				at(want, q.Record).add(q.Offset, q.Key)
				committed(q.Record, q.segment)
			}
			p.queue = p.queue[1:]
		}
	})
	if err != nil {
		return nil, err
	}
	if err := read(ctx, kafka, ends, true, func(r *kgo.Record) { at(got, r).add(r.Offset, r.Key) }); err != nil {
		return nil, err
	}
	for _, p := range slices.SortedFunc(maps.Keys(want), func(a, b place) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		if w, g := want[p], got[p]; g == nil || *w != *g {
			different = append(different, fmt.Sprintf("%s/%d: %d records by markers, %v for a consumer", p.topic, p.partition, w.records, g))
		}
	}
	return different, nil
}

// take takes a record or a marker, and returns what kind of marker it is, 0 for a record.
func (p *partition) take(r *kgo.Record) byte {
	if !r.Attrs.IsControl() {
		q := &record{Record: r}
		if !r.Attrs.IsTransactional() {
			p.segments++
			q.state, q.segment = 'c', p.segments
		}
		p.queue = append(p.queue, q)
		return 0
	}
	marker := byte('a')
	if len(r.Key) >= 4 && r.Key[3] == 1 { // version, then type: 0 abort, 1 commit
		marker = 'c'
	}
	any := false
	for _, q := range p.queue {
		if q.state == 0 && q.ProducerID == r.ProducerID {
			any = true
			q.state, q.segment = marker, p.segments+1
		}
	}
	if any && marker == 'c' {
		p.segments++
	}
	return marker
}

// settled waits until all that is in the topics now is committed or aborted, and returns where it ends. An error names the partitions in which a transaction hangs.
func settled(ctx context.Context, kafka string, topics []string) (ends kadm.ListedOffsets, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	high, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("ends of %v: %w", topics, err)
	}
	for {
		if ends, err = adm.ListCommittedOffsets(ctx, topics...); err != nil {
			return nil, fmt.Errorf("stable ends of %v: %w", topics, err)
		}
		var open []string
		high.Each(func(h kadm.ListedOffset) {
			if s, ok := ends.Lookup(h.Topic, h.Partition); !ok || s.Offset < h.Offset {
				open = append(open, fmt.Sprintf("%s/%d at %d of %d", h.Topic, h.Partition, s.Offset, h.Offset))
			}
		})
		if len(open) == 0 {
			return ends, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("transactions hang (I14) in %v", open)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// read reads all records up to some ends.
func read(ctx context.Context, kafka string, ends kadm.ListedOffsets, committed bool, f func(*kgo.Record)) error {
	topics := slices.Collect(maps.Keys(ends))
	opts := []kgo.Opt{kgo.SeedBrokers(kafka), kgo.FetchMaxWait(200 * time.Millisecond)}
	if committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	opts = append(opts, kgo.KeepControlRecords())
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return fmt.Errorf("starts of %v: %w", topics, err)
	}
	left := map[place]int64{}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if s, ok := starts.Lookup(o.Topic, o.Partition); ok && o.Err == nil && s.Offset < o.Offset {
			left[place{o.Topic, o.Partition}] = o.Offset
			if from[o.Topic] == nil {
				from[o.Topic] = map[int32]kgo.Offset{}
			}
			from[o.Topic][o.Partition] = kgo.NewOffset().At(s.Offset)
		}
	})
	cl.AddConsumePartitions(from)
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read %d partitions, among them %v: %w", len(left), slices.Collect(maps.Keys(left))[0], err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			p := place{r.Topic, r.Partition}
			end, ok := left[p]
			if !ok || r.Offset >= end {
				return
			}
			if !committed || !r.Attrs.IsControl() {
				f(r)
			}
			if r.Offset == end-1 {
				delete(left, p)
			}
		})
	}
	return nil
}

// TopicsOf returns the topics whose names begin with prefix and a dot, and more.
func TopicsOf(ctx context.Context, kafka, prefix string, more ...string) ([]string, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	all, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(more)
	for _, name := range all.Names() {
		if strings.HasPrefix(name, prefix+".") {
			out = append(out, name)
		}
	}
	return out, nil
}

// OffsetsOf returns the topic, of those whose names begin with a text, that has checkpoints of a topic.prefix.
func OffsetsOf(ctx context.Context, kafka, begins, prefix string) (string, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	all, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		return "", err
	}
	found := ""
	for _, name := range all.Names() {
		if !strings.HasPrefix(name, begins) {
			continue
		}
		ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, name)
		if err != nil {
			return "", err
		}
		if err := read(ctx, kafka, ends, true, func(r *kgo.Record) {
			if bytes.Contains(r.Key, []byte(fmt.Sprintf(`"server":%q`, prefix))) {
				found = name
			}
		}); err != nil {
			return "", err
		}
	}
	if found == "" {
		return "", fmt.Errorf("no topic %s... has a checkpoint of topic.prefix %s", begins, prefix)
	}
	return found, nil
}

// members reads a JSON object's members in their order, values as text as Value has them.
func members(b json.RawMessage) (out []Value, err error) {
	if len(b) == 0 || string(b) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%.100s is not an object", b)
	}
	for dec.More() {
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch v := t.(type) {
		case nil:
			out = append(out, Value{Null: true})
		case string:
			out = append(out, Value{Text: v})
		case json.Number:
			out = append(out, Value{Text: v.String()})
		default:
			return nil, fmt.Errorf("%.100s has a value that is neither number nor text", b)
		}
	}
	return out, nil
}
