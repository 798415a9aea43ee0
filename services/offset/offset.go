package offset

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/errs"
)

// Key names a checkpoint.
type Key struct {
	// Connector is the connector's name.
	Connector string
	// Server is its topic.prefix.
	Server string
	// Lane is the task.
	Lane uint32
	// Frozen is the number of a layout, where the record keeps what a lane of that layout last had, for the lanes of the next one; 0 otherwise.
	Frozen uint64
}

// Bytes returns the record key.
func (k Key) Bytes() []byte {
	b := append(AppendString([]byte{'['}, k.Connector), `,{"server":`...)
	b = AppendString(b, k.Server)
	if k.Lane > 0 || k.Frozen > 0 {
		b = fmt.Appendf(b, `,"lane":"%d"`, k.Lane)
	}
	if k.Frozen > 0 {
		b = fmt.Appendf(b, `,"layout":"%d"`, k.Frozen)
	}
	return append(b, "}]"...)
}

// ConnectorKey returns the key for any partition, which is a JSON object of primitives; it is made compact.
func ConnectorKey(connector string, partition json.RawMessage) ([]byte, error) {
	b := append(AppendString([]byte{'['}, connector), ',')
	buf := bytes.NewBuffer(b)
	if err := json.Compact(buf, partition); err != nil {
		return nil, errs.E(errs.Invalid, "offset partition: %w", err)
	}
	return append(buf.Bytes(), ']'), nil
}

// splitKey returns the two members of a key.
func splitKey(key []byte) (connector string, partition json.RawMessage, ok bool) {
	var parts []json.RawMessage
	if json.Unmarshal(key, &parts) != nil || len(parts) != 2 || json.Unmarshal(parts[0], &connector) != nil {
		return "", nil, false
	}
	return connector, parts[1], true
}

// Offset is a checkpoint.
type Offset struct {
	// Source is the position as Debezium spells it.
	Source *rowv1.SourceOffset
	// Token is where rowmesh resumes; nil if somebody else wrote the record.
	Token []byte
	// Layout is the layout that the lane belonged to.
	Layout uint64
	// Transaction counts the events of the transaction in whose middle the place is, where provide.transaction.metadata asks for it.
	Transaction *Transaction
	// Aside are the tables that stand elsewhere.
	Aside Aside
	// Signals is what is kept of signals; nil: nothing.
	Signals *Signals
	// Unfinished are the tables that another program was snapshotting; a record of our own has them in its token.
	Unfinished []IncrementalTable
}

// Transaction is what Debezium keeps of an open transaction.
type Transaction struct {
	ID string
	// Events by table, "database.table".
	Events map[string]uint64
}

// The members of a value that hold a Transaction; the second is followed by the table.
const (
	transactionID     = "transaction_id"
	transactionEvents = "transaction_data_collection_order_"
)

// Foreign reports that another program wrote the record.
func (o *Offset) Foreign() bool { return o.Token == nil }

// Resume returns what the token says; nil if somebody else wrote the record, or a version that this one does not know. The place in Source is that of the last
// row, spelled as Debezium does: inside its transaction, also when that is complete.
func (o *Offset) Resume() *rowv1.ResumeToken {
	t := new(rowv1.ResumeToken)
	if len(o.Token) == 0 || proto.Unmarshal(o.Token, t) != nil || t.Version != 1 || t.Start == nil {
		return nil
	}
	return t
}

// Equal reports that the records of both say the same.
func (o *Offset) Equal(p *Offset) bool {
	if o == nil || p == nil {
		return o == p
	}
	return bytes.Equal(o.Append(nil), p.Append(nil))
}

// InSnapshot reports that the snapshot that comes before the log was under way. One that was asked for later leaves the place in the log as it is.
func (o *Offset) InSnapshot() bool {
	s := o.Source.GetSnapshot()
	return s != "" && s != BlockingSnapshot && s != "INCREMENTAL"
}

// BlockingSnapshot is SourceOffset.snapshot while a blocking snapshot runs.
const BlockingSnapshot = "BLOCKING"

// Append appends the record value. The order of members is that of the Java map that Debezium fills.
func (o *Offset) Append(b []byte) []byte {
	s := o.Source
	start := len(b)
	b = append(b, '{')
	member := func(name string) {
		if len(b) > start+1 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), `":`...)
	}
	inc := o.incremental()
	if inc != nil {
		member(incrementalCorrelation)
		b = AppendString(b, inc.Correlation)
	}
	if s.TsSec != 0 {
		member("ts_sec")
		b = strconv.AppendInt(b, s.TsSec, 10)
	}
	member("file")
	b = AppendString(b, s.File)
	member("pos")
	b = strconv.AppendUint(b, s.Pos, 10)
	if inc != nil {
		member(incrementalMaximum)
		b = AppendString(b, inc.MaximumKey)
	}
	if s.Gtids != "" {
		member("gtids")
		b = AppendString(b, s.Gtids)
	}
	if s.Snapshot != "" {
		member("snapshot")
		b = AppendString(b, s.Snapshot)
	}
	if s.Row != 0 {
		member("row")
		b = strconv.AppendUint(b, s.Row, 10)
	}
	if s.ServerId != 0 {
		member("server_id")
		b = strconv.AppendUint(b, uint64(s.ServerId), 10)
	}
	if s.Event != 0 {
		member("event")
		b = strconv.AppendUint(b, s.Event, 10)
	}
	if inc != nil {
		member(incrementalTables)
		b = AppendString(b, inc.tables())
		member(incrementalLast)
		b = AppendString(b, inc.LastKey)
	}
	if t := o.Transaction; t != nil {
		member(transactionID)
		b = AppendString(b, t.ID)
		for _, table := range slices.Sorted(maps.Keys(t.Events)) {
			b = append(AppendString(append(b, ','), transactionEvents+table), ':')
			b = strconv.AppendUint(b, t.Events[table], 10)
		}
	}
	switch token := base64.RawURLEncoding.EncodeToString(o.Token); {
	case !o.Signals.Empty():
		member("rowmesh")
		aside := ""
		if !o.Aside.Empty() {
			aside = o.Aside.encode()
		}
		b = fmt.Appendf(b, `"3.%d.%s.%s.%s"`, o.Layout, token, aside, o.Signals.encode())
	case !o.Aside.Empty():
		member("rowmesh")
		b = fmt.Appendf(b, `"2.%d.%s.%s"`, o.Layout, token, o.Aside.encode())
	case o.Token != nil:
		member("rowmesh")
		b = fmt.Appendf(b, `"1.%d.%s"`, o.Layout, token)
	}
	return append(b, '}')
}

