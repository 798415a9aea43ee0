package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const topicCreationPrefix = "topic.creation."

// checkTopicCreation warns of what Kafka Connect accepts and then fails on when it makes the first topic.
func (p *parser) checkTopicCreation() {
	for _, name := range p.keys() {
		rest, ok := strings.CutPrefix(name, topicCreationPrefix)
		group, member, found := strings.Cut(rest, ".")
		if !ok || !found {
			continue
		}
		v := trim(p.in[name])
		switch known := group == "default" || contains(withoutEmpty(p.in["topic.creation.groups"]), group); {
		case !known:
			p.warn(name, fmt.Sprintf("%s is ignored: topic.creation.groups does not list %s", name, group))
		case member == "partitions" || member == "replication.factor":
			if n, err := strconv.ParseInt(v, 10, 32); err != nil || n < 1 && n != -1 {
				p.warn(name, fmt.Sprintf("%s=%s is no positive number or -1: the broker's default is used", name, v))
			}
		case member == "include" || member == "exclude":
			if _, err := wholePatterns(v); err != nil {
				p.warn(name, fmt.Sprintf("%s is ignored: it is no list of patterns: %v", name, err))
			}
		}
	}
}

func contains(list []string, v string) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// wholePatterns is Patterns for topic names, where case matters.
func wholePatterns(list string) ([]string, error) {
	var out []string
	for _, pattern := range withoutEmpty(list) {
		g, err := toGo(pattern)
		if err != nil {
			return nil, err
		}
		out = append(out, "^(?:"+g+")$")
	}
	return out, nil
}

func (p *parser) topicCreation() TopicCreation {
	t := TopicCreation{Default: p.topicSpec("default", TopicSpec{Partitions: -1, ReplicationFactor: -1})}
	for _, name := range withoutEmpty(p.in["topic.creation.groups"]) {
		if name == "default" {
			continue
		}
		g := TopicGroup{Name: name, TopicSpec: p.topicSpec(name, TopicSpec{Partitions: t.Default.Partitions, ReplicationFactor: t.Default.ReplicationFactor})}
		g.Include, _ = wholePatterns(p.in[topicCreationPrefix+name+".include"])
		g.Exclude, _ = wholePatterns(p.in[topicCreationPrefix+name+".exclude"])
		t.Groups = append(t.Groups, g)
	}
	return t
}

// topicSpec reads one group's members; what it does not set is as in otherwise. Members of no meaning to Kafka Connect are the topic's configs.
func (p *parser) topicSpec(group string, otherwise TopicSpec) TopicSpec {
	spec := otherwise
	spec.Configs = map[string]string{}
	for name, v := range p.in {
		member, ok := strings.CutPrefix(name, topicCreationPrefix+group+".")
		if !ok {
			continue
		}
		switch n, err := strconv.Atoi(trim(v)); member {
		case "include", "exclude":
		case "partitions":
			if err == nil && n > 0 {
				spec.Partitions = n
			}
		case "replication.factor":
			if err == nil && n > 0 {
				spec.ReplicationFactor = n
			}
		default:
			spec.Configs[member] = v
		}
	}
	return spec
}

// Match returns the spec of the first group that takes a topic, else the default's.
func (t TopicCreation) Match(topic string) TopicSpec {
	for _, g := range t.Groups {
		if matchesAny(g.Include, topic) && !matchesAny(g.Exclude, topic) {
			return g.TopicSpec
		}
	}
	return t.Default
}

func matchesAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if ok, err := regexp.MatchString(p, s); err == nil && ok {
			return true
		}
	}
	return false
}
