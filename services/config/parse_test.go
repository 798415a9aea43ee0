package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/errs"
)

// valid is a config with all that is required.
var valid = map[string]string{
	"connector.class": MySQLClass, "database.hostname": "db.test", "database.port": "3306", "database.user": "u", "database.password": "hunter2",
	"database.server.id": "7", "topic.prefix": "p", "name": "c",
}

// with returns valid with changes: "key=value" sets, "-key" removes.
func with(changes ...string) map[string]string {
	cfg := maps.Clone(valid)
	for _, c := range changes {
		if k, ok := strings.CutPrefix(c, "-"); ok {
			delete(cfg, k)
			continue
		}
		k, v, _ := strings.Cut(c, "=")
		cfg[k] = v
	}
	return cfg
}

func texts(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Text)
	}
	return out
}

// tutorial is the config that people have from the time of Debezium 1.x.
var tutorial = map[string]string{
	"connector.class": MySQLClass, "tasks.max": "1", "database.hostname": "h", "database.port": "3306", "database.user": "debezium", "database.password": "debezium",
	"database.server.id": "10000", "database.server.name": "test", "database.connectionTimeZone": "Asia/Seoul", "database.include.list": "mydb",
	"table.include.list": "mydb.myTable", "database.allowPublicKeyRetrieval": "true", "database.history.kafka.bootstrap.servers": "k:9092",
	"database.history.kafka.topic": "schema-history.topic-name", "key.converter": "org.apache.kafka.connect.json.JsonConverter",
	"value.converter": "org.apache.kafka.connect.json.JsonConverter",
}

func TestParseTutorial(t *testing.T) {
	got, res := Parse("debezium-source", tutorial)
	if err := res.Err(); err != nil {
		t.Fatal(err)
	}
	want := &Connector{
		Name: "debezium-source", Class: MySQLClass, Flavor: MySQL, TasksMax: 1, TopicPrefix: "test",
		Hostname: "h", Port: 3306, User: "debezium", Password: "debezium", ServerID: 10000, ConnectTimeout: 30 * time.Second, KeepAlive: time.Minute, QueryTimeout: 10 * time.Minute,
		SSLMode: "preferred", TimeZone: "Asia/Seoul",
		IncludeDatabases: []string{"(?i)^(?:mydb)$"}, IncludeTables: []string{"(?i)^(?:mydb.myTable)$"}, IgnoreBuiltin: true,
		DecimalMode: "precise", BigintUnsignedMode: "long", TimeMode: "adaptive_time_microseconds", BinaryMode: "bytes", TimeAdjuster: true,
		SchemaNameMode: "none", FieldNameMode: "none", ConvertFailure: "warn", UnavailableValue: "__debezium_unavailable_value", EventFailure: Fail, InconsistentSchema: Fail,
		TombstonesOnDelete: true, SkippedOperations: "t", IncludeSchemaChanges: true, ExtendedHeaders: true, TopicDelimiter: ".",
		TopicStrategy: DefaultStrategy, TransactionTopic: "transaction", HeartbeatPrefix: "__debezium-heartbeat",
		Snapshot:     Snapshot{Mode: "initial", LockingMode: "minimal", Isolation: "repeatable_read", Multiplier: 1, LockTimeout: 10 * time.Second, MaxThreads: 1},
		KeyConverter: NewConverter("json", map[string]string{}), ValueConverter: NewConverter("json", map[string]string{}), HeaderConverter: NewConverter("simple", nil),
		TopicCreation: TopicCreation{Default: TopicSpec{-1, -1, map[string]string{}}},
		Producer:      map[string]string{}, ExactlyOnce: "requested", ErrorsTolerance: "none", Errors: Errors{RetryDelay: time.Minute, DeadLetterReplication: -1},
		Signals:        Signals{Source: true, Poll: 5 * time.Second, Topic: "test-signal", Group: "kafka-signal", Client: map[string]string{}, File: "file-signals.txt", ChunkRows: 1024},
		History:        History{Topic: "schema-history.topic-name", Brokers: "k:9092", Producer: map[string]string{}, Consumer: map[string]string{}, Timeout: 10 * time.Second},
		CommitInterval: 200 * time.Millisecond, CommitBytes: 8 << 20, Restart: true, Retries: Retries{Max: -1},
	}
	raw := maps.Clone(tutorial)
	raw["name"] = "debezium-source"
	for old, now := range map[string]string{"database.server.name": "topic.prefix", "database.history.kafka.topic": "schema.history.internal.kafka.topic",
		"database.history.kafka.bootstrap.servers": "schema.history.internal.kafka.bootstrap.servers"} {
		raw[now] = raw[old]
		delete(raw, old)
	}
	want.Raw = raw
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	wantWarnings := []Problem{
		{"database.history.kafka.bootstrap.servers", "database.history.kafka.bootstrap.servers is a name of Debezium 1.x: it is read as schema.history.internal.kafka.bootstrap.servers, use that", false},
		{"database.history.kafka.topic", "database.history.kafka.topic is a name of Debezium 1.x: it is read as schema.history.internal.kafka.topic, use that", false},
		{"database.server.name", "database.server.name is a name of Debezium 1.x: it is read as topic.prefix, use that", false},
	}
	if d := cmp.Diff(wantWarnings, res.Warnings); d != "" {
		t.Error(d)
	}
	if tutorial["database.server.name"] != "test" {
		t.Error("Parse changed its argument")
	}
}

// twice is what Debezium says of table.include.list, which it checks twice.
func twice(text string) []string { return []string{text, text} }

