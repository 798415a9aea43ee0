package convert

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
)

// naming gives tables their topics, as topic.naming.strategy says.
type naming struct {
	prefix, delimiter string
	strategy          config.TopicStrategy
	topic, key        *rewrite // of the regex strategies
	keyField          string   // the field of keys that names the table; empty: none
}

// rewrite replaces what a pattern matches in a text that it matches as a whole.
type rewrite struct {
	whole, part *regexp.Regexp
	template    string
}

func newRewrite(option string, r config.Rewrite) (*rewrite, error) {
	whole, err := regexp.Compile(`^(?:` + r.Pattern + `)$`)
	if err != nil {
		return nil, errs.E(errs.Invalid, "%s: %q is no regular expression: %w", option, r.Pattern, err)
	}
	part, err := regexp.Compile(r.Pattern)
	if err != nil {
		return nil, errs.E(errs.Invalid, "%s: %q is no regular expression: %w", option, r.Pattern, err)
	}
	return &rewrite{whole, part, r.Template}, nil
}

// apply is Java's Matcher.matches and then replaceFirst: the pattern must match all of s, and what it finds first is replaced, which may be less.
func (r *rewrite) apply(s string) string {
	if !r.whole.MatchString(s) {
		return s
	}
	m := r.part.FindStringSubmatchIndex(s)
	return s[:m[0]] + string(r.part.ExpandString(nil, r.template, s, m)) + s[m[1]:]
}

func newNaming(cfg *config.Connector) (naming, error) {
	n := naming{prefix: cfg.TopicPrefix, delimiter: cfg.TopicDelimiter, strategy: cfg.TopicStrategy}
	if n.delimiter == "" {
		n.delimiter = "."
	}
	if n.strategy == "" {
		n.strategy = config.DefaultStrategy
	}
	if !n.strategy.Known() {
		return n, errs.E(errs.Invalid, "topic.naming.strategy: %s is not supported; use %s or %s", n.strategy, config.DefaultStrategy, config.DefaultUnicodeStrategy)
	}
	r := cfg.TopicRouting
	if !n.strategy.Regex() || r == nil {
		return n, nil
	}
	n.keyField = r.KeyField
	var err error
	if n.topic, err = newRewrite("topic.regex", r.Topic); err != nil {
		return n, err
	}
	if r.Key != nil {
		n.key, err = newRewrite("topic.key.field.regex", *r.Key)
	}
	return n, err
}

// join puts the delimiter between the parts of a name.
func (n *naming) join(parts ...string) string { return strings.Join(parts, n.delimiter) }

// sanitize makes a name one that Kafka takes.
func (n *naming) sanitize(name string) string { return sanitizeTopic(name, n.strategy.Unicode()) }

// origin is the topic of a table before topic.regex, unsanitized.
func (n *naming) origin(database, table string) string {
	if n.strategy.WithoutDatabase() {
		return n.join(n.prefix, table)
	}
	return n.join(n.prefix, database, table)
}

// data returns the topic of a table. What topic.replacement makes of it may be a name that Kafka refuses.
func (n *naming) data(database, table string) (string, error) {
	name := n.sanitize(n.origin(database, table))
	if n.topic == nil {
		return name, nil
	}
	routed := n.topic.apply(name)
	if routed == "" {
		return name, nil
	}
	if clean := sanitizeTopic(routed, false); clean != routed {
		return "", fmt.Errorf("topic.replacement makes %q of topic %s, which Kafka does not take as a name: only letters, digits, dot, underscore and hyphen are allowed, at most %d of them",
			routed, name, maxTopicLength)
	}
	return routed, nil
}

// table returns what the key field says of a table.
func (n *naming) table(database, table string) string {
	name := n.origin(database, table)
	if n.key != nil {
		name = n.key.apply(name)
	}
	return name
}
