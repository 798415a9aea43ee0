package convert

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	rowv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/row/v1"
	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/row"
)

// Options are what an encoder needs beside the connector's config.
type Options struct {
	// RunID is the context header of that name: one UUID per start of the connector.
	RunID string
	// TaskID is the context header of that name: the lane's number.
	TaskID int
	// Now returns the time in nanoseconds since the Unix epoch. It is asked once per batch.
	Now func() int64
	// Tolerate collects rows that cannot be converted in Output.Failed instead of stopping at the first (errors.tolerance=all).
	Tolerate bool
	// Complete may give the image behind an insert or update of the log other values before it is converted; nil: none are wanted. Its error ends the batch as it is.
	Complete func(r Row) error
	// Blocking is the transaction that the stream waits behind while a blocking snapshot is read; rows of a snapshot have its GTID, server and thread, as
	// Debezium's have. Nil: another snapshot.
	Blocking *Behind
	// Shapes gives each record its Shape, for who reads the payloads again. Then the config's converters should have no schemas of their own.
	Shapes bool
}

// Row is a row whose image may be completed. All of it is only good during the call.
type Row struct {
	Table *rowv1.Table
	// Key are the columns of the message key, Value those that the value has.
	Key, Value []int
	// After is the image, a cell for each column of the table. What Complete puts in is its own.
	After []row.Cell
}

// Behind is a transaction.
type Behind struct {
	GTID             string
	ServerID, Thread uint32
}

// maxPlansPerTable bounds the versions of one table that are kept. Rows come in the order of the log, so a version is not used again once the next
// one is; a few are kept for batches that are still on their way.
const maxPlansPerTable = 4

// Encoder converts the rows of one subscription. One goroutine uses it.
type Encoder struct {
	cfg       *config.Connector
	opts      Options
	connector string // "mysql" or "mariadb"
	modes     columnModes

	naming      naming
	messageKeys []messageKey
	columns     nameFilter
	gtids       nameFilter // on the sources of transactions
	mappers     []mapper

	plans   map[uint32]*plan
	byTable map[tableName][]uint32 // schema ids of each table, oldest first
	topics  map[string]*Topic

	context []Header
	// sourceHead is the source block up to ts_ms.
	sourceHead  []byte
	schemaTopic *Topic
	ddlKey      surround
	ddlValue    surround
	ddlShape    *Shape
	heartbeat   heartbeat
	notices     *notices // nil before the first
	txn         transactions

	// lastRow is the number of the last row of the log within its event.
	lastRow uint32

	// foreign says of each source of a batch's GTIDs, by its index in the batch, whether its rows are left out; empty if all are wanted.
	foreign []bool
	// left are table versions whose rows are left out.
	left map[uint32]bool

	// Scratch of Batch.
	index int // of the row in its group
	cells [2][]row.Cell
	ends  []int
	group group
}

type tableName struct{ database, table string }

// messageKey is one element of message.key.columns.
type messageKey struct {
	table   *regexp.Regexp
	literal bool // it names one table
	columns []keyColumn
}

// keyColumn is a column of a key, by name or by a pattern on names.
type keyColumn struct {
	name    string
	pattern *regexp.Regexp // nil: the name is none
}

func (k *keyColumn) is(column string) bool {
	return strings.EqualFold(k.name, column) || k.pattern != nil && k.pattern.MatchString(column)
}

// surround is what stands before and after a payload.
type surround struct{ head, tail []byte }

func surroundBy(schema string, enabled bool) surround {
	if !enabled {
		return surround{}
	}
	return surround{[]byte(`{"schema":` + schema + `,"payload":`), []byte("}")}
}