func TestErrors(t *testing.T) {
	debezium := func(option, text string) string { return "The '" + option + "' value is invalid: " + text }
	const (
		list          = "A comma-separated list of valid regular expressions is expected, but "
		regexStrategy = "topic.naming.strategy=io.debezium.schema.DefaultRegexTopicNamingStrategy"
	)
	for _, c := range []struct {
		name string
		cfg  map[string]string
		want []string
	}{
		{"valid", with(), nil},
		{"blanks around numbers of Connect", with("tasks.max= 1 "), nil},
		{"enum in capitals", with("snapshot.mode=INITIAL", "decimal.handling.mode=Double"), nil},
		{"nothing required", with("-database.hostname", "-database.user", "-database.server.id", "-topic.prefix"), []string{
			debezium("topic.prefix", "A value is required"), debezium("database.hostname", "A value is required"),
			debezium("database.user", "A value is required"), debezium("database.server.id", "A value is required")}},
		{"order of several", with("tasks.max=0", "errors.tolerance=some", "snapshot.mode=sometimes", "database.include.list=(", "max.batch.size=0"), []string{
			"Invalid value 0 for configuration tasks.max: Value must be at least 1",
			"Invalid value some for configuration errors.tolerance: String must be one of: none, all",
			debezium("max.batch.size", "A positive, non-zero integer value is expected"),
			debezium("snapshot.mode", "Value must be one of always, initial_only, configuration_based, when_needed, initial, custom, no_data, recovery"),
			debezium("database.include.list", list+"Unclosed group near index 1\n(")}},
		{"empty prefix", with("topic.prefix="), []string{debezium("topic.prefix", "A value is required"),
			debezium("topic.prefix", " has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)")}},
		{"both lists", with("table.include.list=a.b", "table.exclude.list=c.d"), []string{debezium("table.exclude.list", `"table.include.list" is already specified`)}},
		{"regexes are checked twice where Debezium does", with("table.include.list=a,*.x"), []string{
			debezium("table.include.list", list+"Dangling meta character '*' near index 0\n*.x\n^"), debezium("table.include.list", list+"Dangling meta character '*' near index 0\n*.x\n^")}},
		{"look-ahead", with("database.include.list=(?!test).*"), []string{debezium("database.include.list", list+
			"a negative look-ahead (?!...) is not supported here (name what you want in an include list, and what you do not in an exclude list) near index 0\n(?!test).*\n^")}},
		{"possessive quantifier", with("table.include.list=a.b++"), twice(debezium("table.include.list", list+"a possessive quantifier is not supported here (write it without the second +) near index 4\na.b++\n    ^"))},
		{"back reference", with(`column.exclude.list=(a)\1.c`), []string{debezium("column.exclude.list", list+`a back reference is not supported here (write the text again) near index 3`+"\n"+`(a)\1.c`+"\n   ^")}},
		{"a pattern that would explode", with("database.include.list=(a{1000}){1000}"), []string{debezium("database.include.list", list+"invalid repeat count: `{1000}`\n(a{1000}){1000}")}},
		{"numbers out of range", with("connect.timeout.ms=9999999999", "snapshot.fetch.size=-1", "heartbeat.interval.ms=-5", "rowmesh.commit.max.bytes=0"), []string{
			debezium("snapshot.fetch.size", "An non-negative integer is expected"), debezium("connect.timeout.ms", "An integer is expected"),
			debezium("connect.timeout.ms", "A positive, non-zero integer value is expected"), debezium("heartbeat.interval.ms", "An non-negative integer is expected"),
			debezium("rowmesh.commit.max.bytes", "A positive, non-zero long value is expected")}},
		{"GTID sources chosen twice", with("gtid.source.includes=a", "gtid.source.excludes=b"), []string{debezium("gtid.source.excludes", "Cannot specify GTID excludes when includes are provided.")}},
		{"columns chosen twice", with("column.include.list=a.b.c", "column.exclude.list=a.b.d"), []string{debezium("column.exclude.list", `"column.include.list" is already specified`)}},
		{"lineage", with("openlineage.integration.enabled=true"), []string{"The 'openlineage.integration.enabled' option is not supported: no lineage events are sent; remove the option"}},
		{"options of a post processor", with("post.processors=r", "r.type="+ReselectClass, "r.reselect.null.values=x"), []string{debezium("r.reselect.null.values", "Either 'true' or 'false' is expected")}},
		{"columns of a post processor", with("post.processors=r", "r.type="+ReselectClass, "r.reselect.columns.include.list=("), []string{
			debezium("r.reselect.columns.include.list", list+"Unclosed group near index 1\n(")}},
		{"queue", with("max.queue.size=10", "max.batch.size=100"), []string{debezium("max.queue.size", "Must be larger than the maximum batch size")}},
		{"queue without room", with("max.queue.size=0"), []string{debezium("max.queue.size", "A positive queue size is required"), debezium("max.queue.size", "Must be larger than the maximum batch size")}},
		{"operations", with("skipped.operations=c,x"), []string{debezium("skipped.operations", "Invalid operation")}},
		{"none with others", with("skipped.operations=c,none"), []string{debezium("skipped.operations", "'none' cannot be specified with other skipped operation types")}},
		{"adaptive", with("time.precision.mode=adaptive"), []string{debezium("time.precision.mode", "The 'adaptive' time.precision.mode is no longer supported")}},
		{"key columns", with("message.key.columns=a.b:"), []string{debezium("message.key.columns", `a.b: has an invalid format (expecting '^\s*([^:]+):([^:,]+(,[^:,]+)*)\s*$')`)}},
		{"a class hook", with("sourceinfo.struct.maker=com.example.Mine"), []string{"The 'sourceinfo.struct.maker' option is not supported: it names a Java class, which cannot be loaded; remove the option"}},
		{"unknown strategy", with("topic.naming.strategy=com.example.Mine"), []string{"The 'topic.naming.strategy' option is not supported with com.example.Mine: it names a Java class, " +
			"which cannot be loaded; use io.debezium.schema.DefaultTopicNamingStrategy, or the Schema, Unicode or Regex strategies of the same package"}},
		{"regex strategy alone", with(regexStrategy), []string{debezium("topic.regex", "A value is required"), debezium("topic.replacement", "A value is required")}},
		{"bad topic regex", with(regexStrategy, "topic.regex=(", "topic.replacement=x"), []string{debezium("topic.regex", "A valid regular expressions is expected, but Unclosed group near index 1\n(")}},
		{"bad replacement", with(regexStrategy, "topic.regex=(a)b", "topic.replacement=$2"), []string{debezium("topic.replacement", "no group 2 in $2; write \\$ for a dollar sign")}},
		{"bad name in a replacement", with(regexStrategy, "topic.regex=(a)b", "topic.replacement=${x}"), []string{debezium("topic.replacement", "no group with name {x} in ${x}; write \\$ for a dollar sign")}},
		{"key regex without replacement", with(regexStrategy, "topic.regex=a", "topic.replacement=b", "topic.key.field.regex=c"), []string{
			debezium("topic.key.field.replacement", "topic.key.field.replacement must be non-empty if topic.key.field.regex is set.")}},
		{"bad placeholder", with("unavailable.value.placeholder=hex:1"), []string{debezium("unavailable.value.placeholder", "hex:1 is no pairs of hexadecimal digits")}},
		{"masks", with("column.mask.with.5.chars=a.b.c", "column.mask.hash.SHA-256.with.salt.s.1=a", "column.mask.hash.v2.md5.with.salt.s=a", "column.truncate.to.0.chars=a"), nil},
		{"mask of no number", with("column.mask.with.five.chars=a.b.c"), []string{"The 'column.mask.with.five.chars' option is not supported: write column.truncate.to.<length>.chars, " +
			"column.mask.with.<length>.chars, column.mask.hash.<algorithm>.with.salt.<salt> or column.mask.hash.v2.<algorithm>.with.salt.<salt>"}},
		{"mask by an unknown hash", with("column.mask.hash.SHA-999.with.salt.s=a"), []string{"The 'column.mask.hash.SHA-999.with.salt.s' option is not supported: " +
			"the hash algorithm SHA-999 is not known, use one of MD5, SHA, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224, SHA-512/256, SHA3-224, SHA3-256, SHA3-384, SHA3-512"}},
		{"mask of no pattern", with("column.truncate.to.5.chars=("), []string{debezium("column.truncate.to.5.chars", list+"Unclosed group near index 1\n(")}},
		{"selector of no pattern", with("converters=b", "b.type=io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter", "b.selector=("),
			[]string{debezium("b.selector", list+"Unclosed group near index 1\n(")}},
		{"refusals wait for the rest", with("sourceinfo.struct.maker=com.example.Mine", "tasks.max=0"), []string{"Invalid value 0 for configuration tasks.max: Value must be at least 1"}},
		{"port", with("database.port=70000"), []string{debezium("database.port", "70000 is no port; give a number from 1 to 65535")}},
		{"mode that is a class", with("snapshot.mode=custom"), []string{debezium("snapshot.mode", "custom is not supported: set initial, initial_only, no_data, always or when_needed")}},
		{"lock that is a class", with("snapshot.locking.mode=custom"), []string{debezium("snapshot.locking.mode", "custom is not supported: set minimal, extended or none")}},
		{"query that is a class", with("snapshot.query.mode=custom"), []string{
			debezium("snapshot.query.mode", "custom is not supported: set select_all, and snapshot.select.statement.overrides for tables of which other rows are wanted")}},
		{"multiplier of a table", with("snapshot.max.threads.multiplier.a.b=0"), []string{
			debezium("snapshot.max.threads.multiplier.a.b", "0 is no number of ranges for table a.b; give one from 1 on")}},
		{"replica", with("rowmesh.snapshot.host=a b"), []string{debezium("rowmesh.snapshot.host", "a b is no host:port of a replica")}},
		{"isolation", with("snapshot.isolation.mode=chaos"), []string{
			debezium("snapshot.isolation.mode", "Value must be one of repeatable_read, read_committed, read_uncommitted, serializable, snapshot, exclusive")}},
		{"converter class", with("value.converter=io.confluent.connect.avro.NoConverter"), []string{"Invalid value io.confluent.connect.avro.NoConverter for configuration value.converter: Class io.confluent.connect.avro.NoConverter could not be found."}},
		{"registry of none", with("value.converter=io.confluent.connect.avro.AvroConverter"), []string{"Missing required configuration \"schema.registry.url\" which has no default value."}},
		{"options of a converter", with("key.converter=AvroConverter", "key.converter.schema.registry.url=http://r:1", "key.converter.auto.register.schemas=maybe", "key.converter.max.retries=x"), []string{
			"Invalid value maybe for configuration auto.register.schemas: Expected value to be either true or false", "Invalid value x for configuration max.retries: Not a number of type INT"}},
		{"option that is not supported", with("key.converter=AvroConverter", "key.converter.schema.registry.url=http://r:1", "key.converter.use.schema.guid=a-b"), []string{
			"The 'key.converter.use.schema.guid' option is not supported: set use.schema.id"}},
		{"converter of no headers", with("header.converter=io.confluent.connect.avro.AvroConverter"), []string{"Class class io.confluent.connect.avro.AvroConverter does not implement the HeaderConverter interface"}},
		{"header converter as value converter", with("value.converter=org.apache.kafka.connect.storage.SimpleHeaderConverter"), []string{"Class class org.apache.kafka.connect.storage.SimpleHeaderConverter does not implement the Converter interface"}},
		{"converter that is not spoken", with("key.converter=io.apicurio.registry.utils.converter.AvroConverter"), []string{
			"The 'key.converter' option is not supported with io.apicurio.registry.utils.converter.AvroConverter: use io.confluent.connect.avro.AvroConverter with schema.registry.url=<registry>/apis/ccompat/v7: Apicurio's registry speaks Confluent's API there, and consumers read what it writes"}},
		{"converter option", with("value.converter=JsonConverter", "value.converter.schemas.enable=perhaps"), []string{"Invalid value perhaps for configuration schemas.enable: Expected value to be either true or false"}},
		{"producer override", with("producer.override.batch.size=x"), []string{"Invalid value x for configuration batch.size: Not a number of type INT"}},
		{"plugin version", with("connector.plugin.version=9.9.9"), []string{"Plugin " + MySQLClass + " not found that matches the version range [9.9.9,9.9.9], available versions: [3.6.1.Final]"}},
		{"MariaDB's own values", with("connector.class="+MariaDBClass, "database.ssl.mode=preferred", "snapshot.locking.mode=minimal_percona"), []string{
			debezium("database.ssl.mode", "Value must be one of trust, disable, verify-ca, verify-full"),
			debezium("snapshot.locking.mode", "Must be a valid snapshot.locking.mode value"),
			debezium("snapshot.locking.mode", "Value must be one of minimal, custom, none, extended")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, res := Parse("", c.cfg)
			if d := cmp.Diff(c.want, texts(res.Errors)); d != "" {
				t.Error(d)
			}
			if (got == nil) != (len(c.want) > 0) {
				t.Errorf("connector %v with errors %q", got, c.want)
			}
			if err := res.Err(); err != nil && errs.KindOf(err) != errs.Invalid {
				t.Errorf("kind %s", errs.KindOf(err))
			}
			if strings.Contains(res.Message(), "hunter2") {
				t.Error("the password is in the message")
			}
		})
	}
}

