package notify

import (
	"slices"
	"strconv"
	"strings"

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
		if name != connectorName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	// Debezium copies the members into a HashMap that is as large as it must be for them, and adds the connector's name.
	names = append(names, connectorName)
	for i, name := range jsontext.HashOrder(names, capacityFor(len(names)-1)) {
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

// capacityFor is the number of buckets of a HashMap that was made as a copy of a map with n members and got one more.
func capacityFor(n int) uint32 {
	want := uint32(float64(n)/0.75 + 1)
	buckets := uint32(1)
	for buckets < want {
		buckets *= 2
	}
	return jsontext.Buckets(buckets, n+1)
}

// joinSet joins texts in the order of a HashSet that grew with them.
func joinSet(texts []string) string {
	return strings.Join(jsontext.HashOrder(texts, jsontext.Buckets(16, len(texts))), ",")
}
