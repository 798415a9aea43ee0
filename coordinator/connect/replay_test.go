package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A scenario of testdata/rest is a list of requests; its .golden.json holds what a real worker of Kafka Connect 4.3.0 with Debezium 3.6.1 answered. The
// replay sends the requests and compares: status, then the recorded headers, then the body as the step's "copy" says.

type step struct {
	Method  string             `json:"method"`
	Path    string             `json:"path"`
	Headers map[string]*string `json:"headers"`
	Body    json.RawMessage    `json:"body"`
	Filter  bool               `json:"filter"`
	Copy    string             `json:"copy"`
	Keep    []string           `json:"keep"`
}

type mask struct {
	Regex string `json:"regex"`
	With  string `json:"with"`
	re    *regexp.Regexp
}

type scenario struct {
	Connectors []string `json:"connectors"`
	Masks      []mask   `json:"masks"`
	Steps      []step   `json:"steps"`
}

type recorded struct {
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	BodyFile string            `json:"body_file"`
	// Instead is what belongs there where the recorded worker has a defect.
	Instead *struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	} `json:"instead"`
}

// converters matches what the validation recommends for converters: the recorded worker had more of them.
var converters = regexp.MustCompile(`("name":"(?:key|value|header)\.converter","value":"[^"]*","recommended_values":)\[[^\]]*\]`)

// noValue matches the value of an option that the recorded worker leaves out by a defect, on which it then fails at creation.
var noValue = regexp.MustCompile(`("name":"internal\.legacy\.snapshot\.max\.threads","type"[^}]*\},"value":)(?:null|\{[^}]*\})`)

// replay is one run of a scenario against a server.
type replay struct {
	base  string
	vars  [][2]string
	own   map[string]bool // names that a filtered list keeps
	masks []mask
}

