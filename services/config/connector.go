package config

import "time"

// Flavor is the kind of server that a connector reads.
type Flavor string

// Flavors.
const (
	MySQL   Flavor = "mysql"
	MariaDB Flavor = "mariadb"
)

// Connector is a connector's config, parsed: what the options of services/config's registry mean. Field comments name the option.
type Connector struct {
	Name     string // name
	Class    string // connector.class
	Flavor   Flavor // from the class
	TasksMax int    // tasks.max

	TopicPrefix string // topic.prefix

	// Database connection.
	Hostname       string        // database.hostname
	Port           int           // database.port
	User           string        // database.user
	Password       string        // database.password; secret references resolved by Resolve
	ServerID       uint32        // database.server.id
	ConnectTimeout time.Duration // connect.timeout.ms
	KeepAlive      time.Duration // connect.keep.alive.interval.ms
	QueryTimeout   time.Duration // database.query.timeout.ms; 0: no limit
	SSLMode        string        // database.ssl.mode, MySQL's spelling: disabled, preferred, required, verify_ca, verify_identity
	SSLCAFile      string        // rowmesh.ssl.ca.file (PEM)
	SSLKeyStore    KeyStore      // database.ssl.keystore, .password: the client's own key and certificate
	SSLTrustStore  KeyStore      // database.ssl.truststore, .password: who may have signed the server's certificate
	// InitialStatements is database.initial.statements and behind them driver.sessionVariables: run on each session but that of the log.
	InitialStatements []string
	TimeZone          string // database.connectionTimeZone / driver.connectionTimeZone, as given

	// Filters: lists of regular expressions for Go's regexp. Each holds its own anchors and flags, "(?i)^(?:db\.t)$", and may be wrapped in further ones.
	IncludeDatabases, ExcludeDatabases []string // database.include.list, .exclude.list
	IncludeTables, ExcludeTables       []string // table.include.list, .exclude.list
	IncludeColumns, ExcludeColumns     []string // column.include.list, .exclude.list
	IgnoreBuiltin                      bool     // table.ignore.builtin
	// Rows of other GTID sources are left out: gtid.source.includes, .excludes; nil where gtid.source.filter.dml.events is false. A source is a
	// server's UUID, MariaDB's "domain-server".
	IncludeGTIDs, ExcludeGTIDs []string
	// StartGTIDs are the GTID sources that must be the same where a place is looked for, by the same options: a server may lack transactions of others.
	StartGTIDs        SourceFilter
	TablesMax         int  // guardrail.collections.max; 0: no limit
	TablesMaxFails    bool // guardrail.collections.limit.action=fail: a connector with more is not created
	MessageKeyColumns []KeyColumns

	// Values.
	DecimalMode        string // decimal.handling.mode: precise, double, string
	BigintUnsignedMode string // bigint.unsigned.handling.mode: long, precise
	TimeMode           string // time.precision.mode: adaptive_time_microseconds, connect, isostring, microseconds, nanoseconds
	BinaryMode         string // binary.handling.mode: bytes, base64, base64-url-safe, hex
	TimeAdjuster       bool   // enable.time.adjuster
	SchemaNameMode     string // schema.name.adjustment.mode: none, avro, avro_unicode
	FieldNameMode      string // field.name.adjustment.mode
	ConvertFailure     string // event.converting.failure.handling.mode: warn, skip, fail
	UnavailableValue   string // unavailable.value.placeholder; "hex:" is decoded

	// What becomes of changes that cannot be processed.
	EventFailure       FailureMode // event.processing.failure.handling.mode: rows that cannot be read or converted
	InconsistentSchema FailureMode // inconsistent.schema.handling.mode: rows of tables that no statement and no snapshot has told of

	Reselects []Reselect // post.processors

	// Events.
	TombstonesOnDelete    bool   // tombstones.on.delete
	SkippedOperations     string // skipped.operations as op letters: "t"
	SkipUnchanged         bool   // skip.messages.without.change
	IncludeSchemaChanges  bool   // include.schema.changes
	OnlyCapturedDDL       bool   // schema.history.internal.store.only.captured.tables.ddl: nothing is told of the definitions of other tables
	History               History
	IncludeSchemaComments bool   // include.schema.comments
	IncludeQuery          bool   // include.query
	TransactionMetadata   bool   // provide.transaction.metadata
	ExtendedHeaders       bool   // extended.headers.enabled
	TopicDelimiter        string // topic.delimiter
	TopicStrategy         TopicStrategy
	TopicRouting          *TopicRouting // of the regex strategies; nil with others
	TransactionTopic      string        // topic.transaction
	HeartbeatInterval     time.Duration
	HeartbeatQuery        string        // heartbeat.action.query
	HeartbeatPrefix       string        // topic.heartbeat.prefix
	HeartbeatTopic        string        // topic.heartbeat.name, the whole name; empty: made of the prefix and topic.prefix
	StreamingDelay        time.Duration // streaming.delay.ms

	Snapshot Snapshot

	Signals       Signals
	Notifications Notifications

	KeyConverter, ValueConverter, HeaderConverter Converter

	// Kafka.
	TopicCreation   TopicCreation
	Producer        map[string]string // producer.override.*, librdkafka names where they differ from Java's
	ExactlyOnce     string            // exactly.once.support: requested, required
	ErrorsTolerance string            // errors.tolerance: none, all
	Errors          Errors
	OffsetsTopic    string // offsets.storage.topic; empty: the mesh's

	// Rowmesh's own.
	CommitInterval time.Duration // rowmesh.commit.interval.ms: a lane that is busy commits this often; transaction.boundary.interval.ms where transaction.boundary=interval
	CommitBytes    int64         // rowmesh.commit.max.bytes: or after so many bytes
	Restart        bool          // rowmesh.restart: failed lanes start again by themselves with back-off

	// QueueBytes is max.queue.size.in.bytes: packed rows that a lane may have taken and not yet handed on; 0: the default.
	QueueBytes int64
	Retries    Retries

	// Raw is the config as given, names translated to Debezium 3's.
	Raw map[string]string
}

