package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// TopicStrategy is a class of topic.naming.strategy. The Default ones name a table's topic prefix.database.table, the Schema ones prefix.table: MySQL
// and MariaDB have no schemas between the two.
type TopicStrategy string

// Topic naming strategies.
const (
	DefaultStrategy        TopicStrategy = "io.debezium.schema.DefaultTopicNamingStrategy"
	SchemaStrategy         TopicStrategy = "io.debezium.schema.SchemaTopicNamingStrategy"
	DefaultUnicodeStrategy TopicStrategy = "io.debezium.schema.DefaultUnicodeTopicNamingStrategy"
	SchemaUnicodeStrategy  TopicStrategy = "io.debezium.schema.SchemaUnicodeTopicNamingStrategy"
	DefaultRegexStrategy   TopicStrategy = "io.debezium.schema.DefaultRegexTopicNamingStrategy"
	SchemaRegexStrategy    TopicStrategy = "io.debezium.schema.SchemaRegexTopicNamingStrategy"
)

// Known reports whether the strategy is one of the six.
func (s TopicStrategy) Known() bool {
	switch s {
	case DefaultStrategy, SchemaStrategy, DefaultUnicodeStrategy, SchemaUnicodeStrategy, DefaultRegexStrategy, SchemaRegexStrategy:
		return true
	}
	return false
}

// Regex reports whether the strategy routes by topic.regex.
func (s TopicStrategy) Regex() bool { return s == DefaultRegexStrategy || s == SchemaRegexStrategy }

// Unicode reports whether characters that Kafka does not allow become _u and their number, and underscores too.
func (s TopicStrategy) Unicode() bool {
	return s == DefaultUnicodeStrategy || s == SchemaUnicodeStrategy
}

// WithoutDatabase reports whether topics are named without the database.
func (s TopicStrategy) WithoutDatabase() bool {
	return s == SchemaStrategy || s == SchemaUnicodeStrategy || s == SchemaRegexStrategy
}

// TopicRouting is how the regex strategies name topics, and tell apart the tables that share one.
type TopicRouting struct {
	Topic Rewrite // topic.regex, topic.replacement
	// KeyField is topic.key.field.name, the field of the key that names the table; empty: topic.key.enforce.uniqueness is false.
	KeyField string
	Key      *Rewrite // topic.key.field.regex, topic.key.field.replacement; nil: the field holds the topic that the table would have
}

// Rewrite is a Java pattern and its replacement, as String.replaceFirst has them, for Go's regexp.
type Rewrite struct {
	Pattern  string // for a part of a text; ^(?:Pattern)$ for the whole
	Template string // as regexp.Expand takes it
}

// newRewrite translates a pattern and its replacement.
func newRewrite(pattern, replacement string) (Rewrite, error) {
	g, err := toGo(pattern)
	if err != nil {
		return Rewrite{}, err
	}
	re, err := regexp.Compile(g)
	if err != nil {
		return Rewrite{}, err
	}
	template, err := toTemplate(replacement, re)
	return Rewrite{g, template}, err
}

// toTemplate translates the replacement of Java's Matcher: $1 and ${name} are groups, a backslash takes the meaning of what follows it.
func toTemplate(s string, re *regexp.Regexp) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i++; i == len(s) {
				return "", fmt.Errorf("character to be escaped is missing at the end of %s", s)
			}
			if s[i] == '$' {
				b.WriteByte('$')
			}
			b.WriteByte(s[i])
		case '$':
			group, n, err := groupReference(s[i+1:], re)
			if err != nil {
				return "", fmt.Errorf("%w in %s; write \\$ for a dollar sign", err, s)
			}
			b.WriteString("${" + group + "}")
			i += n
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// groupReference reads what follows a dollar sign: digits as long as there is such a group, or a name in braces. n is how much it read.
func groupReference(s string, re *regexp.Regexp) (group string, n int, err error) {
	if strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", 0, fmt.Errorf("named capturing group is missing trailing '}'")
		}
		if name := s[1:end]; re.SubexpIndex(name) >= 0 {
			return name, end + 1, nil
		}
		return "", 0, fmt.Errorf("no group with name {%s}", s[1:end])
	}
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		if v, err := strconv.Atoi(s[:n+1]); n > 0 && (err != nil || v > re.NumSubexp()) {
			break
		}
		n++
	}
	if n == 0 {
		return "", 0, fmt.Errorf("illegal group reference")
	}
	if v, _ := strconv.Atoi(s[:n]); v > re.NumSubexp() {
		return "", 0, fmt.Errorf("no group %s", s[:n])
	}
	return s[:n], n, nil
}

