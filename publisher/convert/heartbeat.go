package convert

import "strconv"

// heartbeat is what heartbeats have in common.
type heartbeat struct {
	topic *Topic
	key   []byte // whole
	value surround
	shape *Shape
}

func (h *heartbeat) init(e *Encoder) {
	prefix := e.cfg.HeartbeatPrefix
	if prefix == "" {
		prefix = "__debezium-heartbeat"
	}
	name := e.cfg.HeartbeatTopic
	if name == "" {
		name = e.naming.join(prefix, e.cfg.TopicPrefix)
	}
	h.topic = e.topic(name, HeartbeatTopic)
	key := surroundBy(heartbeatKey, e.cfg.KeyConverter.Schemas)
	h.key = appendString(append(key.head, `{"serverName":`...), e.cfg.TopicPrefix)
	h.key = append(append(h.key, '}'), key.tail...)
	h.value = surroundBy(heartbeatValue, e.cfg.ValueConverter.Schemas)
	h.shape = e.shapeOf(heartbeatKey, heartbeatValue)
}

// Heartbeat appends a heartbeat record. It has no context headers.
func (e *Encoder) Heartbeat(out *Output) {
	h := &e.heartbeat
	r := Record{Topic: h.topic, Partition: 0, ExtraValue: null, Group: -1, Shape: h.shape}
	start := len(out.Arena)
	out.Arena = append(out.Arena, h.key...)
	r.Key, r.Hash = out.since(start), Murmur2(h.key)
	start = len(out.Arena)
	dst := append(append(out.Arena, h.value.head...), `{"ts_ms":`...)
	dst = strconv.AppendInt(dst, e.opts.Now()/1e6, 10)
	out.Arena = append(append(dst, '}'), h.value.tail...)
	r.Value = out.since(start)
	out.Records = append(out.Records, r)
}