func load(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "rest", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// databases are the addresses for the placeholders of a scenario, and who checks configs against them.
type databases struct {
	mysql, mariadb string // host:port
	validator      Validator
}

var inMemory = databases{"mysql.test:23306", "mariadb.test:23307", meshValidator{}}

// replayScenario runs a scenario on a fresh server. departures say which steps are answered otherwise on purpose.
func replayScenario(t *testing.T, name string, departures map[int]departure, db databases) {
	var sc scenario
	var golden struct{ Steps []recorded }
	load(t, name+".json", &sc)
	load(t, name+".golden.json", &golden)
	server := httptest.NewServer(newTestHandler(db.validator))
	defer server.Close()
	r := &replay{base: server.URL, own: map[string]bool{}}
	mysqlHost, mysqlPort, _ := net.SplitHostPort(db.mysql)
	mariadbHost, mariadbPort, _ := net.SplitHostPort(db.mariadb)
	r.vars = [][2]string{{"BASE", server.URL}, {"WORKER", testWorker}, {"KAFKA", "kafka.test:9092"}, {"RUN", "run7"},
		{"MYSQL_PORT", mysqlPort}, {"MARIADB_PORT", mariadbPort}, {"MARIADB_HOST", mariadbHost}, {"MYSQL_HOST", mysqlHost}}
	load(t, "masks.json", &r.masks)
	r.masks = append(sc.Masks, r.masks...)
	for i, m := range r.masks {
		r.masks[i].re = regexp.MustCompile(r.expand(m.Regex))
	}
	for _, c := range sc.Connectors {
		r.own[r.expand(c)] = true
	}
	for i, s := range sc.Steps {
		got := r.do(t, s)
		want := golden.Steps[i]
		if want.BodyFile != "" {
			b, err := os.ReadFile(filepath.Join("testdata", "rest", want.BodyFile))
			if err != nil {
				if _, ok := departures[i]; !ok && s.Copy != "status" {
					t.Errorf("step %d: %v", i, err)
				}
			}
			want.Body = string(b)
		}
		diff := r.diff(s, want, got)
		d, departs := departures[i]
		switch {
		case departs && diff == "":
			t.Errorf("step %d %s %s answers as recorded: the departure (%s) is no more", i, s.Method, s.Path, d.why)
		case departs:
			if got.Status != d.status || !strings.Contains(got.Body, d.contains) {
				t.Errorf("step %d %s %s: got %d %.600s, want %d with %q (%s)", i, s.Method, s.Path, got.Status, got.Body, d.status, d.contains, d.why)
			}
		case diff != "":
			t.Errorf("step %d %s %s: %s", i, s.Method, s.Path, diff)
		}
	}
}

func (r *replay) expand(s string) string {
	for _, v := range r.vars {
		s = strings.ReplaceAll(s, "${"+v[0]+"}", v[1])
	}
	return s
}

func (r *replay) collapse(s string) string {
	for _, v := range r.vars {
		s = strings.ReplaceAll(s, v[1], "${"+v[0]+"}")
	}
	return s
}

// do sends the request of a step as it stands: paths are escaped already, some wrongly on purpose.
func (r *replay) do(t *testing.T, s step) recorded {
	t.Helper()
	var body io.Reader
	if b := bytes.TrimSpace(s.Body); len(b) > 0 {
		text := ""
		if b[0] == '"' {
			if err := json.Unmarshal(b, &text); err != nil {
				t.Fatal(err)
			}
		} else {
			var c bytes.Buffer
			if err := json.Compact(&c, b); err != nil {
				t.Fatal(err)
			}
			text = c.String()
		}
		body = strings.NewReader(r.expand(text))
	}
	req, err := http.NewRequestWithContext(t.Context(), s.Method, r.base, body)
	if err != nil {
		t.Fatal(err)
	}
	path, query, hasQuery := strings.Cut(r.expand(s.Path), "?")
	req.URL = &url.URL{Scheme: "http", Host: req.URL.Host, Opaque: "//" + req.URL.Host + path, RawQuery: query, ForceQuery: hasQuery && query == ""}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range s.Headers {
		if v == nil {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, *v)
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", s.Method, s.Path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := recorded{Status: res.StatusCode, Headers: map[string]string{}, Body: string(text)}
	for _, h := range []string{"Content-Type", "Location", "Allow"} {
		if v := res.Header.Get(h); v != "" {
			got.Headers[h] = r.collapse(v)
		}
	}
	if s.Filter {
		got.Body = r.filter(got.Body)
	}
	got.Body = r.collapse(got.Body)
	return got
}

// filter keeps the scenario's own connectors of a list or of an object by name.
func (r *replay) filter(s string) string {
	var names []string
	if json.Unmarshal([]byte(s), &names) == nil {
		names = slices.DeleteFunc(names, func(n string) bool { return !r.own[n] })
		slices.Sort(names)
		return string(appendStrings(nil, names))
	}
	var byName map[string]json.RawMessage
	if json.Unmarshal([]byte(s), &byName) != nil || byName["error_code"] != nil {
		return s
	}
	for n := range byName {
		if !r.own[n] {
			delete(byName, n)
		}
	}
	b, _ := json.Marshal(byName)
	return string(b)
}

func (r *replay) masked(s string) string {
	for _, m := range r.masks {
		s = m.re.ReplaceAllLiteralString(s, m.With)
	}
	s = converters.ReplaceAllString(s, "$1[]")
	return noValue.ReplaceAllString(s, "${1}null")
}

// diff compares; empty means equal.
func (r *replay) diff(s step, want, got recorded) string {
	if want.Instead != nil {
		want.Status, want.Body = want.Instead.Status, want.Instead.Body
	}
	if s.Copy == "shape" && want.Status == 500 && got.Status == 400 {
		return "" // a client's mistake, told better
	}
	if want.Status != got.Status {
		return fmt.Sprintf("got status %d, want %d\n got %.500s\nwant %.500s", got.Status, want.Status, got.Body, want.Body)
	}
	if s.Copy == "status" {
		return ""
	}
	for _, k := range s.Keep {
		if !strings.Contains(got.Body, r.collapse(r.expand(k))) {
			return fmt.Sprintf("body lacks %q: %.500s", k, got.Body)
		}
	}
	if !reflect.DeepEqual(got.Headers, want.Headers) && (len(got.Headers) > 0 || len(want.Headers) > 0) {
		return fmt.Sprintf("got headers %v, want %v", got.Headers, want.Headers)
	}
	if s.Method == http.MethodHead {
		return ""
	}
	a, b := r.masked(got.Body), r.masked(want.Body)
	if s.Copy == "" || s.Copy == "exact" {
		if a != b {
			return fmt.Sprintf("body\n got %.1500s\nwant %.1500s", a, b)
		}
		return ""
	}
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		return fmt.Sprintf("got no JSON: %v: %.500s", err, a)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		return fmt.Sprintf("want no JSON: %v", err)
	}
	switch s.Copy {
	case "set":
		x, y = sorted(x), sorted(y)
	case "shape":
		return shape("", x, y)
	}
	return differ("", x, y)
}

// sorted sorts arrays at every depth.
func sorted(x any) any {
	switch x := x.(type) {
	case []any:
		for i := range x {
			x[i] = sorted(x[i])
		}
		slices.SortFunc(x, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	case map[string]any:
		for k := range x {
			x[k] = sorted(x[k])
		}
	}
	return x
}

// differ tells the first place at which two documents differ.
func differ(at string, x, y any) string {
	switch a := x.(type) {
	case map[string]any:
		b, ok := y.(map[string]any)
		if !ok || len(a) != len(b) {
			break
		}
		for k := range b {
			if d := differ(at+"/"+k, a[k], b[k]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		b, ok := y.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range b {
			if d := differ(fmt.Sprintf("%s/%d", at, i), a[i], b[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if reflect.DeepEqual(x, y) {
		return ""
	}
	return fmt.Sprintf("at %s got %.800v, want %.800v", at, x, y)
}

// shape compares members and types, and error codes by value.
func shape(at string, x, y any) string {
	if fmt.Sprintf("%T", x) != fmt.Sprintf("%T", y) {
		return fmt.Sprintf("at %s got a %T, want a %T", at, x, y)
	}
	a, ok := x.(map[string]any)
	if !ok {
		return ""
	}
	b := y.(map[string]any)
	for k := range b {
		if _, have := a[k]; !have {
			return fmt.Sprintf("at %s member %q is missing", at, k)
		}
		if k == "error_code" && a[k] != b[k] {
			return fmt.Sprintf("error_code %v, want %v", a[k], b[k])
		}
		if d := shape(at+"/"+k, a[k], b[k]); d != "" {
			return d
		}
	}
	return ""
}
