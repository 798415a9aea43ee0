package config

import (
	"fmt"
	"strings"
)

// translate gives today's names and values to what Debezium 1.x called otherwise. Debezium 3 ignores the old names without a word, and then
// fails or captures everything; here they mean what they meant, with a warning that says the new name. A new name wins over an old one.
func (p *parser) translate() {
	for _, old := range p.keys() {
		now, ok := p.cat.now(old)
		if !ok {
			continue
		}
		v := p.in[old]
		delete(p.in, old)
		if _, both := p.in[now]; both {
			p.warn(old, fmt.Sprintf("%s is a name of Debezium 1.x and is ignored, because %s is set as well: remove it", old, now))
			continue
		}
		if now == "topic.transaction" {
			v = strings.TrimPrefix(v, "${database.server.name}.")
		}
		p.in[now], p.given[now] = v, old
		p.warn(now, fmt.Sprintf("%s is a name of Debezium 1.x: it is read as %s, use that", old, now))
	}
	if v, ok := p.in["sanitize.field.names"]; ok {
		delete(p.in, "sanitize.field.names")
		if _, both := p.in["field.name.adjustment.mode"]; !both && strings.EqualFold(trim(v), "true") {
			p.in["field.name.adjustment.mode"], p.given["field.name.adjustment.mode"] = "avro", "sanitize.field.names"
		}
		p.warn("sanitize.field.names", "sanitize.field.names is a name of Debezium 1.x: use field.name.adjustment.mode=avro")
	}
	p.moveValue("heartbeat.topics.prefix", "topic.heartbeat.prefix")
	p.moveValue("event.deserialization.failure.handling.mode", "event.processing.failure.handling.mode")
	p.translateSnapshotMode()
}

// moveValue reads an option that Debezium still defines but no longer looks at as the one that took its place.
func (p *parser) moveValue(from, to string) {
	v, ok := p.in[from]
	if _, both := p.in[to]; !ok || both {
		return
	}
	p.in[to], p.given[to] = v, from
	p.warn(from, fmt.Sprintf("%s is read as %s, use that", from, to))
}

// translateSnapshotMode replaces the values that Debezium 2 and 3 renamed.
func (p *parser) translateSnapshotMode() {
	was, now := p.word("snapshot.mode"), ""
	switch was {
	case "schema_only":
		now = "no_data"
	case "schema_only_recovery":
		now = "recovery"
	case "never":
		if p.flavor == MySQL { // Debezium's MariaDB connector still has it
			p.warn("snapshot.mode", "snapshot.mode=never is a value of Debezium 1.x: reading starts at the oldest log that the server has; no_data starts at the newest")
		}
		return
	default:
		return
	}
	p.in["snapshot.mode"] = now
	p.warn("snapshot.mode", fmt.Sprintf("snapshot.mode=%s is a value of Debezium 1.x: it is read as %s, use that", was, now))
}
