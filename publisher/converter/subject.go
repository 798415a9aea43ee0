package converter

import (
	"strings"

	"github.com/rowmesh/rowmesh/services/errs"
)

// subjectStrategy says under which subject a schema is registered.
type subjectStrategy uint8

const (
	byTopic       subjectStrategy = iota // topic-key, topic-value
	byRecord                             // the record's full name
	byTopicRecord                        // topic-record
)

// strategyOf reads key.subject.name.strategy or value.subject.name.strategy.
func strategyOf(o options, key bool) (subjectStrategy, string, error) {
	option := "value.subject.name.strategy"
	if key {
		option = "key.subject.name.strategy"
	}
	class := o.get(option, "TopicNameStrategy")
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "TopicNameStrategy", "AssociatedNameStrategy": // the latter is the former where the registry has no associations
		return byTopic, option, nil
	case "RecordNameStrategy":
		return byRecord, option, nil
	case "TopicRecordNameStrategy":
		return byTopicRecord, option, nil
	}
	return 0, "", o.invalid(option, "%s is not supported; use one of io.confluent.kafka.serializers.subject.TopicNameStrategy, RecordNameStrategy and TopicRecordNameStrategy", class)
}

// subject returns the subject of a schema whose record has a name, which is empty for schemas without one.
func (r *registry) subject(topic string, key bool, name string) (string, error) {
	part := "value"
	if key {
		part = "key"
	}
	if r.strategy == byTopic {
		return topic + "-" + part, nil
	}
	if name == "" {
		return "", errs.E(errs.Invalid, "In configuration %s, the message %s must only be a record schema: topic %s: use TopicNameStrategy", r.option, part, topic)
	}
	if r.strategy == byTopicRecord {
		return topic + "-" + name, nil
	}
	return name, nil
}