// The options of the regex strategies.
const (
	topicRegex          = "topic.regex"
	topicReplacement    = "topic.replacement"
	topicKeyUnique      = "topic.key.enforce.uniqueness"
	topicKeyField       = "topic.key.field.name"
	topicKeyRegex       = "topic.key.field.regex"
	topicKeyReplacement = "topic.key.field.replacement"
)

func (p *parser) strategy() TopicStrategy {
	if s := TopicStrategy(trim(p.in["topic.naming.strategy"])); s != "" {
		return s
	}
	return DefaultStrategy
}

// checkTopicNaming checks the strategy and, for the regex strategies, their options in Debezium's words. Other classes are Java's: with another
// strategy in their place the events would go to other topics than those that consumers read.
func (p *parser) checkTopicNaming() {
	s := p.strategy()
	if !s.Known() {
		p.fail("topic.naming.strategy", fmt.Sprintf("The 'topic.naming.strategy' option is not supported with %s: it names a Java class, which cannot be loaded; use %s, "+
			"or the Schema, Unicode or Regex strategies of the same package", s, DefaultStrategy))
		return
	}
	if !s.Regex() {
		for _, name := range []string{topicRegex, topicReplacement, topicKeyUnique, topicKeyField, topicKeyRegex, topicKeyReplacement} {
			if _, ok := p.in[name]; ok {
				p.warn(name, fmt.Sprintf("%s has no effect with topic.naming.strategy=%s: it belongs to %s", name, s, DefaultRegexStrategy))
			}
		}
		return
	}
	for _, name := range []string{topicRegex, topicReplacement} {
		if p.in[name] == "" {
			p.problem(name, "A value is required")
		}
	}
	p.checkRewrite(topicRegex, topicReplacement)
	if p.boolean(topicKeyUnique) && trim(p.get(topicKeyField)) == "" {
		p.problem(topicKeyField, "A value is required with "+topicKeyUnique+"=true")
	}
	p.checkRewrite(topicKeyRegex, topicKeyReplacement)
}

func (p *parser) checkRewrite(pattern, replacement string) {
	if trim(p.in[pattern]) == "" {
		return
	}
	if _, err := toGo(p.in[pattern]); err != nil {
		p.problem(pattern, "A valid regular expressions is expected, but "+err.Error())
		return
	}
	if trim(p.in[replacement]) == "" {
		p.problem(replacement, fmt.Sprintf("%s must be non-empty if %s is set.", replacement, pattern))
		return
	}
	if _, err := newRewrite(p.in[pattern], p.in[replacement]); err != nil {
		p.problem(replacement, err.Error())
	}
}

// topicRouting builds what checkTopicNaming has checked.
func (p *parser) topicRouting() *TopicRouting {
	if !p.strategy().Regex() {
		return nil
	}
	r := &TopicRouting{}
	r.Topic, _ = newRewrite(p.in[topicRegex], p.in[topicReplacement])
	if !p.boolean(topicKeyUnique) {
		return r
	}
	r.KeyField = p.get(topicKeyField)
	if trim(p.in[topicKeyRegex]) != "" {
		key, _ := newRewrite(p.in[topicKeyRegex], p.in[topicKeyReplacement])
		r.Key = &key
	}
	return r
}
