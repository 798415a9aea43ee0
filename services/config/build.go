package config

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"
)

// build makes the connector of a config without errors.
func (p *parser) build() *Connector {
	c := &Connector{
		Name:     p.name,
		Class:    trim(p.in["connector.class"]),
		Flavor:   p.flavor,
		TasksMax: int(p.integer("tasks.max")),

		TopicPrefix: p.in["topic.prefix"],

		KeyConverter:    p.converter("key.converter"),
		ValueConverter:  p.converter("value.converter"),
		HeaderConverter: p.converter("header.converter"),
		TopicCreation:   p.topicCreation(),
		Producer:        p.producer(),
		ExactlyOnce:     p.word("exactly.once.support"),
		ErrorsTolerance: trim(p.get("errors.tolerance")),
		OffsetsTopic:    trim(p.in["offsets.storage.topic"]),

		CommitInterval: p.commitInterval(),
		CommitBytes:    p.integer("rowmesh.commit.max.bytes"),
		Restart:        p.boolean("rowmesh.restart"),

		Raw: maps.Clone(p.in),
	}
	if c.Name == "" {
		c.Name = trim(p.in["name"])
	}
	c.Errors = p.errors()
	c.QueueBytes, c.Retries = p.queueBytes(), p.retries()
	c.Reselects = p.reselects()
	p.buildConnection(c)
	p.buildFilters(c)
	p.buildValues(c)
	p.buildEvents(c)
	c.Snapshot = p.snapshot()
	c.Signals, c.Notifications = p.signals(), p.notifications()
	return c
}

func (p *parser) millis(name string) time.Duration {
	return time.Duration(p.integer(name)) * time.Millisecond
}

// errors reads the options of error handling. Kafka Connect's sources look at no option of dead letters, so that what is wrong there is told and refuses nothing.
func (p *parser) errors() Errors {
	const replication = "errors.deadletterqueue.topic.replication.factor"
	n, err := strconv.Atoi(trim(p.get(replication)))
	if err != nil || n < -1 || n == 0 || n > math.MaxInt16 {
		p.warn(replication, fmt.Sprintf("%s=%s is no number of replicas: the broker's default is used", replication, p.in[replication]))
		n = -1
	}
	return Errors{
		Log: p.boolean("errors.log.enable"), LogContents: p.boolean("errors.log.include.messages"),
		RetryTimeout: p.millis("errors.retry.timeout"), RetryDelay: p.millis("errors.retry.delay.max.ms"),
		DeadLetterTopic: trim(p.in["errors.deadletterqueue.topic.name"]), DeadLetterReplication: n,
	}
}

func (p *parser) buildConnection(c *Connector) {
	c.Hostname = p.in["database.hostname"]
	c.Port = int(p.integer("database.port"))
	c.User = p.in["database.user"]
	c.Password = p.in["database.password"]
	c.ServerID = uint32(p.integer("database.server.id"))
	c.ConnectTimeout = p.millis("connect.timeout.ms")
	c.KeepAlive = p.millis("connect.keep.alive.interval.ms")
	c.QueryTimeout = p.millis("database.query.timeout.ms")
	c.SSLCAFile = trim(p.in["rowmesh.ssl.ca.file"])
	c.SSLKeyStore = KeyStore{trim(p.in["database.ssl.keystore"]), p.in["database.ssl.keystore.password"]}
	c.SSLTrustStore = KeyStore{trim(p.in["database.ssl.truststore"]), p.in["database.ssl.truststore.password"]}
	c.InitialStatements = append(splitStatements(p.in["database.initial.statements"]), p.sessionVariables()...)
	c.SSLMode = p.word("database.ssl.mode")
	// MariaDB's driver has words of its own for the same modes.
	if mode, ok := map[string]string{"disable": "disabled", "trust": "required", "verify-ca": "verify_ca", "verify-full": "verify_identity"}[c.SSLMode]; ok {
		c.SSLMode = mode
	}
	// driver.* wins over database.*, as in Debezium.
	for _, name := range []string{"driver.connectionTimeZone", "database.connectionTimeZone", "driver.timezone", "database.timezone"} {
		if v := trim(p.in[name]); v != "" && c.TimeZone == "" {
			c.TimeZone = v
		}
	}
}

