package convert

import (
	"fmt"
	"slices"
	"strconv"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/publisher/jsontext"
	"github.com/rowmesh/rowmesh/services/row"
)

// Transaction is the part of a source transaction that was converted: what provide.transaction.metadata needs to go on in its middle.
type Transaction struct {
	// ID is the GTID, or where the source has none, file and position as "file=binlog.000001,pos=4".
	ID string
	// Collections are the tables with events, in the order of their first.
	Collections []Collection
}

// Collection counts the events of one table, "database.table".
type Collection struct {
	Name   string
	Events uint64
}

// transactions writes transaction metadata: a BEGIN and an END for each transaction of the log that has reached this encoder, and a block in each event that
// numbers it in its transaction and in its table.
type transactions struct {
	on         bool
	topic      *Topic
	key, value surround
	shape      *Shape

	open   bool
	id     []byte
	micros int64 // of the transaction
	total  uint64
	tables []Collection
}

// The schemas of the transaction topic.
const (
	transactionKey = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],"optional":false,` +
		`"name":"io.debezium.connector.common.TransactionMetadataKey","version":1}`
	transactionValue = `{"type":"struct","fields":[{"type":"string","optional":false,"field":"status"},{"type":"string","optional":false,"field":"id"},` +
		`{"type":"int64","optional":true,"field":"event_count"},{"type":"array","items":{"type":"struct","fields":[` +
		`{"type":"string","optional":false,"field":"data_collection"},{"type":"int64","optional":false,"field":"event_count"}],"optional":true,` +
		`"name":"event.collection","version":1},"optional":true,"field":"data_collections"},{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,` +
		`"name":"io.debezium.connector.common.TransactionMetadataValue","version":1}`
)

func (t *transactions) init(e *Encoder) {
	if t.on = e.cfg.TransactionMetadata; !t.on {
		return
	}
	name := e.cfg.TransactionTopic
	if name == "" {
		name = "transaction"
	}
	t.topic = e.topic(e.naming.join(e.cfg.TopicPrefix, name), DataTopic)
	t.key, t.value = surroundBy(transactionKey, e.cfg.KeyConverter.Schemas), surroundBy(transactionValue, e.cfg.ValueConverter.Schemas)
	t.shape = e.shapeOf(transactionKey, transactionValue)
}

// Transaction returns the transaction that is open behind the last batch, nil if none is or if the connector does not ask for metadata.
func (e *Encoder) Transaction() *Transaction {
	if !e.txn.open {
		return nil
	}
	return &Transaction{string(e.txn.id), slices.Clone(e.txn.tables)}
}

// Resume goes on in the middle of a transaction.
func (e *Encoder) Resume(t *Transaction) {
	if t == nil || !e.txn.on {
		return
	}
	e.txn.open, e.txn.id, e.txn.total = true, append(e.txn.id[:0], t.ID...), 0
	e.txn.tables = slices.Clone(t.Collections)
	for _, c := range t.Collections {
		e.txn.total += c.Events
	}
}

// Rewind forgets what a batch has counted that could not be converted: the encoder stands where Transaction had returned t.
func (e *Encoder) Rewind(t *Transaction) {
	e.txn.open = false
	e.Resume(t)
}

// reach goes to transaction t of a batch, of which begun were reached before, and returns how many are now. group is where t's rows begin.
func (e *Encoder) reach(b *rowv1.Batch, begun, t, group int, out *Output) int {
	n := len(b.TxnFlags)
	for ; begun <= t; begun++ {
		if begun > 0 && b.TxnFlags[begun-1]&row.TxnEnds != 0 && e.txn.open {
			e.txn.appendRecord(out, "END")
			e.txn.open = false
		}
		if begun < n {
			e.txn.reach(e, b, begun, group, out)
		}
	}
	return begun
}

// reach takes over transaction t of a batch.
func (t *transactions) reach(e *Encoder, b *rowv1.Batch, index, group int, out *Output) {
	if micros := int64(at(b.TxnCommitUs, index)); micros > 0 {
		t.micros = micros
	} else if seconds := at(b.GroupTime, group); seconds > 0 {
		t.micros = int64(seconds) * 1e6
	}
	begins := b.TxnFlags[index]&row.TxnBegins != 0
	if t.open && !begins {
		return
	}
	t.open, t.total, t.tables = true, 0, t.tables[:0]
	t.id = e.appendGTID(t.id[:0], b, index)
	if len(t.id) == 0 {
		t.id = fmt.Appendf(t.id, "file=%s,pos=%d", b.File, at(b.TxnPos, index))
	}
	if begins {
		t.appendRecord(out, "BEGIN")
	}
}

// count counts an event of a table and returns its numbers.
func (t *transactions) count(table string) (total, ofTable uint64) {
	t.total++
	for i := range t.tables {
		if t.tables[i].Name == table {
			t.tables[i].Events++
			return t.total, t.tables[i].Events
		}
	}
	t.tables = append(t.tables, Collection{table, 1})
	return t.total, 1
}

// uncount takes back the last n events, which are all of one table.
func (t *transactions) uncount(table string, n uint64) {
	if !t.open || n == 0 {
		return
	}
	t.total -= n
	i := slices.IndexFunc(t.tables, func(c Collection) bool { return c.Name == table })
	if t.tables[i].Events -= n; t.tables[i].Events == 0 {
		t.tables = slices.Delete(t.tables, i, i+1)
	}
}

// appendBlock counts an event and appends the member transaction of its envelope.
func (t *transactions) appendBlock(dst []byte, table string) []byte {
	total, ofTable := t.count(table)
	dst = appendString(append(dst, `{"id":`...), t.id)
	dst = append(dst, `,"total_order":`...)
	dst = strconv.AppendUint(dst, total, 10)
	dst = append(dst, `,"data_collection_order":`...)
	return append(strconv.AppendUint(dst, ofTable, 10), '}')
}

// appendRecord appends a BEGIN or an END. They have no context headers.
func (t *transactions) appendRecord(out *Output, status string) {
	r := Record{Topic: t.topic, Partition: -1, ExtraValue: null, Group: -1, Shape: t.shape}
	start := len(out.Arena)
	dst := appendString(append(append(out.Arena, t.key.head...), `{"id":`...), t.id)
	out.Arena = append(append(dst, '}'), t.key.tail...)
	r.Key, r.Hash = out.since(start), Murmur2(out.Arena[start:])

	start = len(out.Arena)
	dst = append(append(out.Arena, t.value.head...), `{"status":"`...)
	dst = append(append(dst, status...), `","id":`...)
	dst = appendString(dst, t.id)
	if status == "BEGIN" {
		dst = append(dst, `,"event_count":null,"data_collections":null`...)
	} else {
		dst = append(dst, `,"event_count":`...)
		dst = strconv.AppendUint(dst, t.total, 10)
		dst = append(dst, `,"data_collections":[`...)
		for i, c := range t.hashOrder() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(append(dst, `{"data_collection":`...), c.Name)
			dst = append(dst, `,"event_count":`...)
			dst = append(strconv.AppendUint(dst, c.Events, 10), '}')
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `,"ts_ms":`...)
	dst = strconv.AppendInt(dst, t.micros/1000, 10)
	out.Arena = append(append(dst, '}'), t.value.tail...)
	r.Value = out.since(start)
	out.Records = append(out.Records, r)
}

// hashOrder returns the tables in the order of the java.util.HashMap in which Debezium counts them.
func (t *transactions) hashOrder() []Collection {
	buckets := jsontext.Buckets(16, len(t.tables))
	out := slices.Clone(t.tables)
	slices.SortStableFunc(out, func(a, b Collection) int {
		return int(jsontext.Hash(a.Name)&(buckets-1)) - int(jsontext.Hash(b.Name)&(buckets-1))
	})
	return out
}
