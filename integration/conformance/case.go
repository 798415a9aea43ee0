package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Case is a case.json.
type Case struct {
	Note    string            `json:"note"`
	Config  map[string]string `json:"config"`
	Engines []string          `json:"engines"`
	// Restart: the connector is stopped before stream.sql and resumed after it.
	Restart bool `json:"restart"`
	// NoStream: the connector never streams, so that no marker comes.
	NoStream bool `json:"noStream"`
}

// Load reads the case.json of a case's folder.
func Load(dir string) (Case, error) {
	var c Case
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("case %s: %w", dir, err)
	}
	return c, nil
}

// On says whether the case is one of an engine.
func (c Case) On(engine string) bool {
	return len(c.Engines) == 0 || slices.Contains(c.Engines, engine)
}

// Alone says whether the case watches the whole server, so that no other may run beside it, nor leave a database.
func (c Case) Alone() bool { return c.Config["database.include.list"] == "<unset>" }

// statements splits a file: a statement ends with ; at a line's end, a line that begins with "-- " is a comment.
func statements(sql string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.SplitSeq(sql, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "-- ") || trimmed == "" && b.Len() == 0 {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(trimmed, ";") {
			out = append(out, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
			continue
		}
		b.WriteByte('\n')
	}
	if s := strings.TrimSpace(b.String()); s != "" {
		out = append(out, s)
	}
	return out
}

// directive splits a line of a case that is no statement.
func directive(statement string) (verb, arg string, ok bool) {
	s, ok := strings.CutPrefix(statement, "--@ ")
	if !ok {
		return "", "", false
	}
	verb, arg, _ = strings.Cut(s, " ")
	return verb, strings.TrimSpace(arg), true
}

// streamed returns the statements that run once the connector streams.
func streamed(dir, engine, name string) (out []string, err error) {
	for _, f := range []string{"stream.sql", "stream." + engine + ".sql"} {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, statements(strings.ReplaceAll(string(b), "$DB", name))...)
	}
	return out, nil
}

// inputs returns the topics that the case itself writes to: nothing of them is compared.
func inputs(stream []string) (topics []string) {
	for _, s := range stream {
		if verb, arg, _ := directive(s); verb == "kafka" {
			if topic, _, _ := strings.Cut(arg, " "); !slices.Contains(topics, topic) {
				topics = append(topics, topic)
			}
		}
	}
	return topics
}

// historyOption names the topic of the schema history.
const historyOption = "schema.history.internal.kafka.topic"

// histories returns the topics that a case names for the schema history beside the one that every case has.
func histories(c Case, stream []string, name string) (topics []string) {
	if t := c.Config[historyOption]; t != "" {
		topics = append(topics, strings.ReplaceAll(t, "$DB", name))
	}
	for _, s := range stream {
		var change map[string]any
		if verb, arg, _ := directive(s); verb != "config" || json.Unmarshal([]byte(arg), &change) != nil {
			continue
		}
		if t, ok := change[historyOption].(string); ok {
			topics = append(topics, t)
		}
	}
	return topics
}

// nameOf is the name of the database of the case in a folder, and of its topics' prefix.
func nameOf(dir string) string { return strings.ReplaceAll(filepath.Base(dir), "-", "_") }

// refusal is how a connector was refused.
type refusal struct {
	Code int             `json:"code"`
	Body json.RawMessage `json:"body"`
}

func (r *refusal) message() string {
	var b struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(r.Body, &b) != nil {
		return string(r.Body)
	}
	return b.Message
}

// ending is end.ENGINE.json: how a case ended.
type ending struct {
	Create  *refusal        `json:"create,omitempty"`
	Failed  string          `json:"failed,omitempty"`
	Offsets json.RawMessage `json:"offsets,omitempty"`
	Status  json.RawMessage `json:"status,omitempty"`
}

func readEnding(dir, engine string) (e ending, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "end."+engine+".json"))
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	return e, err
}

// offsetFields returns what the offsets at the end hold: partitions, and names of fields with the values that no run decides otherwise. Where transactions are told, Debezium's
// offset stands behind the end of the last one and counts it; ours stands behind its last row, as without them. Both go on with what comes next.
func (e ending) offsetFields() (string, error) {
	if len(e.Offsets) == 0 {
		return "", nil
	}
	var all struct {
		Offsets []struct {
			Partition json.RawMessage            `json:"partition"`
			Offset    map[string]json.RawMessage `json:"offset"`
		} `json:"offsets"`
	}
	if err := json.Unmarshal(e.Offsets, &all); err != nil {
		return "", fmt.Errorf("offsets %s: %w", e.Offsets, err)
	}
	var lines []string
	for _, o := range all.Offsets {
		var fields []string
		for k, v := range o.Offset {
			switch {
			case k == "rowmesh", // a field of ours beside Debezium's
				k == "ts_sec", k == "server_id", // there once the stream has seen an event: behind a snapshot that is chance
				k == "row", k == "event", // of which transactions have none or another count
				strings.HasPrefix(k, "transaction_"):
				continue
			case k == "file", k == "pos", k == "gtids":
				v = json.RawMessage("#")
			}
			fields = append(fields, k+"="+string(v))
		}
		slices.Sort(fields)
		lines = append(lines, strings.Join(strings.Fields(string(o.Partition)), "")+": "+strings.Join(fields, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
