package notify

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/rowmesh/rowmesh/publisher/jsontext"
)

// Notification is one notification.
type Notification struct {
	ID        string
	Type      string // STARTED, IN_PROGRESS, ...
	Aggregate string // "Initial Snapshot" or "Incremental Snapshot"
	Data      map[string]string
	// TimeMS is when, milliseconds since the Unix epoch.
	TimeMS int64
}

// The schemas of a notification's record, as JsonConverter writes them.
const (
	KeySchema = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],"optional":false,"name":"io.debezium.connector.common.NotificationKey","version":1}`

	ValueSchema = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},{"type":"string","optional":false,"field":"type"},` +
		`{"type":"string","optional":false,"field":"aggregate_type"},{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"string","optional":false},` +
		`"optional":true,"field":"additional_data"},{"type":"int64","optional":false,"field":"timestamp"}],"optional":false,"name":"io.debezium.connector.common.Notification","version":1}`
)

// Key returns the payload of the record's key.
func (n *Notification) Key() []byte {
	return append(jsontext.AppendString([]byte(`{"id":`), n.ID), '}')
}

// Value returns the payload of the record's value.
func (n *Notification) Value() []byte {
	b := jsontext.AppendString([]byte(`{"id":`), n.ID)
	b = jsontext.AppendString(append(b, `,"type":`...), n.Type)
	b = jsontext.AppendString(append(b, `,"aggregate_type":`...), n.Aggregate)
	b = append(b, `,"additional_data":{`...)
	names := make([]string, 0, len(n.Data))
	for name := range n.Data {
		names = append(names, name)
	}
	slices.Sort(names)
	// Debezium copies the members into a HashMap, which is as large as one for them without the last, connector_name.
	for i, name := range hashOrder(names, capacityFor(len(names)-1)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendString(b, name), ':')
		b = jsontext.AppendString(b, n.Data[name])
	}
	b = append(b, `},"timestamp":`...)
	return append(strconv.AppendInt(b, n.TimeMS, 10), '}')
}

// Members of the data.
const (
	connectorName    = "connector_name"
	dataCollections  = "data_collections"
	current          = "current_collection_in_progress"
	scanned          = "scanned_collection"
	totalRowsScanned = "total_rows_scanned"
	status           = "status"
	maximumKey       = "maximum_key"
	lastProcessedKey = "last_processed_key"
)

// Types.
const (
	started            = "STARTED"
	inProgress         = "IN_PROGRESS"
	paused             = "PAUSED"
	resumed            = "RESUMED"
	tableScanCompleted = "TABLE_SCAN_COMPLETED"
	completed          = "COMPLETED"
	aborted            = "ABORTED"
	skipped            = "SKIPPED"
)

// Source makes notifications of one connector.
type Source struct {
	// Connector is its topic.prefix.
	Connector string
	// Now returns milliseconds since the Unix epoch.
	Now func() int64
	// NewID returns a random UUID.
	NewID func() string
}

// new makes a notification; data are names and values in turn.
func (s *Source) new(id, aggregate, kind string, data ...string) Notification {
	if id == "" {
		id = s.NewID()
	}
	n := Notification{ID: id, Type: kind, Aggregate: aggregate, TimeMS: s.Now(), Data: map[string]string{connectorName: s.Connector}}
	for i := 0; i+1 < len(data); i += 2 {
		n.Data[data[i]] = data[i+1]
	}
	return n
}

// capacityFor is the number of buckets of a HashMap that is made as a copy of a map with n members.
func capacityFor(n int) uint32 {
	want := float64(n)/0.75 + 1
	buckets := uint32(1)
	for float64(buckets) < float64(int(want)) {
		buckets *= 2
	}
	return grown(buckets, n+1)
}

// grown doubles buckets until three quarters of them hold n.
func grown(buckets uint32, n int) uint32 {
	for uint32(n)*4 > buckets*3 {
		buckets *= 2
	}
	return buckets
}

// hashOrder returns texts in the order of a java.util.HashMap with so many buckets, into which they were put in the order given.
func hashOrder(texts []string, buckets uint32) []string {
	out := slices.Clone(texts)
	slices.SortStableFunc(out, func(a, b string) int { return int(javaHash(a)&(buckets-1)) - int(javaHash(b)&(buckets-1)) })
	return out
}

// joinSet joins texts in the order of a HashSet that grew with them.
func joinSet(texts []string) string { return strings.Join(hashOrder(texts, grown(16, len(texts))), ",") }

// javaHash is String.hashCode spread as HashMap does.
func javaHash(s string) uint32 {
	h := uint32(0)
	for _, c := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(c)
	}
	return h ^ h>>16
}
