package coordinator

import (
	"cmp"
	"context"
	"strings"

	"github.com/rowmesh/rowmesh/coordinator/connect"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/offset"
)

// offsets is the offsets of connectors as the REST API uses them. They stand in the connector's own topic where it names one, else in the mesh's.
type offsets struct {
	// topic and mesh are the publishers': the offsets topic, and the first part of transactional ids.
	topic, mesh string
	// client holds librdkafka's properties for the mesh's cluster.
	client  map[string]string
	secrets config.Secrets
	// lanes returns a connector's config and how many lanes it has or had last.
	lanes func(ctx context.Context, name string) (cfg map[string]string, lanes uint32, err error)
	open  func(client map[string]string, topic string) offsetTopic
}

// offsetTopic is what is needed of an offset.Store.
type offsetTopic interface {
	List(ctx context.Context, connector string) ([]offset.Entry, error)
	Put(ctx context.Context, connector string, entries []offset.Entry, fence []string) error
}

var (
	_ connect.Offsets = offsets{}
	_ offsetTopic     = (*offset.Store)(nil)
)

// topicOf returns the topic that holds a connector's offsets, and the number of its lanes.
func (o offsets) topicOf(ctx context.Context, connector string) (offsetTopic, uint32, error) {
	cfg, lanes, err := o.lanes(ctx, connector)
	if err != nil {
		return nil, 0, err
	}
	const option = "offsets.storage.topic"
	own, err := o.secrets.Resolve(map[string]string{option: cfg[option]})
	if err != nil {
		return nil, 0, err
	}
	// Where the rows go to another cluster than the mesh's, the offsets lie there too. A config that does not parse any more says nothing about that.
	client := o.client
	if c, _ := o.secrets.Parse(connector, cfg); c != nil {
		client = offset.ClientOf(o.client, c.Producer)
	}
	return o.open(client, cmp.Or(strings.TrimSpace(own[option]), o.topic)), lanes, nil
}

// List implements connect.Offsets.
func (o offsets) List(ctx context.Context, connector string) ([]offset.Entry, error) {
	topic, _, err := o.topicOf(ctx, connector)
	if err != nil {
		return nil, err
	}
	return topic.List(ctx, connector)
}

// Put implements connect.Offsets. The producers of all lanes are fenced first, so that none writes over what is put: those of the layout, and those that have
// left offsets.
//
// What lanes keep for the layouts after them is removed with the offset that it was copied from. It stays where an offset is set: it tells the lane that it
// had a place of its own before, so that the one that is set counts for all its tables.
func (o offsets) Put(ctx context.Context, connector string, entries []offset.Entry) error {
	topic, lanes, err := o.topicOf(ctx, connector)
	if err != nil {
		return err
	}
	old, err := topic.List(ctx, connector)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Value == nil {
			entries = append(entries, offset.CopiesOf(old, e.Partition)...)
		}
	}
	lanes = max(lanes, 1)
	for _, list := range [][]offset.Entry{old, entries} {
		for _, e := range list {
			lanes = max(lanes, e.Lane()+1)
		}
	}
	fence := make([]string, lanes)
	for i := range fence {
		fence[i] = offset.TransactionalID(o.mesh, connector, uint32(i))
	}
	return topic.Put(ctx, connector, entries, fence)
}

// lanes returns a connector's config and the number of lanes of its layout, 0 if it never had one.
func (c *Control) lanes(ctx context.Context, name string) (map[string]string, uint32, error) {
	v, err := c.Get(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	st, err := c.state(ctx)
	if err != nil {
		return nil, 0, err
	}
	l := st.Layouts[name]
	n := l.Current.Count
	if l.Previous != nil {
		n = max(n, l.Previous.Count)
	}
	return v.Connector.Map(), n, nil
}
