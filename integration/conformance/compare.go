package conformance

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// record is a line of a golden file.
type record struct {
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"`
	KeySchema *int        `json:"keySchema"`
	Key       *string     `json:"key"`
	ValSchema *int        `json:"valueSchema"`
	Value     *string     `json:"value"`
	KeyB64    string      `json:"keyBase64"`
	ValB64    string      `json:"valueBase64"`
	Headers   [][2]string `json:"headers"`
}

// stream is what a topic-partition holds, rendered: "topic/partition" → records.
type stream map[string][]string

// golden reads a case's recording. The schema history topic is not part of the stream.
func golden(dir, engine string) (stream, error) {
	b, err := os.ReadFile(filepath.Join(dir, "schemas."+engine+".jsonl"))
	if err != nil {
		return nil, err
	}
	schemas := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	b, err = os.ReadFile(filepath.Join(dir, "golden."+engine+".jsonl"))
	if err != nil {
		return nil, err
	}
	text := func(schema *int, s *string, b64 string) string {
		switch {
		case b64 != "":
			return "base64:" + b64
		case s == nil:
			return "<null>"
		case schema != nil:
			return mask(`{"schema":` + schemas[*schema] + `,"payload":` + *s + `}`)
		}
		return mask(*s)
	}
	out := stream{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 64<<20) // a record can hold a whole large document
	for sc.Scan() {
		var r record
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			return nil, err
		}
		if r.Topic == "«history»" {
			continue
		}
		out.add(r.Topic, r.Partition, text(r.KeySchema, r.Key, r.KeyB64), text(r.ValSchema, r.Value, r.ValB64), r.Headers)
	}
	return out, sc.Err()
}

// actual renders what was read from Kafka.
func actual(recs []*kgo.Record) stream {
	text := func(b []byte) string {
		switch {
		case b == nil:
			return "<null>"
		case !utf8.Valid(b):
			return "base64:" + base64.StdEncoding.EncodeToString(b)
		}
		return mask(string(b))
	}
	out := stream{}
	for _, r := range recs {
		var h [][2]string
		for _, x := range r.Headers {
			h = append(h, [2]string{x.Key, string(x.Value)})
		}
		out.add(r.Topic, r.Partition, text(r.Key), text(r.Value), h)
	}
	return out
}

func (s stream) add(topic string, partition int32, key, value string, headers [][2]string) {
	var h strings.Builder
	for _, kv := range headers {
		v := mask(kv[1])
		if kv[0] == "__debezium.context.runId" {
			v = "#"
		}
		fmt.Fprintf(&h, " %s=%s", kv[0], v)
	}
	at := fmt.Sprintf("%s/%d", topic, partition)
	s[at] = append(s[at], "key="+key+"\nvalue="+value+"\nheaders="+h.String())
}

// foreign is the end of a transaction that touches nothing but other databases or the marker: how many of those there are is chance.
var foreign = regexp.MustCompile(`"status":"END".*("event_count":0,"data_collections":\[\]|"event_count":1,"data_collections":\[\{"data_collection":"[^"]*zz_marker","event_count":1\}\])`)

// trimmed leaves out what chance decides how often it comes: transactions that touch nothing of the case, and heartbeats after the first.
func (s stream) trimmed() stream {
	out := stream{}
	for at, recs := range s {
		var kept []string
		for _, r := range recs {
			switch {
			case foreign.MatchString(r) && len(kept) > 0 && strings.Contains(kept[len(kept)-1], `"status":"BEGIN"`):
				kept = kept[:len(kept)-1]
			case len(kept) > 0 && kept[len(kept)-1] == r && strings.Contains(r, `"serverName":`):
			default:
				kept = append(kept, r)
			}
		}
		if len(kept) > 0 {
			out[at] = kept
		}
	}
	return out
}

// compare returns the differences, worst first, the first so many of them: where, and the fields or the bytes around the first one.
func compare(want, got stream, most int) []string {
	want, got = want.trimmed(), got.trimmed()
	var out []string
	say := func(format string, args ...any) {
		if len(out) < most {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	var topics []string
	for t := range want {
		topics = append(topics, t)
	}
	slices.Sort(topics)
	for _, t := range topics {
		w, g := want[t], got[t]
		if len(w) != len(g) {
			say("%s: %d records, want %d", t, len(g), len(w))
		}
		for i := range min(len(w), len(g)) {
			if meets(w[i], g[i]) {
				continue
			}
			if texts, ok := strings.CutPrefix(w[i], expectation); ok {
				say("%s #%d is to hold %q: %.3000s", t, i, strings.Split(texts, expectation), g[i])
				continue
			}
			wl, gl := strings.Split(w[i], "\n"), strings.Split(g[i], "\n")
			for j := range min(len(wl), len(gl)) {
				if wl[j] != gl[j] {
					say("%s #%d %s", t, i, around(wl[j], gl[j], most))
				}
			}
		}
	}
	for t, g := range got {
		if _, ok := want[t]; !ok {
			say("%s: %d records that nobody asked for", t, len(g))
		}
		for i := len(want[t]); i < len(g); i++ {
			say("%s #%d is not in the recording: %.600s", t, i, payload(g[i]))
		}
	}
	return out
}

// payload is the value of a record without its schema.
func payload(record string) string {
	_, value, _ := strings.Cut(record, "\nvalue=")
	if _, p, ok := strings.Cut(value, `,"payload":`); ok {
		return p
	}
	return value
}

// around shows where two lines differ: the fields, or the bytes around the first difference.
func around(want, got string, most int) string {
	name, _, _ := strings.Cut(want, "=")
	if fields := paths(want, got, most); fields != "" {
		return name + fields
	}
	p := 0
	for p < min(len(want), len(got)) && want[p] == got[p] {
		p++
	}
	from := max(0, p-60)
	return fmt.Sprintf("%s\n    want …%.200s\n    got  …%.200s", name, want[from:], got[min(from, len(got)):])
}

// mask hides what two correct runs may spell differently. A time that begins with 1700000000 comes from the case's own SET TIMESTAMP and stays.
func mask(s string) string {
	for _, m := range masks() {
		s = m.re.ReplaceAllStringFunc(s, m.fix)
	}
	return s
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
			if strings.HasPrefix(m[i+1:], "1700000000") {
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
	}
}

var (
	timeRE    = regexp.MustCompile(`"[a-zA-Z_.]*ts_?(ms|us|ns|sec)"( ?: ?)\d+`)
	versionRE = regexp.MustCompile(`"version"( ?: ?)"[^"]*"`)
	fileRE    = regexp.MustCompile(`"file"( ?: ?)"[^"]+"`)
	posRE     = regexp.MustCompile(`"pos"( ?: ?)[1-9]\d*`)
	gtidRE    = regexp.MustCompile(`"gtids?"( ?: ?)"[^"]+"`)
	threadRE  = regexp.MustCompile(`"thread"( ?: ?)(\d+|null)`)
	// A transaction is named by its GTID, or by file and position.
	txnRE    = regexp.MustCompile(`"id"( ?: ?)"([0-9a-f]{8}-[0-9a-f-]{27}:[^"]*|file=[^"]*|\d+-\d+-\d+)"`)
	serverRE = regexp.MustCompile(`"server_id"( ?: ?)[1-9]\d*`)
)