// Errors are the other options of error handling.
type Errors struct {
	Log         bool // errors.log.enable: records that are left out are logged
	LogContents bool // errors.log.include.messages: with their keys and values
	// RetryTimeout is errors.retry.timeout: how long a server that transforms or converters need may be away before that is the error of the records; 0 and
	// negative: for ever. RetryDelay is errors.retry.delay.max.ms.
	RetryTimeout, RetryDelay time.Duration
	DeadLetterTopic          string // errors.deadletterqueue.topic.name
	DeadLetterReplication    int    // errors.deadletterqueue.topic.replication.factor; -1: the broker's default
}

// Retries say how a lane that failed starts again.
type Retries struct {
	Max   int           // errors.max.retries; -1: without end
	Pause time.Duration // retriable.restart.connector.wait.ms; 0 where it is not given: a pause that grows
}

// SourceFilter chooses sources of GTIDs; the zero value takes all.
type SourceFilter struct{ Include, Exclude []string }

// FailureMode says what becomes of a change that cannot be processed.
type FailureMode string

// Failure modes.
const (
	Fail FailureMode = "fail" // its table stops, and nothing of it is lost
	Warn FailureMode = "warn" // it is left out, which the status and the log say
	Skip FailureMode = "skip" // it is left out, which the metrics say
)

// KeyStore is a file of certificates and keys: PEM, JKS or PKCS12.
type KeyStore struct{ File, Password string }

// KeyColumns is one element of message.key.columns.
type KeyColumns struct {
	Table   string   // regular expression on database.table, as in the filters
	Columns []string // names, or Java patterns on names
}

// Converter is a converter with its options.
type Converter struct {
	Class       string // short name: json, string, avro, ...; simple for headers
	Schemas     bool   // schemas.enable
	NullDefault bool   // replace.null.with.default
	DecimalText bool   // decimal.format=NUMERIC
	// Options are all of the converter's, by their names without its prefix. Read-only.
	Options map[string]string
}

// TopicCreation is topic.creation.*.
type TopicCreation struct {
	Default TopicSpec
	Groups  []TopicGroup
}

// TopicSpec says how a topic is made; -1 leaves it to the broker.
type TopicSpec struct {
	Partitions        int
	ReplicationFactor int
	Configs           map[string]string
}

// TopicGroup is one of topic.creation.groups.
type TopicGroup struct {
	Name             string
	Include, Exclude []string // regular expressions with their anchors; case counts
	TopicSpec
}
