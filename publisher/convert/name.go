package convert

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// nameMode is schema.name.adjustment.mode and field.name.adjustment.mode.
type nameMode string

const (
	nameAvro        nameMode = "avro"
	nameAvroUnicode nameMode = "avro_unicode"
)

// schema adjusts the name of a schema, in which dots separate parts.
func (m nameMode) schema(name string) string { return m.adjust(name, true) }

// field adjusts the name of a field.
func (m nameMode) field(name string) string { return m.adjust(name, false) }

// adjust makes a name that Avro allows: a letter or underscore, then letters, digits and underscores, with dots in schema names. Bad characters
// become an underscore each, a leading digit gets one before it; avro_unicode writes each (and the underscore itself) as _u and its number instead.
// Characters are counted as Java counts them, in UTF-16 units.
func (m nameMode) adjust(name string, dots bool) string {
	if m != nameAvro && m != nameAvroUnicode {
		return name
	}
	var b strings.Builder
	for i, c := range utf16.Encode([]rune(name)) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		digit := c >= '0' && c <= '9'
		switch {
		case letter, digit && i > 0, c == '.' && dots && i > 0, c == '_' && m == nameAvro:
			b.WriteByte(byte(c))
		case m == nameAvroUnicode:
			fmt.Fprintf(&b, "_u%04x", c)
		case digit:
			b.WriteByte('_')
			b.WriteByte(byte(c))
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}

// TopicKind says what a topic is for.
type TopicKind int

// Topic kinds.
const (
	// DataTopic holds the rows of a table.
	DataTopic TopicKind = iota
	// SchemaChangeTopic holds schema change events; all are written to partition 0.
	SchemaChangeTopic
	// HeartbeatTopic holds heartbeats; all are written to partition 0.
	HeartbeatTopic
)

// Topic is a topic that an encoder writes to. An encoder has one Topic per name, so pointers compare as names do.
type Topic struct {
	Name string
	Kind TopicKind
}

// maxTopicLength is Kafka's limit.
const maxTopicLength = 249

// sanitizeTopic replaces what Kafka does not allow in the name of a topic: by underscores, or for the unicode strategy by _u and the character's
// number, which then stands for underscores too.
func sanitizeTopic(name string, unicode bool) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune(name)) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_' && !unicode:
			b.WriteByte(byte(c))
		case unicode:
			fmt.Fprintf(&b, "_u%04x", c)
		default:
			b.WriteByte('_')
		}
	}
	name = b.String()
	switch {
	case len(name) > maxTopicLength:
		return name[:maxTopicLength]
	case name == ".":
		return "_"
	case name == "..":
		return "__"
	}
	return name
}

// AdjustSchemaName applies a schema.name.adjustment.mode to the name of a schema.
func AdjustSchemaName(mode, name string) string { return nameMode(mode).schema(name) }

// AdjustFieldName applies a field.name.adjustment.mode to the name of a field.
func AdjustFieldName(mode, name string) string { return nameMode(mode).field(name) }