// New makes an encoder. Errors are of kind Invalid and name the option: a regular expression that does not compile, or a converter or topic naming
// strategy that is not supported.
func New(cfg *config.Connector, opts Options) (*Encoder, error) {
	e := &Encoder{
		cfg: cfg, opts: opts, connector: string(config.MySQL), modes: modesOf(cfg),
		plans: map[uint32]*plan{}, byTable: map[tableName][]uint32{}, topics: map[string]*Topic{}, left: map[uint32]bool{},
	}
	if cfg.Flavor == config.MariaDB {
		e.connector = string(config.MariaDB)
	}
	for option, c := range map[string]config.Converter{"key.converter": cfg.KeyConverter, "value.converter": cfg.ValueConverter} {
		if c.Class != "" && c.Class != "json" {
			return nil, errs.E(errs.Invalid, "%s: the converter %s is not supported; use org.apache.kafka.connect.json.JsonConverter", option, c.Class)
		}
	}
	var err error
	if e.naming, err = newNaming(cfg); err != nil {
		return nil, err
	}
	if err := e.compileFilters(); err != nil {
		return nil, err
	}
	e.sourceHead = appendString([]byte(`"source":{"version":`), config.VersionOf(cfg.Flavor))
	e.sourceHead = appendString(append(e.sourceHead, `,"connector":`...), e.connector)
	e.sourceHead = appendString(append(e.sourceHead, `,"name":`...), cfg.TopicPrefix)
	e.sourceHead = append(e.sourceHead, `,"ts_ms":`...)
	if cfg.ExtendedHeaders {
		e.context = []Header{
			{"__debezium.context.connectorLogicalName", []byte(cfg.TopicPrefix)},
			{"__debezium.context.taskId", []byte(strconv.Itoa(opts.TaskID))},
			{"__debezium.context.connectorName", []byte(e.connector)},
			{"__debezium.context.runId", []byte(opts.RunID)},
		}
	}
	e.schemaTopic = e.topic(cfg.TopicPrefix, SchemaChangeTopic)
	e.ddlKey = surroundBy(schemaChangeKey(e.connector), cfg.KeyConverter.Schemas)
	e.ddlValue = surroundBy(schemaChangeValue(e.connector), cfg.ValueConverter.Schemas)
	e.ddlShape = e.shapeOf(schemaChangeKey(e.connector), schemaChangeValue(e.connector))
	e.heartbeat.init(e)
	e.txn.init(e)
	return e, nil
}

// shapeOf returns a shape, nil if none is wanted.
func (e *Encoder) shapeOf(key, value string) *Shape {
	if !e.opts.Shapes {
		return nil
	}
	return &Shape{Key: []byte(key), Value: []byte(value)}
}

func (e *Encoder) compileFilters() error {
	for _, k := range e.cfg.MessageKeyColumns {
		re, err := anchored("message.key.columns", k.Table)
		if err != nil {
			return err
		}
		key := messageKey{table: re}
		_, key.literal = config.Literal(k.Table)
		for _, name := range k.Columns {
			c := keyColumn{name: name}
			if list, err := config.Patterns(name); err == nil && len(list) == 1 {
				if c.pattern, err = anchored("message.key.columns", list[0]); err != nil {
					return err
				}
			}
			key.columns = append(key.columns, c)
		}
		e.messageKeys = append(e.messageKeys, key)
	}
	var err error
	if e.columns.include, err = anchoredList("column.include.list", e.cfg.IncludeColumns); err != nil {
		return err
	}
	if e.columns.exclude, err = anchoredList("column.exclude.list", e.cfg.ExcludeColumns); err != nil {
		return err
	}
	if e.gtids.include, err = anchoredList("gtid.source.includes", e.cfg.IncludeGTIDs); err != nil {
		return err
	}
	if e.gtids.exclude, err = anchoredList("gtid.source.excludes", e.cfg.ExcludeGTIDs); err != nil {
		return err
	}
	if e.mappers, err = mappers(e.cfg.Raw); err != nil {
		return err
	}
	if e.modes.booleans, err = booleanConverters(e.cfg.Raw); err != nil {
		return err
	}
	e.modes.sinks, err = sinkConverters(e.cfg.Raw)
	return err
}

// nameFilter is an include and an exclude list: of columns (database.table.column), of the sources of GTIDs.
type nameFilter struct{ include, exclude []*regexp.Regexp }

// selects reports whether a name is in the include list, if there is one, and not in the other.
func (f *nameFilter) selects(name string) bool {
	matches := func(list []*regexp.Regexp) bool {
		for _, re := range list {
			if re.MatchString(name) {
				return true
			}
		}
		return false
	}
	if len(f.include) > 0 && !matches(f.include) {
		return false
	}
	return !matches(f.exclude)
}