func TestNullsAndNames(t *testing.T) {
	for _, c := range []struct {
		name  string
		arg   string
		cfg   map[string]string
		nulls []string
		want  []string
	}{
		{"null of the framework", "c", with(), []string{"tasks.max"}, []string{"Invalid value null for configuration tasks.max: Value must be non-null", "Null value can not be supplied as the configuration value."}},
		{"null of Debezium is as absent", "c", with(), []string{"poll.interval.ms"}, nil},
		{"null of what is required", "c", with(), []string{"database.hostname"}, []string{"The 'database.hostname' value is invalid: A value is required"}},
		{"null of the unknown", "c", with(), []string{"x.y"}, nil},
		{"name from the argument", "c", with("-name"), nil, nil},
		{"no name", "", with("-name"), nil, []string{`Missing required configuration "name" which has no default value.`}},
		{"blank name", "", with("name=  "), nil, []string{"Invalid value  for configuration name: String may not be empty"}},
		{"control characters", "", with("name=a\nb\x7f"), nil, []string{"Invalid value a\nb\x7f for configuration name: String may not contain control sequences but had the following ASCII chars: 10, 127"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, res := Parse(c.arg, c.cfg, c.nulls...)
			if d := cmp.Diff(c.want, texts(res.Errors)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestClass(t *testing.T) {
	_, res := Parse("c", map[string]string{"x": "1", "database.password": "hunter2"}, "connector.class")
	if got, want := res.Message(), "Connector config {connector.class=null, database.password=[hidden], name=c, x=1} contains no connector type"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, res = Parse("c", map[string]string{"connector.class": "NoSuch"})
	if got, want := res.Message(), "Failed to find any class that implements Connector and which name matches NoSuch, available connectors are: PluginDesc{klass=class "+MariaDBClass; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q...", got, want)
	}
	for class, want := range map[string]Flavor{MySQLClass: MySQL, "MySqlConnector": MySQL, "MySql": MySQL, MariaDBClass: MariaDB, "MariaDb": MariaDB, "mysqlconnector": "", " MySql": ""} {
		if got, ok := FlavorOf(class); got != want || ok != (want != "") {
			t.Errorf("FlavorOf(%q) = %q, %v", class, got, ok)
		}
	}
}

func TestMessageLayout(t *testing.T) {
	_, res := Parse("", with("database.port=abc"))
	want := "Connector configuration is invalid and contains the following 2 error(s):\nThe 'database.port' value is invalid: An integer is expected\n" +
		"The 'database.port' value is invalid: An integer is expected\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`"
	if got := res.Message(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  map[string]string
		want []string
	}{
		{"tuning of the JVM", with("max.queue.size=100000", "poll.interval.ms=10", "driver.socketTimeout=1", "schema.history.internal.kafka.topic=t", "internal.x=y", "consumer.override.x=y"), nil},
		{"a default asks for nothing", with("snapshot.query.mode=select_all", "event.processing.failure.handling.mode=FAIL", "heartbeat.action.query="), nil},
		{"post processor that is not", with("post.processors=p", "p.type=com.example.Mine"), []string{
			"post.processors: p (p.type=com.example.Mine) is not run: post processors other than io.debezium.processors.reselect.ReselectColumnsPostProcessor are Java classes"}},
		{"post processor that is known", with("post.processors=r", "r.type="+ReselectClass, "r.reselect.null.values=false", "r.reselect.columns.include.list=a.b:c"), nil},
		{"an action without heartbeats", with("heartbeat.action.query=SELECT 1"), []string{"heartbeat.action.query is not run without heartbeats: set heartbeat.interval.ms"}},
		{"a converter that is known", with("converters=b", "b.type=io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter", "b.selector=.*", "b.length.checker=false"), nil},
		{"another converter that is known", with("converters=j", "j.type=io.debezium.connector.binlog.converters.JdbcSinkDataTypesConverter", "j.selector.boolean=.*", "j.treat.real.as.double=false"), nil},
		{"a converter that is not", with("converters=b , c", "b.type=com.example.Mine", "b.x=y", "c.type=io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter", "d.x=y"), []string{
			"d.x is an unknown option and is ignored",
			"converters: b (b.type=com.example.Mine) is not run: custom converters are Java classes; values keep their default form"}},
		{"TLS of the driver", with("driver.sslMode=VERIFY_CA"), []string{"driver.sslMode is not honoured: the mode of TLS is set by database.ssl.mode, its files by database.ssl.truststore and database.ssl.keystore"}},
		{"GTID sources", with("gtid.source.includes=a"), nil},
		{"interval without its boundary", with("transaction.boundary.interval.ms=5"), []string{"transaction.boundary.interval.ms has no effect without transaction.boundary=interval"}},
		{"two intervals", with("transaction.boundary=interval", "transaction.boundary.interval.ms=5", "rowmesh.commit.interval.ms=9"), []string{
			"transaction.boundary.interval.ms has no effect: rowmesh.commit.interval.ms is set as well"}},
		{"connections of the log", with("connect.keep.alive=false", "gtid.ignore.on.recovery=true", "use.nongraceful.disconnect=true"), []string{
			"connect.keep.alive is not honoured: a reader of the log serves all connectors of its server, and one that hears nothing for 10 s connects again",
			"gtid.ignore.on.recovery is not honoured: GTIDs are used where the server has them: by file and position alone the log of another server would be taken for the one that was read",
			"use.nongraceful.disconnect is not honoured: no connection is waited for when it is closed, so there is nothing that lingers"}},
		{"unknown", with("databse.user=x"), []string{"databse.user is an unknown option and is ignored"}},
		{"unknown under database", with("database.usr=x"), []string{"database.usr is an unknown option and is ignored"}},
		{"both names", with("database.server.name=old"), []string{"database.server.name is a name of Debezium 1.x and is ignored, because topic.prefix is set as well: remove it"}},
		{"old list", with("table.whitelist=a.b"), []string{"table.whitelist is a name of Debezium 1.x: it is read as table.include.list, use that"}},
		{"old mode", with("snapshot.mode=schema_only"), []string{"snapshot.mode=schema_only is a value of Debezium 1.x: it is read as no_data, use that"}},
		{"old history", with("database.history.store.only.monitored.tables.ddl=true"), []string{"database.history.store.only.monitored.tables.ddl is a name of Debezium 1.x: it is read as schema.history.internal.store.only.captured.tables.ddl, use that"}},
		{"old field names", with("sanitize.field.names=true"), []string{"sanitize.field.names is a name of Debezium 1.x: use field.name.adjustment.mode=avro"}},
		{"never", with("snapshot.mode=never"), []string{"snapshot.mode=never is a value of Debezium 1.x: reading starts at the oldest log that the server has; no_data starts at the newest"}},
		{"header converter", with("header.converter=org.apache.kafka.connect.json.JsonConverter"), nil},
		{"converter's options", with("value.converter=StringConverter", "value.converter.converter.encoding=UTF-16", "value.converter.schemas.enable=true"), []string{
			"value.converter.schemas.enable is no option of org.apache.kafka.connect.storage.StringConverter and is ignored"}},
		{"regex options of another strategy", with("topic.regex=a"), []string{"topic.regex has no effect with topic.naming.strategy=io.debezium.schema.DefaultTopicNamingStrategy: it belongs to io.debezium.schema.DefaultRegexTopicNamingStrategy"}},
		{"wide server id", with("database.server.id=4294967297"), []string{"database.server.id=4294967297 does not fit the protocol's 32 bits: 1 is used; set a smaller one"}},
		{"lenient enum", with("binary.handling.mode=bits"), []string{"binary.handling.mode=bits is none of bytes, base64, base64-url-safe, hex: bytes is used"}},
		{"converter option without its converter", with("value.converter.schemas.enable=false"), []string{"value.converter.schemas.enable is ignored unless value.converter names the converter, as in Kafka Connect: set value.converter too"}},
		{"fixed producer option", with("producer.override.acks=1"), []string{"producer.override.acks is not honoured: it is fixed, so that no record is lost, doubled or reordered (all)"}},
		{"topic creation", with("topic.creation.default.partitions=x", "topic.creation.g.include=("), []string{
			"topic.creation.default.partitions=x is no positive number or -1: the broker's default is used",
			"topic.creation.g.include is ignored: topic.creation.groups does not list g"}},
		{"override without its statement", with("snapshot.select.statement.overrides=a.b"), []string{
			"snapshot.select.statement.overrides names a.b, but snapshot.select.statement.overrides.a.b is not set: the whole table is read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, res := Parse("", c.cfg)
			if got == nil {
				t.Fatal(res.Message())
			}
			if d := cmp.Diff(c.want, res.Texts()); d != "" {
				t.Error(d)
			}
			for _, w := range res.Warnings {
				if !strings.Contains(w.Text, w.Option) {
					t.Errorf("warning does not name its option %s: %s", w.Option, w.Text)
				}
			}
		})
	}
}

func TestBuild(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  map[string]string
		get  func(*Connector) any
		want any
	}{
		{"skipped operations", with("skipped.operations= c , t"), func(c *Connector) any { return c.SkippedOperations }, "ct"},
		{"none skipped", with("skipped.operations=none"), func(c *Connector) any { return c.SkippedOperations }, ""},
		{"MariaDB TLS", with("connector.class="+MariaDBClass, "database.ssl.mode=verify-full"), func(c *Connector) any { return c.SSLMode }, "verify_identity"},
		{"MariaDB without TLS", with("connector.class=MariaDb"), func(c *Connector) any { return c.SSLMode }, "disabled"},
		{"driver's zone wins", with("database.connectionTimeZone=UTC", "driver.connectionTimeZone=Europe/Berlin"), func(c *Connector) any { return c.TimeZone }, "Europe/Berlin"},
		{"1.x zone", with("database.serverTimezone=UTC"), func(c *Connector) any { return c.TimeZone }, "UTC"},
		{"1.x transaction topic", with("transaction.topic=${database.server.name}.tx"), func(c *Connector) any { return c.TransactionTopic }, "tx"},
		{"old failure mode", with("event.deserialization.failure.handling.mode=warn"), func(c *Connector) any { return c.EventFailure }, Warn},
		{"1.x heartbeat prefix", with("heartbeat.topics.prefix=hb"), func(c *Connector) any { return c.HeartbeatPrefix }, "hb"},
		{"never", with("connector.class=MariaDb", "snapshot.mode=never"), func(c *Connector) any { return c.Snapshot.Mode }, "never"},
		{"recovery", with("snapshot.mode=schema_only_recovery"), func(c *Connector) any { return c.Snapshot.Mode }, "recovery"},
		{"percona", with("snapshot.locking.mode=Minimal_Percona"), func(c *Connector) any { return c.Snapshot.LockingMode }, "minimal_percona"},
		{"isolation", with("snapshot.isolation.mode=READ_COMMITTED"), func(c *Connector) any { return c.Snapshot.Isolation }, "read_committed"},
		{"isolation of one snapshot", with("snapshot.isolation.mode=snapshot"), func(c *Connector) any { return c.Snapshot.Isolation }, "repeatable_read"},
		{"isolation that locks", with("snapshot.isolation.mode=exclusive"), func(c *Connector) any { return []string{c.Snapshot.Isolation, c.Snapshot.LockingMode} },
			[]string{"repeatable_read", "extended"}},
		{"order by rows", with("snapshot.tables.order.by.row.count=descending"), func(c *Connector) any { return c.Snapshot.OrderByRows }, "descending"},
		{"no order by rows", with(), func(c *Connector) any { return c.Snapshot.OrderByRows }, ""},
		{"readers", with("snapshot.max.threads=4", "snapshot.max.threads.multiplier=2", "snapshot.max.threads.multiplier.a.b=8", "legacy.snapshot.max.threads=true"),
			func(c *Connector) any {
				return []any{c.Snapshot.MaxThreads, c.Snapshot.Multiplier, c.Snapshot.TableMultipliers, c.Snapshot.WholeTables}
			}, []any{4, 2, map[string]int{"a.b": 8}, true}},
		{"gently", with("rowmesh.snapshot.host=replica", "rowmesh.snapshot.rows.per.second=1", "rowmesh.snapshot.bytes.per.second=2", "rowmesh.snapshot.max.threads.running=3",
			"rowmesh.snapshot.max.replica.lag.ms=4", "rowmesh.snapshot.max.history.length=5"), func(c *Connector) any {
			s := c.Snapshot
			return []any{s.Host, s.RowsPerSecond, s.BytesPerSecond, s.MaxThreadsRunning, s.MaxReplicaLag, s.MaxHistoryLength}
		}, []any{"replica:3306", uint64(1), uint64(2), uint64(3), 4 * time.Millisecond, uint64(5)}},
		{"failure modes", with("event.processing.failure.handling.mode=Ignore", "inconsistent.schema.handling.mode=warn"), func(c *Connector) any { return []FailureMode{c.EventFailure, c.InconsistentSchema} }, []FailureMode{Skip, Warn}},
		{"placeholder in hex", with("unavailable.value.placeholder=hex:C3a4"), func(c *Connector) any { return c.UnavailableValue }, "ä"},
		{"GTID sources", with("gtid.source.excludes=a-.*,b"), func(c *Connector) any { return c.ExcludeGTIDs }, []string{"(?i)^(?:a-.*)$", "(?i)^(?:b)$"}},
		{"GTID sources of positions only", with("gtid.source.includes=a", "gtid.source.filter.dml.events=false"), func(c *Connector) any { return c.IncludeGTIDs }, []string(nil)},
		{"GTID sources of the start", with("gtid.source.includes=a", "gtid.source.filter.dml.events=false"), func(c *Connector) any { return c.StartGTIDs }, SourceFilter{Include: []string{"(?i)^(?:a)$"}}},
		{"reselect", with("post.processors=r,s", "r.type="+ReselectClass, "r.reselect.null.values=FALSE", "r.reselect.error.handling.mode=Fail", "r.reselect.columns.exclude.list=a.b:c", "r.reselect.use.event.key=true"),
			func(c *Connector) any { return c.Reselects }, []Reselect{{Exclude: []string{"(?i)^(?:a.b:c)$"}, Unavailable: true, EventKey: true, Fails: true}}},
		{"query timeout", with("database.query.timeout.ms=1500"), func(c *Connector) any { return c.QueryTimeout }, 1500 * time.Millisecond},
		{"session variables", with("database.sessionVariables=a=1", "driver.sessionVariables=sql_mode='A,B'; @x = IF(1,2,3) ,wait_timeout=9,", "database.initial.statements=SET b=2"),
			func(c *Connector) any { return c.InitialStatements }, []string{"SET b=2", "SET SESSION sql_mode='A,B'", "SET @x = IF(1,2,3)", "SET SESSION wait_timeout=9"}},
		{"retries", with("errors.max.retries=3", "retriable.restart.connector.wait.ms=2500"), func(c *Connector) any { return c.Retries }, Retries{3, 2500 * time.Millisecond}},
		{"no retries", with("errors.max.retries=0"), func(c *Connector) any { return c.Retries }, Retries{}},
		{"retries without end", with("errors.max.retries=-7"), func(c *Connector) any { return c.Retries }, Retries{Max: -1}},
		{"queue in bytes", with("max.queue.size.in.bytes=65536"), func(c *Connector) any { return c.QueueBytes }, int64(65536)},
		{"boundary by interval", with("transaction.boundary=INTERVAL", "transaction.boundary.interval.ms=750"), func(c *Connector) any { return c.CommitInterval }, 750 * time.Millisecond},
		{"boundary by interval of nothing", with("transaction.boundary=interval", "transaction.boundary.interval.ms=0"), func(c *Connector) any { return c.CommitInterval }, time.Millisecond},
		{"boundary by interval without one", with("transaction.boundary=interval"), func(c *Connector) any { return c.CommitInterval }, 200 * time.Millisecond},
		{"own interval wins", with("transaction.boundary=interval", "transaction.boundary.interval.ms=750", "rowmesh.commit.interval.ms=50"), func(c *Connector) any { return c.CommitInterval }, 50 * time.Millisecond},
		{"initial statements", with("database.initial.statements= SET a=1;SET b=';;' ; ;SET c=2"), func(c *Connector) any { return c.InitialStatements }, []string{"SET a=1", "SET b=';'", "SET c=2"}},
		{"stores", with("database.ssl.keystore=/k.jks", "database.ssl.keystore.password= p ", "database.ssl.truststore=/t.p12"), func(c *Connector) any { return []KeyStore{c.SSLKeyStore, c.SSLTrustStore} },
			[]KeyStore{{"/k.jks", " p "}, {"/t.p12", ""}}},
		{"topic routing", with("topic.naming.strategy=io.debezium.schema.DefaultRegexTopicNamingStrategy", `topic.regex=p\.(?<db>.*)\.t`, `topic.replacement=${db}\$x`), func(c *Connector) any { return c.TopicRouting },
			&TopicRouting{Topic: Rewrite{`p\.(?P<db>.*)\.t`, "${db}$$x"}, KeyField: "__dbz__physicalTableIdentifier"}},
		{"heartbeat action", with("heartbeat.interval.ms=1500", "heartbeat.action.query= INSERT INTO a.b VALUES (1) "), func(c *Connector) any { return c.HeartbeatQuery }, "INSERT INTO a.b VALUES (1)"},
		{"heartbeat", with("heartbeat.interval.ms=1500"), func(c *Connector) any { return c.HeartbeatInterval }, 1500 * time.Millisecond},
		{"heartbeat topic", with("topic.heartbeat.name=hb"), func(c *Connector) any { return c.HeartbeatTopic }, "hb"},
		{"delays", with("snapshot.delay.ms=20", "streaming.delay.ms=30"), func(c *Connector) any { return []any{c.Snapshot.Delay, c.StreamingDelay} }, []any{20 * time.Millisecond, 30 * time.Millisecond}},
		{"1.x field names", with("sanitize.field.names=true"), func(c *Connector) any { return c.FieldNameMode }, "avro"},
		{"key columns", with(`message.key.columns=db.a:x,y;db.(b|c):z`), func(c *Connector) any { return c.MessageKeyColumns },
			[]KeyColumns{{"(?i)^(?:db.a)$", []string{"x", "y"}}, {"(?i)^(?:db.(b|c))$", []string{"z"}}}},
		{"snapshot by configuration", with("snapshot.mode=configuration_based", "snapshot.mode.configuration.based.snapshot.data=true"), func(c *Connector) any { return c.Snapshot.Mode }, "initial_only"},
		{"stream by configuration", with("snapshot.mode=configuration_based", "snapshot.mode.configuration.based.start.stream=true"), func(c *Connector) any { return c.Snapshot.Mode }, "never"},
		{"schemas by configuration", with("snapshot.mode=configuration_based", "snapshot.mode.configuration.based.snapshot.schema=true", "snapshot.mode.configuration.based.start.stream=true"),
			func(c *Connector) any { return c.Snapshot.Mode }, "no_data"},
		{"snapshot and stream by configuration", with("snapshot.mode=configuration_based", "snapshot.mode.configuration.based.snapshot.data=true", "snapshot.mode.configuration.based.start.stream=true"),
			func(c *Connector) any { return c.Snapshot.Mode }, "initial"},
		{"snapshot where the log is gone, by configuration", with("snapshot.mode=configuration_based", "snapshot.mode.configuration.based.snapshot.data=true",
			"snapshot.mode.configuration.based.start.stream=true", "snapshot.mode.configuration.based.snapshot.on.data.error=true"), func(c *Connector) any { return c.Snapshot.Mode }, "when_needed"},
		{"overrides", with("snapshot.select.statement.overrides=a.b", "snapshot.select.statement.overrides.a.b=SELECT 1"), func(c *Connector) any { return c.Snapshot.SelectOverrides }, map[string]string{"a.b": "SELECT 1"}},
		{"converter", with("value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false", "value.converter.decimal.format=numeric"),
			func(c *Connector) any { return c.ValueConverter }, Converter{"json", false, true, true, map[string]string{"schemas.enable": "false", "decimal.format": "numeric"}}},
		{"avro", with("value.converter=Avro", "value.converter.schema.registry.url=http://r:1"),
			func(c *Connector) any { return c.ValueConverter }, Converter{"avro", true, true, false, map[string]string{"schema.registry.url": "http://r:1"}}},
		{"delegating", with("value.converter=BinaryDataConverter", "value.converter.delegate.converter.type.schemas.enable=false"),
			func(c *Connector) any { return c.ValueConverter.Class }, "binary"},
		{"header", with("header.converter=String"), func(c *Connector) any { return c.HeaderConverter.Class }, "string"},
		{"converter without class", with("value.converter.schemas.enable=false"), func(c *Connector) any { return c.ValueConverter.Schemas }, true},
		{"producer", with("producer.override.buffer.memory=33554432", "producer.override.linger.ms=5", "producer.override.acks=1", "producer.override.compression.type=ZSTD",
			`producer.override.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="al" password="s;t";`, "producer.override.sasl.mechanism=PLAIN"),
			func(c *Connector) any { return c.Producer }, map[string]string{"queue.buffering.max.kbytes": "32768", "linger.ms": "5", "compression.type": "zstd",
				"sasl.username": "al", "sasl.password": "s;t", "sasl.mechanisms": "PLAIN"}},
		{"exactly once", with("exactly.once.support=REQUIRED"), func(c *Connector) any { return c.ExactlyOnce }, "required"},
		{"mesh options", with("rowmesh.commit.interval.ms=50", "rowmesh.commit.max.bytes=1024", "rowmesh.restart=false"), func(c *Connector) any { return []any{c.CommitInterval, c.CommitBytes, c.Restart} },
			[]any{50 * time.Millisecond, int64(1024), false}},
		{"a name in the config does not rename", with("name=other"), func(c *Connector) any { return c.Name }, "given"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, res := Parse("given", c.cfg)
			if got == nil {
				t.Fatal(res.Message())
			}
			if d := cmp.Diff(c.want, c.get(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTopicCreation(t *testing.T) {
	c, res := Parse("", with("topic.creation.groups=g,h", "topic.creation.default.partitions=2", "topic.creation.default.replication.factor=-1", "topic.creation.default.cleanup.policy=compact",
		"topic.creation.g.include=.*customers", "topic.creation.g.exclude=p.old.*", "topic.creation.g.partitions=3", "topic.creation.g.retention.ms=60000", "topic.creation.h.include=p.*"))
	if c == nil {
		t.Fatal(res.Message())
	}
	for topic, want := range map[string]TopicSpec{
		"p.db.customers":  {3, -1, map[string]string{"retention.ms": "60000"}},
		"p.old.customers": {2, -1, map[string]string{}},
		"p.db.Customers":  {2, -1, map[string]string{}},
		"other":           {2, -1, map[string]string{"cleanup.policy": "compact"}},
	} {
		if d := cmp.Diff(want, c.TopicCreation.Match(topic)); d != "" {
			t.Errorf("%s: %s", topic, d)
		}
	}
}

// TestRegistry looks at what the data promise: every option can be told about, and says what is done with it.
func TestRegistry(t *testing.T) {
	for f, count := range map[Flavor]int{MySQL: 148, MariaDB: 140} {
		options := Options(f)
		if len(options) != count {
			t.Errorf("%s defines %d options, want %d", f, len(options), count)
		}
		seen := map[string]bool{}
		for _, o := range catalogs()[f].options {
			if seen[o.Name] {
				t.Errorf("%s is there twice", o.Name)
			}
			seen[o.Name] = true
			if !slices.Contains([]Use{Honoured, Accepted, Warned, Refused}, o.Use) {
				t.Errorf("%s has use %q", o.Name, o.Use)
			}
			if (o.Use == Warned || o.Use == Refused) && o.Next == "" {
				t.Errorf("%s is %s and does not say what happens instead", o.Name, o.Use)
			}
			if !o.Unlisted && (o.Doc == "" || o.Type == "" || o.Importance == "") {
				t.Errorf("%s lacks what clients are told", o.Name)
			}
			if o.Default != nil && o.Use == Honoured && !strings.HasSuffix(o.Name, "*") && !o.Connect && checkType(o.Type, *o.Default) != "" {
				t.Errorf("the default of %s, %q, is no %s", o.Name, *o.Default, o.Type)
			}
		}
	}
	if _, ok := Lookup(MySQL, "producer.override.linger.ms"); !ok {
		t.Error("members of a prefix are not found")
	}
	if _, ok := Lookup(MySQL, "producer.override."); ok {
		t.Error("a prefix alone is found")
	}
	for name, want := range map[string]bool{"database.password": true, "database.ssl.keystore.password": true, "producer.override.sasl.jaas.config": true,
		"key.converter.basic.auth.user.info": true, "value.converter.schema.registry.ssl.keystore.key": true, "value.converter.avro.schema.registry.bearer.auth.token": true,
		"value.converter.schema.registry.url": false, "x.secret": true, "database.user": false, "topic.prefix": false} {
		if Secret(name) != want {
			t.Errorf("Secret(%q) = %v", name, !want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Parse("debezium-source", tutorial)
	}
}
