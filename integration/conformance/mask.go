package conformance

import (
	"encoding/json"
	"regexp"
	"strings"
)

// fixed begins the times that come from a case's own SET TIMESTAMP: they stay.
const fixed = "1700000000"

// mask hides what two correct runs may spell differently.
func mask(s string) string {
	for _, m := range masks() {
		s = m.re.ReplaceAllStringFunc(s, m.fix)
	}
	return s
}

// maskHeader is mask for a header: transforms make some of fields of the source.
func maskHeader(name, value string) string {
	value = mask(value)
	if name == "__debezium.context.runId" || sourceHeader.MatchString(name) && !strings.HasPrefix(value, fixed) {
		return "#"
	}
	return value
}

type masking struct {
	re  *regexp.Regexp
	fix func(string) string
}

func masks() []masking {
	constant := func(s string) func(string) string { return func(string) string { return s } }
	return []masking{
		{timeRE, func(m string) string {
			i := strings.LastIndexAny(m, ": ")
			if strings.HasPrefix(m[i+1:], fixed) {
				return m
			}
			return m[:i+1] + "#"
		}},
		{versionRE, constant(`"version":"#"`)},
		{fileRE, constant(`"file":"#"`)},
		{posRE, constant(`"pos":#`)},
		{gtidRE, constant(`"gtid":"#"`)},
		{threadRE, constant(`"thread":#`)}, // null for some events of one and the same run
		{serverRE, constant(`"server_id":#`)},
		{txnRE, constant(`"id":"#"`)},
		{correlationRE, constant(`"id":"#","type":"`)},
		{randomRE, constant(`"id":"#`)},
		{notificationRE, constant(`"timestamp":#`)},
		{windowRE, constant(`WindowTimestamp":"#`)},
		{additionalRE, sortedMembers},
		{markerRowsRE, constant(`zz_marker","status":"SUCCEEDED","total_rows_scanned":"#"`)},
		{structTimeRE, func(m string) string {
			name, digits, _ := strings.Cut(m, "=")
			if strings.HasPrefix(digits, fixed) {
				return m
			}
			return name + "=#"
		}},
		{structRE, func(m string) string { name, _, _ := strings.Cut(m, "="); return name + "=#" }},
	}
}

// sortedMembers puts the members of a notification's data in order: theirs is a hash map's.
func sortedMembers(m string) string {
	const name = `"additional_data":`
	var members map[string]string
	if json.Unmarshal([]byte(m[len(name):]), &members) != nil {
		return m
	}
	b, err := json.Marshal(members)
	if err != nil {
		return m
	}
	return name + string(b)
}

// A field of the source may stand alone or with a prefix that a transform gave it: "file", "__source_file".
var (
	timeRE    = regexp.MustCompile(`"[a-zA-Z_.]*ts_?(ms|us|ns|sec)"( ?: ?)\d+`)
	versionRE = regexp.MustCompile(`"(?:[a-zA-Z_.]*[._])?version"( ?: ?)"[^"]*"`)
	fileRE    = regexp.MustCompile(`"(?:[a-zA-Z_.]*[._])?file"( ?: ?)"[^"]+"`)
	posRE     = regexp.MustCompile(`"(?:[a-zA-Z_.]*[._])?pos"( ?: ?)[1-9]\d*`)
	gtidRE    = regexp.MustCompile(`"(?:[a-zA-Z_.]*[._])?gtids?"( ?: ?)"[^"]+"`)
	threadRE  = regexp.MustCompile(`"(?:[a-zA-Z_.]*[._])?thread"( ?: ?)(\d+|null)`)
	serverRE  = regexp.MustCompile(`"(?:[a-zA-Z_.]*[._])?server_id"( ?: ?)[1-9]\d*`)
	// A transaction is named by its GTID, or by file and position.
	txnRE = regexp.MustCompile(`"(id|[a-z_]*transaction_id)"( ?: ?)"([0-9a-f]{8}-[0-9a-f-]{27}:[^"]*|file=[^"]*|\d+-\d+-\d+)"`)
	// Keys of notifications and of the rows around a chunk have random uuids.
	randomRE = regexp.MustCompile(`"id":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	// A notification is named by a random uuid.
	correlationRE  = regexp.MustCompile(`"id":"[0-9a-f-]{36}","type":"`)
	notificationRE = regexp.MustCompile(`"timestamp":\d+`)
	windowRE       = regexp.MustCompile(`WindowTimestamp\\*": ?\\*"[0-9T:.Z-]+`)
	additionalRE   = regexp.MustCompile(`"additional_data":\{[^}]*\}`)
	// How often the runner has asked for a sign of life before the snapshot read its table.
	markerRowsRE = regexp.MustCompile(`zz_marker","status":"SUCCEEDED","total_rows_scanned":"\d+"`)
	// The text of a struct, as the string converter writes it: Struct{file=binlog.000001,pos=4}.
	structTimeRE = regexp.MustCompile(`\b(ts_ms|ts_us|ts_ns)=\d+`)
	structRE     = regexp.MustCompile(`\b(file|pos|gtid|thread|version)=[^,}]+`)
	sourceHeader = regexp.MustCompile(`(ts_(ms|us|ns)|_pos|_file|_gtid|_thread|transaction_id)$`)
)
