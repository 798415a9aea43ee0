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
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// record is a line of a golden file.
type record struct {
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"`
	KeySchema *int        `json:"keySchema,omitempty"`
	Key       *string     `json:"key"`
	ValSchema *int        `json:"valueSchema,omitempty"`
	Value     *string     `json:"value"`
	KeyB64    string      `json:"keyBase64,omitempty"`
	ValB64    string      `json:"valueBase64,omitempty"`
	Headers   [][2]string `json:"headers,omitempty"`
}

// schemaList numbers schemas: many records have the same one, and it is most of their bytes.
type schemaList struct {
	texts   []string
	numbers map[string]int
}

func (l *schemaList) number(text string) *int {
	n, ok := l.numbers[text]
	if !ok {
		n = len(l.texts)
		l.numbers[text] = n
		l.texts = append(l.texts, text)
	}
	return &n
}

// split takes a key or a value apart so that golden puts together the same bytes again.
func (l *schemaList) split(b []byte) (schema *int, text *string, base string) {
	switch {
	case b == nil:
		return nil, nil, ""
	case !utf8.Valid(b):
		return nil, nil, base64.StdEncoding.EncodeToString(b)
	}
	s := string(b)
	var e struct{ Schema, Payload json.RawMessage }
	if strings.HasPrefix(s, `{"schema":{`) && json.Unmarshal(b, &e) == nil && join(string(e.Schema), string(e.Payload)) == s {
		p := string(e.Payload)
		return l.number(string(e.Schema)), &p, ""
	}
	return nil, &s, ""
}

func join(schema, payload string) string {
	return `{"schema":` + schema + `,"payload":` + payload + `}`
}

// Write makes a result the recording of a case in dir.
func (res Result) Write(dir, engine string) error {
	var out bytes.Buffer
	w := json.NewEncoder(&out)
	w.SetEscapeHTML(false)
	schemas := schemaList{numbers: map[string]int{}}
	for _, r := range res.Records {
		rec := record{Topic: r.Topic, Partition: r.Partition}
		rec.KeySchema, rec.Key, rec.KeyB64 = schemas.split(r.Key)
		rec.ValSchema, rec.Value, rec.ValB64 = schemas.split(r.Value)
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, [2]string{h.Key, string(h.Value)})
		}
		if err := w.Encode(rec); err != nil {
			return err
		}
	}
	end, err := json.MarshalIndent(res.End, "", " ")
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{
		"golden." + engine + ".jsonl":  out.Bytes(),
		"schemas." + engine + ".jsonl": []byte(strings.Join(schemas.texts, "\n") + "\n"),
		"end." + engine + ".json":      append(urls.ReplaceAll(end, []byte("«url»")), '\n'),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// urls stand in the texts of failures, and name machines.
var urls = regexp.MustCompile(`https?://[^\s"\\]+`)

// golden reads a case's recording.
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
	text := func(schema *int, s *string, b64 string) (string, error) {
		switch {
		case b64 != "":
			return "base64:" + b64, nil
		case s == nil:
			return "<null>", nil
		case schema == nil:
			return mask(*s), nil
		case *schema >= len(schemas):
			return "", fmt.Errorf("%s: there is no schema %d for %s", dir, *schema, engine)
		}
		return mask(join(schemas[*schema], *s)), nil
	}
	out := stream{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 64<<20) // a record can hold a whole large document
	for sc.Scan() {
		var r record
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			return nil, err
		}
		key, err := text(r.KeySchema, r.Key, r.KeyB64)
		if err != nil {
			return nil, err
		}
		value, err := text(r.ValSchema, r.Value, r.ValB64)
		if err != nil {
			return nil, err
		}
		out.add(r.Topic, r.Partition, key, value, r.Headers)
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
