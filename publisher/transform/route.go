package transform

import (
	"regexp"
	"strings"
	"time"

	"github.com/rowmesh/rowmesh/publisher/record"
	"github.com/rowmesh/rowmesh/services/errs"
)

// rewrite is a Java pattern that a whole text must match, and the replacement of the first match within it.
type rewrite struct {
	whole, find *regexp.Regexp
	template    []rewritePart
}

// rewritePart is text, or a group of the match.
type rewritePart struct {
	text  string
	group int // -1: text
}

// newRewrite compiles the pattern of one option and the replacement of another.
func newRewrite(o options, pattern, replacement string) (*rewrite, error) {
	w := &rewrite{}
	var err error
	if w.whole, w.find, err = o.pattern(pattern); err != nil {
		return nil, err
	}
	if w.template, err = parseReplacement(o.text(replacement), w.find); err != nil {
		return nil, errs.E(errs.Invalid, "%s%s: %w", o.prefix, replacement, err)
	}
	return w, nil
}

// parseReplacement reads a replacement as Java's Matcher does: $1 and ${name} are groups, a backslash makes the next character plain.
func parseReplacement(s string, re *regexp.Regexp) ([]rewritePart, error) {
	var out []rewritePart
	text := func(t string) { out = append(out, rewritePart{t, -1}) }
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\\':
			if i+1 == len(s) {
				return nil, errs.E(errs.Invalid, "character to be escaped is missing")
			}
			text(s[i+1 : i+2])
			i += 2
		case c != '$':
			end := strings.IndexAny(s[i:], `\$`)
			if end < 0 {
				end = len(s) - i
			}
			text(s[i : i+end])
			i += end
		case strings.HasPrefix(s[i:], "${"):
			name, _, ok := strings.Cut(s[i+2:], "}")
			if !ok {
				return nil, errs.E(errs.Invalid, "named capturing group is missing trailing '}'")
			}
			group := re.SubexpIndex(name)
			if group < 0 {
				return nil, errs.E(errs.Invalid, "No group with name {%s}", name)
			}
			out = append(out, rewritePart{group: group})
			i += len(name) + 3
		default:
			i++
			if i == len(s) || s[i] < '0' || s[i] > '9' {
				return nil, errs.E(errs.Invalid, "Illegal group reference")
			}
			group := int(s[i] - '0')
			if group > re.NumSubexp() {
				return nil, errs.E(errs.Invalid, "No group %d", group)
			}
			// As many digits as still name a group belong to it.
			for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
				longer := group*10 + int(s[i]-'0')
				if longer > re.NumSubexp() {
					break
				}
				group = longer
			}
			out = append(out, rewritePart{group: group})
		}
	}
	return out, nil
}

// apply returns the text rewritten; ok is false where the pattern does not match the whole.
func (w *rewrite) apply(s string) (out string, ok bool) {
	if !w.whole.MatchString(s) {
		return s, false
	}
	loc := w.find.FindStringSubmatchIndex(s)
	var b strings.Builder
	b.WriteString(s[:loc[0]])
	for _, p := range w.template {
		if p.group < 0 {
			b.WriteString(p.text)
		} else if from := loc[2*p.group]; from >= 0 {
			b.WriteString(s[from:loc[2*p.group+1]])
		}
	}
	b.WriteString(s[loc[1]:])
	return b.String(), true
}

// topicCache remembers what topics become: a lane has few, and a pattern costs a microsecond.
type topicCache struct{ m map[string]string }

// maxTopics bounds what is remembered; routing by content makes topics without end.
const maxTopics = 4096

func (c *topicCache) once(topic string, derive func() string) string {
	if to, ok := c.m[topic]; ok {
		return to
	}
	to := strings.Clone(derive()) // topics that come from a row are views of its bytes
	if c.m == nil || len(c.m) >= maxTopics {
		c.m = map[string]string{}
	}
	c.m[strings.Clone(topic)] = to
	return to
}

// regexRouter is RegexRouter.
type regexRouter struct {
	*rewrite
	topics topicCache
}

func newRegexRouter(o options, _ side) (Transform, error) {
	w, err := newRewrite(o, "regex", "replacement")
	return &regexRouter{rewrite: w}, err
}

func (t *regexRouter) Apply(_ *record.Slab, r *record.Record) (bool, error) {
	r.Topic = t.topics.once(r.Topic, func() string {
		to, _ := t.apply(r.Topic)
		return to
	})
	return true, nil
}

// timestampRouter is TimestampRouter.
type timestampRouter struct {
	topic  string
	format *dateFormat
}

func newTimestampRouter(o options, _ side) (Transform, error) {
	f, err := newDateFormat(o.text("timestamp.format"))
	if err != nil {
		return nil, errs.E(errs.Invalid, "%stimestamp.format: %w", o.prefix, err)
	}
	return &timestampRouter{o.text("topic.format"), f}, nil
}

func (t *timestampRouter) Apply(_ *record.Slab, r *record.Record) (bool, error) {
	if r.Timestamp == nil {
		return false, errs.E(errs.Invalid, "Timestamp missing on record: %s", describe(r))
	}
	at := string(t.format.append(nil, time.UnixMilli(*r.Timestamp).UTC()))
	r.Topic = strings.NewReplacer("${topic}", r.Topic, "${timestamp}", at).Replace(t.topic)
	return true, nil
}

// describe names a record in an error: Kafka Connect prints all of it, with data that belongs into no log.
func describe(r *record.Record) string {
	key := "null"
	if !r.Key.Value.IsNull() {
		key = string(record.AppendText(nil, r.Key))
		if len(key) > maxDescribed {
			key = key[:maxDescribed]
		}
	}
	return "record of topic " + r.Topic + " with key " + key
}

// maxDescribed bounds a key in an error, in bytes.
const maxDescribed = 200