// anchored compiles a regular expression that must match the whole name, whatever the case.
func anchored(option, expression string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`(?i)^(?:` + strings.TrimSpace(expression) + `)$`)
	if err != nil {
		return nil, errs.E(errs.Invalid, "%s: %q is no regular expression: %w", option, expression, err)
	}
	return re, nil
}

func anchoredList(option string, expressions []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, x := range expressions {
		re, err := anchored(option, x)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// ContextHeaders are the headers of records whose Context is set; read-only.
func (e *Encoder) ContextHeaders() []Header { return e.context }

// Headers appends the headers of a record to dst in their order. Values are views into the arena and the encoder.
func (e *Encoder) Headers(dst []Header, o *Output, r *Record) []Header {
	switch r.Extra {
	case NewKey:
		dst = append(dst, Header{newKeyHeader, o.Bytes(r.ExtraValue)})
	case OldKey:
		dst = append(dst, Header{oldKeyHeader, o.Bytes(r.ExtraValue)})
	}
	if r.Context {
		dst = append(dst, e.context...)
	}
	return dst
}

// AddTable makes a table version known under its schema id; t is kept and must not change. An id that is known is replaced.
func (e *Encoder) AddTable(t *rowv1.Table) error {
	p, err := e.compile(t)
	if err != nil {
		return errs.E(errs.Invalid, "%w", err)
	}
	e.forget(t.SchemaId)
	e.plans[t.SchemaId] = p
	name := tableName{t.Database, t.Table}
	ids := append(e.byTable[name], t.SchemaId)
	if len(ids) > maxPlansPerTable {
		delete(e.plans, ids[0])
		ids = append(ids[:0], ids[1:]...)
	}
	e.byTable[name] = ids
	for i := range e.cells {
		if n := len(t.Columns); n > len(e.cells[i]) {
			e.cells[i] = make([]row.Cell, n)
		}
	}
	return nil
}

// Table returns the table version of a schema id, nil if it is not known. It must not be changed.
func (e *Encoder) Table(id uint32) *rowv1.Table {
	if p := e.plans[id]; p != nil {
		return p.table
	}
	return nil
}

// Leave makes a table version known of which no rows are wanted, because AddTable refused it. An id that is known is replaced.
func (e *Encoder) Leave(id uint32) {
	e.forget(id)
	e.left[id] = true
}

// LeaveTable is Leave for all versions of a table that are known.
func (e *Encoder) LeaveTable(database, table string) {
	for id, p := range e.plans {
		if p.table.Database == database && p.table.Table == table {
			e.Leave(id)
		}
	}
}

// forget drops a schema id.
func (e *Encoder) forget(id uint32) {
	delete(e.left, id)
	old, ok := e.plans[id]
	if !ok {
		return
	}
	delete(e.plans, id)
	name := tableName{old.table.Database, old.table.Table}
	var kept []uint32
	for _, k := range e.byTable[name] {
		if k != id {
			kept = append(kept, k)
		}
	}
	if len(kept) == 0 {
		delete(e.byTable, name)
		return
	}
	e.byTable[name] = kept
}

// topic returns the topic of a name, which is sanitized.
func (e *Encoder) topic(name string, kind TopicKind) *Topic {
	return e.named(e.naming.sanitize(name), kind)
}

// named returns the topic of a name as it is.
func (e *Encoder) named(name string, kind TopicKind) *Topic {
	t := e.topics[name]
	if t == nil {
		t = &Topic{name, kind}
		e.topics[name] = t
	}
	return t
}

func (e *Encoder) dataTopic(database, table string) (*Topic, error) {
	name, err := e.naming.data(database, table)
	if err != nil {
		return nil, err
	}
	return e.named(name, DataTopic), nil
}

// TopicOf returns the topic of a table, for creating topics ahead of rows; the one without topic.regex where that makes none of it.
func (e *Encoder) TopicOf(database, table string) *Topic {
	t, err := e.dataTopic(database, table)
	if err != nil {
		return e.topic(e.naming.origin(database, table), DataTopic)
	}
	return t
}

// columnError names the column of a conversion error.
type columnError struct {
	column string
	err    error
}

func (e columnError) Error() string { return fmt.Sprintf("%s: %v", e.column, e.err) }