// splitStatements splits database.initial.statements at semicolons; two of them are one that belongs to its statement.
func splitStatements(list string) []string {
	var out []string
	for _, s := range strings.Split(strings.ReplaceAll(list, ";;", "\x00"), ";") {
		if s = trim(strings.ReplaceAll(s, "\x00", ";")); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (p *parser) buildFilters(c *Connector) {
	c.IncludeDatabases, c.ExcludeDatabases = p.patterns("database.include.list"), p.patterns("database.exclude.list")
	c.IncludeTables, c.ExcludeTables = p.patterns("table.include.list"), p.patterns("table.exclude.list")
	c.IncludeColumns, c.ExcludeColumns = p.patterns("column.include.list"), p.patterns("column.exclude.list")
	c.IgnoreBuiltin = p.boolean("table.ignore.builtin")
	c.TablesMax, c.TablesMaxFails = int(p.integer("guardrail.collections.max")), p.word("guardrail.collections.limit.action") == "fail"
	c.StartGTIDs = SourceFilter{p.patterns("gtid.source.includes"), p.patterns("gtid.source.excludes")}
	if p.boolean("gtid.source.filter.dml.events") {
		c.IncludeGTIDs, c.ExcludeGTIDs = c.StartGTIDs.Include, c.StartGTIDs.Exclude
	}
	for _, part := range strings.Split(p.in["message.key.columns"], ";") {
		m := keyColumns.FindStringSubmatch(part)
		if m == nil {
			continue
		}
		table, err := Patterns(strings.ReplaceAll(m[1], ",", `\,`))
		if err != nil || len(table) != 1 {
			p.warn("message.key.columns", "message.key.columns: "+part+" is ignored: its table is no valid pattern")
			continue
		}
		c.MessageKeyColumns = append(c.MessageKeyColumns, KeyColumns{Table: table[0], Columns: withoutEmpty(m[2])})
	}
}

func (p *parser) buildValues(c *Connector) {
	c.DecimalMode = p.word("decimal.handling.mode")
	c.BigintUnsignedMode = p.word("bigint.unsigned.handling.mode")
	c.TimeMode = p.word("time.precision.mode")
	c.BinaryMode = p.valid("binary.handling.mode")
	c.TimeAdjuster = p.boolean("enable.time.adjuster")
	c.SchemaNameMode = p.word("schema.name.adjustment.mode")
	c.FieldNameMode = p.word("field.name.adjustment.mode")
	c.ConvertFailure = p.valid("event.converting.failure.handling.mode")
	c.UnavailableValue = p.placeholder()
	c.EventFailure = failureMode(p.word("event.processing.failure.handling.mode"))
	c.InconsistentSchema = failureMode(p.word("inconsistent.schema.handling.mode"))
}

// placeholder is unavailable.value.placeholder: a text, or behind "hex:" its bytes.
func (p *parser) placeholder() string {
	v := p.get("unavailable.value.placeholder")
	if digits, ok := strings.CutPrefix(v, "hex:"); ok {
		b, _ := hex.DecodeString(digits) // checked before
		return string(b)
	}
	return v
}

// failureMode reads a mode; ignore is the old word for skip.
func failureMode(word string) FailureMode {
	if word == "ignore" {
		return Skip
	}
	return FailureMode(word)
}

// valid is word for options whose unknown values stand for the default.
func (p *parser) valid(name string) string {
	v, o := p.word(name), p.cat.byName[name]
	for _, known := range o.Values {
		if v == known {
			return v
		}
	}
	return *o.Default
}

func (p *parser) buildEvents(c *Connector) {
	c.TombstonesOnDelete = p.boolean("tombstones.on.delete")
	for _, op := range withoutEmpty(p.get("skipped.operations")) {
		if op != "none" {
			c.SkippedOperations += op
		}
	}
	c.SkipUnchanged = p.boolean("skip.messages.without.change")
	c.IncludeSchemaChanges = p.boolean("include.schema.changes")
	c.History = p.history()
	c.OnlyCapturedDDL = p.boolean("schema.history.internal.store.only.captured.tables.ddl")
	c.IncludeSchemaComments = p.boolean("include.schema.comments")
	c.IncludeQuery = p.boolean("include.query")
	c.TransactionMetadata = p.boolean("provide.transaction.metadata")
	c.ExtendedHeaders = p.boolean("extended.headers.enabled")
	c.TopicDelimiter = p.get("topic.delimiter")
	c.TopicStrategy, c.TopicRouting = p.strategy(), p.topicRouting()
	c.TransactionTopic = p.get("topic.transaction")
	c.HeartbeatInterval = p.millis("heartbeat.interval.ms")
	c.HeartbeatQuery = trim(p.in["heartbeat.action.query"])
	c.HeartbeatPrefix = p.get("topic.heartbeat.prefix")
	c.HeartbeatTopic = trim(p.in["topic.heartbeat.name"])
	c.StreamingDelay = p.millis("streaming.delay.ms")
}