// Decode reads a record value, whoever wrote it. The error has kind Corrupt and says what to do.
func Decode(value []byte) (Offset, error) {
	var v struct {
		TsSec    json.Number `json:"ts_sec"`
		File     string      `json:"file"`
		Pos      json.Number `json:"pos"`
		Gtids    *string     `json:"gtids"`
		Row      json.Number `json:"row"`
		Event    json.Number `json:"event"`
		ServerID json.Number `json:"server_id"`
		Snapshot any         `json:"snapshot"`
		Rowmesh  string      `json:"rowmesh"`
		ID       *string     `json:"transaction_id"`

		Tables      string `json:"incremental_snapshot_collections"`
		Correlation string `json:"incremental_snapshot_correlation_id"`
	}
	bad := func(err error) (Offset, error) {
		return Offset{}, errs.E(errs.Corrupt, "stored offset %.200s: %w; correct it with PATCH /connectors/<name>/offsets, or DELETE it for a new snapshot", value, err)
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return bad(err)
	}
	var failed error
	num := func(n json.Number) uint64 {
		if n == "" {
			return 0
		}
		u, err := strconv.ParseUint(n.String(), 10, 64)
		if err != nil {
			failed = err
		}
		return u
	}
	s := &rowv1.SourceOffset{File: v.File, Pos: num(v.Pos), Row: num(v.Row), Event: num(v.Event), ServerId: uint32(num(v.ServerID)), TsSec: int64(num(v.TsSec))}
	if v.Gtids != nil {
		s.Gtids = *v.Gtids
	}
	switch x := v.Snapshot.(type) {
	case string:
		s.Snapshot = x
	case bool: // older Debezium
		if x {
			s.Snapshot = "INITIAL"
		}
	}
	if failed != nil {
		return bad(failed)
	}
	o := Offset{Source: s}
	if v.ID != nil {
		var err error
		if o.Transaction, err = decodeTransaction(*v.ID, value); err != nil {
			return bad(err)
		}
	}
	if v.Rowmesh == "" {
		var err error
		if o.Unfinished, err = decodeIncremental(v.Tables, v.Correlation); err != nil {
			return bad(err)
		}
		return o, nil
	}
	parts := strings.Split(v.Rowmesh, ".")
	if !(len(parts) == 3 && parts[0] == "1" || len(parts) == 4 && parts[0] == "2" || len(parts) == 5 && parts[0] == "3") {
		return bad(fmt.Errorf("its rowmesh member has a format that this version does not know"))
	}
	var err error
	if o.Layout, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return bad(err)
	}
	if len(parts) == 3 || parts[2] != "" {
		if o.Token, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
			return bad(err)
		}
	}
	if len(parts) >= 4 && (len(parts) == 4 || parts[3] != "") {
		if o.Aside, err = decodeAside(parts[3]); err != nil {
			return bad(err)
		}
	}
	if len(parts) == 5 {
		if o.Signals, err = decodeSignals(parts[4]); err != nil {
			return bad(err)
		}
	}
	return o, nil
}

func decodeTransaction(id string, value []byte) (*Transaction, error) {
	t := &Transaction{ID: id, Events: map[string]uint64{}}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil {
		return nil, err
	}
	for name, raw := range members {
		table, ok := strings.CutPrefix(name, transactionEvents)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(string(raw), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		t.Events[table] = n
	}
	return t, nil
}

// Public returns a record value as users see it: without rowmesh's own member, otherwise as it was written.
func Public(value []byte) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(value))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return value
	}
	out := []byte{'{'}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return value
		}
		var member json.RawMessage
		if err := dec.Decode(&member); err != nil {
			return value
		}
		if name == "rowmesh" {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(AppendString(out, name.(string)), ':'), member...)
	}
	return append(out, '}')
}

// AppendString appends s as a JSON string the way Jackson does: only quotes, backslashes and control characters are escaped.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04X`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Partition returns the partition of a key as Kafka's Java producer chooses it: murmur2, made positive, modulo n.
func Partition(key []byte, n int32) int32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
	)
	h := seed ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h&0x7fffffff) % n
}
