package replay

const (
	onlyDebezium = "only the MySQL and MariaDB connectors are there"
	noTransforms = "transforms are not run, so a connector with one is refused"
	noSecrets    = "the recorded worker prints the password"
	clientsFault = "a client's mistake is 400, with a text"
	exactlyOnce  = "exactly-once is always supported"
	noPort       = "what can never be connected to is told before connecting"
	oneX         = "names of Debezium 1.x are understood"
)

// Departures returns the scenarios by name, with the steps that are answered otherwise than the recorded worker did, and why.
func Departures() map[string]map[int]Departure {
	return map[string]map[int]Departure{
		"01-root":          nil,
		"02-create-mysql":  nil,
		"03-initial-state": nil,
		"04-duplicate":     nil,
		"05-names":         {16: {200, `"task":0`, "the task is there at once"}},
		"06-json":          nil,
		"07-content-types": nil,
		"08-paths-verbs":   {6: {200, "MySqlConnector", onlyDebezium}},
		"09-class": {
			2: {400, "database.password=[hidden]", noSecrets},
			5: {400, "database.password=[hidden]", noSecrets},
		},
		"10-mysql-invalid": {
			7:  {400, "The 'database.port' value is invalid: 0 is no port; give a number from 1 to 65535", noPort},
			8:  {400, "The 'database.port' value is invalid: 70000 is no port", noPort},
			9:  {400, "The 'database.port' value is invalid: -1 is no port", noPort},
			36: {400, "The 'field.name.adjustment.mode' value is invalid: Value must be one of none, avro_unicode, avro", clientsFault},
			38: {400, "The 'gtid.source.includes' value is invalid: A comma-separated list of valid regular expressions is expected, but Unclosed group near index 1", clientsFault},
			62: {400, "The 'sourceinfo.struct.maker' option is not supported", clientsFault},
			67: {201, "rest-bad-68", "the statements are not run, with a warning"},
		},
		"11-mysql-unreachable": nil,
		"12-debezium-1x-names": {
			0: {201, `"database.server.name":"dbserver1"`, oneX},
			1: {409, "already exists", oneX},
			2: {409, "already exists", oneX},
			7: {200, `"warnings":["database.history.kafka.bootstrap.servers is a name of Debezium 1.x`, "status has the warnings"},
			9: {200, `"error_count":0`, oneX},
		},
		"13-tasks-max": {
			10: {200, `{"id":1,"state":"RUNNING"`, "two tasks are two lanes"},
			11: {200, `{"connector":"rest-tm-2","task":1}`, "two tasks are two lanes"},
		},
		"14-list-expand": nil,
		"15-status-life": nil,
		"17-put-config": {
			19: {400, "Failed to find any class that implements Connector", onlyDebezium},
			20: {200, "MySqlConnector", onlyDebezium},
		},
		"18-patch-config": {
			10: {200, `"name":"rest-patch-other"}`, "the order is that of the config, not a hash map's"},
			12: {400, "database.password=[hidden]", noSecrets},
		},
		"19-pause-resume-stop": nil,
		"20-restart":           nil,
		"21-task-restart":      nil,
		"22-delete":            nil,
		"23-offsets":           nil,
		"24-offsets-malformed": {
			31: {400, "Offsets may only contain primitive types as values, but field nest contains MAP", clientsFault},
			32: {400, "Offsets may only contain primitive types as values, but field arr contains ARRAY", clientsFault},
		},
		"26-plugins": {
			0: {200, `{"class":"io.debezium.connector.mysql.MySqlConnector","type":"source","version":"3.6.1.Final"}`, onlyDebezium},
			1: {200, `{"class":"io.debezium.connector.mysql.MySqlConnector","type":"source","version":"3.6.1.Final"}`, onlyDebezium},
			2: {200, `{"class":"org.apache.kafka.connect.json.JsonConverter","type":"converter","version":"4.3.0"}`, onlyDebezium},
			3: {200, `"type":"header_converter"`, onlyDebezium},
			4: {200, `"type":"source"`, onlyDebezium},
			5: {200, `"type":"header_converter"`, onlyDebezium},
			9: {404, "Unknown plugin java.lang.String.", clientsFault},
		},
		"27-plugin-config-mysql":   nil,
		"28-plugin-config-mariadb": nil,
		"31-validate-mysql":        nil,
		"32-validate-mysql-bad": {
			4: {200, `Invalid value ( for configuration regex: Invalid regex: Unclosed group near index 1`, noTransforms},
			5: {200, `Class com.example.Nope could not be found.`, noTransforms},
		},
		"33-validate-mismatch": nil,
		"34-loggers": {
			11: {400, "Illegal null or empty Level name.", clientsFault},
			21: {200, `["com.example.${RUN}.c"]`, "the root logger is at INFO, the recorded one at WARN"},
		},
		"35-converters-misconfigured": nil,
		"36-transforms-misconfigured": {
			12: {400, "The 'transforms' option is not supported", noTransforms},
			15: {400, "The 'transforms' option is not supported", noTransforms},
			20: {400, "The 'transforms' option is not supported", noTransforms},
		},
		"37-predicates-misconfigured": {
			0:  {400, "The 'transforms' option is not supported", noTransforms},
			11: {400, "The 'predicates' option is not supported", noTransforms},
			12: {404, "No status found", noTransforms},
		},
		"38-error-handling-options": nil,
		"39-topic-creation":         nil,
		"40-exactly-once-options":   {0: {201, "rest-mis-136", exactlyOnce}},
		"41-overrides-providers-secrets": {
			1:  {400, "Invalid value x for configuration batch.size: Not a number of type INT", clientsFault},
			5:  {201, "rest-mis-148", "serializers are Java classes and not used, with a warning"},
			14: {200, "rest-mis-148", "as step 5"},
			17: {200, `"error_count":1`, "the body is that of 32-validate-mysql-bad, step 2"},
		},
		"42-mariadb-invalid": {5: {400, "0 is no port", noPort}, 23: {201, "rest-mbad-175", exactlyOnce}},
	}
}
