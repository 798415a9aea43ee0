package replay

const (
	onlyDebezium   = "only the MySQL and MariaDB connectors are there"
	moreConverters = "converters that a worker gets from elsewhere are there"
	noSecrets      = "the recorded worker prints the password"
	clientsFault   = "a client's mistake is 400, with a text"
	exactlyOnce    = "exactly-once is always supported"
	noPort         = "what can never be connected to is told before connecting"
	noHistory      = "no schema history is needed, so its lack fails nothing"
	noClasses      = "what names a Java class that has no equal is refused at once, not when the task starts"
	oneX           = "names of Debezium 1.x are understood"
)

// Departures returns the scenarios by name, with the steps that are answered otherwise than the recorded worker did, and why.
func Departures() map[string]map[int]Departure {
	return map[string]map[int]Departure{
		"01-root":          nil,
		"02-create-mysql":  nil,
		"03-initial-state": nil,
		"04-duplicate":     nil,
		"05-names":         {16: {Status: 200, Contains: `"task":0`, Why: "the task is there at once", Maybe: true}},
		"06-json":          nil,
		"07-content-types": nil,
		"08-paths-verbs":   {6: {Status: 200, Contains: "MySqlConnector", Why: onlyDebezium}},
		"09-class": {
			2: {Status: 400, Contains: "database.password=[hidden]", Why: noSecrets},
			5: {Status: 400, Contains: "database.password=[hidden]", Why: noSecrets},
		},
		"10-mysql-invalid": {
			7:  {Status: 400, Contains: "The 'database.port' value is invalid: 0 is no port; give a number from 1 to 65535", Why: noPort},
			8:  {Status: 400, Contains: "The 'database.port' value is invalid: 70000 is no port", Why: noPort},
			9:  {Status: 400, Contains: "The 'database.port' value is invalid: -1 is no port", Why: noPort},
			36: {Status: 400, Contains: "The 'field.name.adjustment.mode' value is invalid: Value must be one of none, avro_unicode, avro", Why: clientsFault},
			38: {Status: 400, Contains: "The 'gtid.source.includes' value is invalid: A comma-separated list of valid regular expressions is expected, but Unclosed group near index 1", Why: clientsFault},
			61: {Status: 400, Contains: "The 'topic.naming.strategy' option is not supported", Why: noClasses, Maybe: true},
			62: {Status: 400, Contains: "The 'sourceinfo.struct.maker' option is not supported", Why: clientsFault},
			67: {Status: 400, Contains: "database.initial.statements: statement 1, x", Why: "what is wrong is told: the statement"},
		},
		"11-mysql-unreachable": nil,
		"12-debezium-1x-names": {
			0: {Status: 201, Contains: `"database.server.name":"dbserver1"`, Why: oneX},
			1: {Status: 409, Contains: "already exists", Why: oneX},
			2: {Status: 409, Contains: "already exists", Why: oneX},
			4: {Why: noHistory, NoWait: true},
			7: {Status: 200, Contains: `"warnings":["database.history.kafka.bootstrap.servers is a name of Debezium 1.x`, Why: "status has the warnings"},
			9: {Status: 200, Contains: `"error_count":0`, Why: oneX},
		},
		"13-tasks-max": {
			10: {Status: 200, Contains: `{"id":1,"state":"RUNNING"`, Why: "two tasks are two lanes"},
			11: {Status: 200, Contains: `{"connector":"rest-tm-2","task":1}`, Why: "two tasks are two lanes"},
		},
		"14-list-expand": nil,
		"15-status-life": nil,
		"16-failed-task": nil,
		"17-put-config": {
			19: {Status: 400, Contains: "Failed to find any class that implements Connector", Why: onlyDebezium},
			20: {Status: 200, Contains: "MySqlConnector", Why: onlyDebezium},
		},
		"18-patch-config": {
			10: {Status: 200, Contains: `"name":"rest-patch-other"}`, Why: "the order is that of the config, not a hash map's"},
			12: {Status: 400, Contains: "database.password=[hidden]", Why: noSecrets},
		},
		"19-pause-resume-stop": nil,
		"20-restart":           nil,
		"21-task-restart":      nil,
		"22-delete":            nil,
		"23-offsets":           nil,
		"24-offsets-malformed": {
			31: {Status: 400, Contains: "Offsets may only contain primitive types as values, but field nest contains MAP", Why: clientsFault},
			32: {Status: 400, Contains: "Offsets may only contain primitive types as values, but field arr contains ARRAY", Why: clientsFault},
		},
		"25-file-connectors": withoutFileConnectors(),
		"26-plugins": {
			0: {Status: 200, Contains: `{"class":"io.debezium.connector.mysql.MySqlConnector","type":"source","version":"3.6.1.Final"}`, Why: onlyDebezium},
			1: {Status: 200, Contains: `{"class":"io.debezium.connector.mysql.MySqlConnector","type":"source","version":"3.6.1.Final"}`, Why: onlyDebezium},
			2: {Status: 200, Contains: `{"class":"org.apache.kafka.connect.json.JsonConverter","type":"converter","version":"4.3.0"}`, Why: onlyDebezium},
			3: {Status: 200, Contains: `"type":"header_converter"`, Why: onlyDebezium},
			4: {Status: 200, Contains: `"type":"source"`, Why: onlyDebezium},
			5: {Status: 200, Contains: `"type":"header_converter"`, Why: onlyDebezium},
			9: {Status: 404, Contains: "Unknown plugin java.lang.String.", Why: clientsFault},
		},
		"27-plugin-config-mysql":   nil,
		"28-plugin-config-mariadb": nil,
		"29-plugin-config-converters": {
			9:  {Status: 200, Contains: `"data.serializer.type"`, Why: moreConverters},
			10: {Status: 200, Contains: `"schema.registry.url"`, Why: moreConverters},
		},
		"30-plugin-config-transforms": {19: {Status: 400, Contains: "transforms.Cast$Key or org.apache.kafka.connect.transforms.Cast$Value", Why: clientsFault}},
		"31-validate-mysql":           nil,
		"32-validate-mysql-bad":       nil,
		"33-validate-mismatch":        nil,
		"34-loggers": {
			11: {Status: 400, Contains: "Illegal null or empty Level name.", Why: clientsFault},
			21: {Status: 200, Contains: `["com.example.${RUN}.c"]`, Why: "the root logger is at INFO, the recorded one at WARN"},
		},
		"35-converters-misconfigured": {
			8: {Status: 400, Contains: `Missing required configuration \"schema.registry.url\" which has no default value.`, Why: moreConverters},
		},
		"36-transforms-misconfigured": nil,
		"37-predicates-misconfigured": nil,
		"38-error-handling-options":   nil,
		"39-topic-creation":           nil,
		"40-exactly-once-options":     {0: {Status: 201, Contains: "rest-mis-136", Why: exactlyOnce}},
		"41-overrides-providers-secrets": {
			1: {Status: 400, Contains: "Invalid value x for configuration batch.size: Not a number of type INT", Why: clientsFault},
			5: {Status: 400, Contains: "Invalid value com.example.Nope for configuration key.serializer: Class com.example.Nope could not be found.", Why: clientsFault},
		},
		"42-mariadb-invalid": {5: {Status: 400, Contains: "0 is no port", Why: noPort}, 23: {Status: 201, Contains: "rest-mbad-175", Why: exactlyOnce}},
	}
}

// withoutFileConnectors are the answers of a server that has no such connectors: they cannot be created, and then are not there.
func withoutFileConnectors() map[int]Departure {
	out := map[int]Departure{}
	for i := range 23 {
		out[i] = Departure{Status: 404, Contains: "rest-file", Why: onlyDebezium, NoWait: true}
	}
	for _, i := range []int{0, 12, 13, 14, 15} {
		out[i] = Departure{Status: 400, Contains: "Failed to find any class that implements Connector", Why: onlyDebezium, NoWait: true}
	}
	return out
}
