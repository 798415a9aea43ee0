package convert

import "github.com/rowmesh/rowmesh/publisher/notify"

// Notification appends the record of a notification for a topic, which is taken as it is. It has no context headers.
func (e *Encoder) Notification(topic string, n *notify.Notification, out *Output) {
	if e.notices == nil {
		e.notices = &notices{key: surroundBy(notify.KeySchema, e.cfg.KeyConverter.Schemas), value: surroundBy(notify.ValueSchema, e.cfg.ValueConverter.Schemas),
			shape: e.shapeOf(notify.KeySchema, notify.ValueSchema)}
	}
	r := Record{Topic: e.named(topic, DataTopic), Partition: -1, ExtraValue: null, Group: -1, Shape: e.notices.shape}
	start := len(out.Arena)
	out.Arena = append(append(append(out.Arena, e.notices.key.head...), n.Key()...), e.notices.key.tail...)
	r.Key, r.Hash = out.since(start), Murmur2(out.Arena[start:])
	start = len(out.Arena)
	out.Arena = append(append(append(out.Arena, e.notices.value.head...), n.Value()...), e.notices.value.tail...)
	r.Value = out.since(start)
	out.Records = append(out.Records, r)
}

// notices is what notifications have in common.
type notices struct {
	key, value surround
	shape      *Shape
}
