package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
)

// fakeConnect has the part of the REST API that a migration needs.
type fakeConnect struct {
	mu         sync.Mutex
	connectors map[string]*fakeConnector
	moves      bool              // a connector that resumes reads on
	refuse     string            // method and end of the path that answer 500
	busy       int               // requests that answer 409 before one does not
	problems   map[string]string // of validate
}

type fakeConnector struct {
	config  map[string]string
	state   string
	offsets json.RawMessage
	// gathered are the offsets once it has one task; nil: the same.
	gathered json.RawMessage
}

func (f *fakeConnect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	say := func(code int, v any) {
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(v)
	}
	fail := func(code int, text string) { say(code, map[string]any{"error_code": code, "message": text}) }
	if f.refuse != "" {
		if method, end, _ := strings.Cut(f.refuse, " "); r.Method == method && strings.HasSuffix(r.URL.Path, end) {
			fail(500, "it is broken")
			return
		}
	}
	if r.Method != http.MethodGet && f.busy > 0 && !strings.HasSuffix(r.URL.Path, "validate") {
		f.busy--
		fail(409, "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)")
		return
	}
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case part[0] == "connector-plugins":
		var configs []any
		for name, text := range f.problems {
			configs = append(configs, map[string]any{"value": map[string]any{"name": name, "errors": []string{text}}})
		}
		say(200, map[string]any{"configs": configs})
		return
	case len(part) == 1 && r.Method == http.MethodPost:
		var body struct {
			Name   string
			Config map[string]string
			State  string `json:"initial_state"`
		}
		json.NewDecoder(r.Body).Decode(&body)
		f.connectors[body.Name] = &fakeConnector{config: body.Config, state: body.State}
		say(201, body)
		return
	case len(part) == 1:
		all := map[string]any{}
		for n, c := range f.connectors {
			all[n] = map[string]any{"info": map[string]any{"config": c.config}}
		}
		say(200, all)
		return
	}
	c := f.connectors[part[1]]
	if c == nil {
		fail(404, "Connector "+part[1]+" not found")
		return
	}
	what := r.Method
	if len(part) > 2 {
		what += " " + part[2]
	}
	switch what {
	case "GET":
		say(200, map[string]any{})
	case "DELETE":
		delete(f.connectors, part[1])
		w.WriteHeader(204)
	case "GET config":
		say(200, c.config)
	case "PUT config":
		c.config = nil
		json.NewDecoder(r.Body).Decode(&c.config)
		if c.config["tasks.max"] == "1" && c.gathered != nil {
			c.offsets = c.gathered
		}
		say(200, map[string]any{})
	case "GET status":
		tasks, n := []any{}, 1
		fmt.Sscan(c.config["tasks.max"], &n)
		for i := 0; i < n && c.state != "STOPPED"; i++ {
			tasks = append(tasks, map[string]any{"id": i, "state": c.state})
		}
		say(200, map[string]any{"name": part[1], "connector": map[string]any{"state": c.state}, "tasks": tasks})
	case "PUT stop":
		c.state = "STOPPED"
		w.WriteHeader(204)
	case "PUT pause":
		c.state = "PAUSED"
		w.WriteHeader(202)
	case "PUT resume":
		c.state = "RUNNING"
		if f.moves {
			c.offsets = json.RawMessage(strings.Replace(string(c.offsets), "1234", "5678", 1))
		}
		w.WriteHeader(202)
	case "GET offsets":
		say(200, map[string]any{"offsets": c.offsets})
	case "PATCH offsets":
		var body struct{ Offsets json.RawMessage }
		json.NewDecoder(r.Body).Decode(&body)
		c.offsets = body.Offsets
		say(200, map[string]any{"message": "done"})
	default:
		fail(405, what)
	}
}

const placeText = `[{"partition":{"server":"shop"},"offset":{"file":"binlog.000007","pos":1234,"gtids":"a:1-5"}}]`

// summary is what a fake holds, a line a connector.
func (f *fakeConnect) summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for n, c := range f.connectors {
		out = append(out, fmt.Sprintf("%s %s mode=%s %s", n, c.state, c.config["snapshot.mode"], c.offsets))
	}
	return strings.Join(out, "; ")
}

// ofSeveral has three tasks, which stand at two places; gathered is what becomes of that once it has one.
func ofSeveral(gathered string) *fakeConnector {
	const apart = `[{"partition":{"server":"shop"},"offset":{"file":"binlog.000006","pos":7}},{"partition":{"server":"shop","lane":"1"},"offset":{"file":"binlog.000007","pos":1234}}]`
	return &fakeConnector{config: map[string]string{"connector.class": config.MySQLClass, "topic.prefix": "shop", "snapshot.mode": "initial", "tasks.max": "3",
		"schema.history.internal.kafka.topic": "h"}, state: "RUNNING", offsets: json.RawMessage(apart), gathered: json.RawMessage(gathered)}
}

const (
	together = `[{"partition":{"server":"shop"},"offset":{"file":"binlog.000007","pos":1234,"gtids":"a:1-5"}},{"partition":{"server":"shop","lane":"1"},"offset":{"file":"binlog.000007","pos":1234}}]`
	apart    = `[{"partition":{"server":"shop"},"offset":{"file":"binlog.000006","pos":9}},{"partition":{"server":"shop","lane":"1"},"offset":{"file":"binlog.000007","pos":1234}}]`
)

func TestMigrate(t *testing.T) {
	shop := func(state, offsets string) *fakeConnector {
		return &fakeConnector{config: map[string]string{"connector.class": config.MySQLClass, "topic.prefix": "shop", "snapshot.mode": "initial",
			"schema.history.internal.kafka.topic": "h"}, state: state, offsets: json.RawMessage(offsets)}
	}
	before := "shop RUNNING mode=initial " + placeText
	after := strings.Replace(before, "1234", "5678", 1)
	for name, c := range map[string]struct {
		args              []string
		there, here       *fakeConnector
		refuse            string // here
		refuseThere       string
		busy              int
		problems          map[string]string
		wantThere, want   string
		says              string
		findings, succeed bool
		moves             bool // there
	}{
		"over": {args: []string{"connect", "shop"}, there: shop("RUNNING", placeText), busy: 2, succeed: true,
			wantThere: "shop STOPPED mode=initial " + placeText, want: before, says: `binlog.000007`},
		"over, all": {args: []string{"connect", "--all"}, there: shop("RUNNING", placeText), succeed: true,
			wantThere: "shop STOPPED mode=initial " + placeText, want: before},
		"over, paused": {args: []string{"connect", "shop"}, there: shop("PAUSED", placeText), succeed: true,
			wantThere: "shop STOPPED mode=initial " + placeText, want: "shop PAUSED mode=initial " + placeText},
		"over, only said":           {args: []string{"connect", "shop", "--dry-run"}, there: shop("RUNNING", placeText), succeed: true, wantThere: before, says: "would be stopped"},
		"over, with a wrong config": {args: []string{"connect", "shop"}, there: shop("RUNNING", placeText), problems: map[string]string{"transforms": "no such class"}, wantThere: before, says: "no such class", findings: true},
		"over, offsets refused": {args: []string{"connect", "shop"}, there: shop("RUNNING", placeText), refuse: "PATCH /offsets",
			wantThere: before, says: "RUNNING at"},
		"over, paused and refused": {args: []string{"connect", "shop"}, there: shop("PAUSED", placeText), refuse: "POST /connectors",
			wantThere: "shop PAUSED mode=initial " + placeText, says: "it is broken"},
		"over, no offset yet": {args: []string{"connect", "shop"}, there: shop("RUNNING", "[]"), wantThere: "shop RUNNING mode=initial []", says: "snapshot"},
		"over, in its snapshot": {args: []string{"connect", "shop"}, there: shop("RUNNING", strings.Replace(placeText, `"pos"`, `"snapshot":"INITIAL","pos"`, 1)),
			wantThere: "shop RUNNING mode=initial " + strings.Replace(placeText, `"pos"`, `"snapshot":"INITIAL","pos"`, 1), says: "in the middle of its snapshot"},
		"over, cannot be taken away": {args: []string{"connect", "shop"}, there: shop("RUNNING", placeText), refuse: "PATCH /offsets", refuseThere: "PUT /resume",
			wantThere: "shop STOPPED mode=initial " + placeText, says: "not RUNNING again"},
		"back, new there": {args: []string{"back", "shop", "--history-topic", "h2"}, here: shop("RUNNING", placeText), succeed: true, moves: true,
			wantThere: after, want: "shop STOPPED mode=initial " + placeText, says: "h2"},
		"back, nothing happens": {args: []string{"back", "shop"}, here: shop("RUNNING", placeText), succeed: true,
			wantThere: strings.Replace(before, "initial", "recovery", 1), want: "shop STOPPED mode=initial " + placeText, says: "change it back"},
		"back, there since": {args: []string{"back", "shop"}, here: shop("RUNNING", placeText), there: shop("STOPPED", "[]"), succeed: true, moves: true,
			wantThere: after, want: "shop STOPPED mode=initial " + placeText},
		"back, refused": {args: []string{"back", "shop"}, here: shop("RUNNING", placeText), there: shop("STOPPED", "[]"), refuseThere: "PATCH /offsets",
			wantThere: "shop STOPPED mode=initial []", want: before, says: "it is broken"},
		"back, of three tasks": {args: []string{"back", "shop"}, here: ofSeveral(together), succeed: true, moves: true,
			wantThere: after, want: "shop STOPPED mode=initial " + together, says: "bringing its 3 tasks to one place"},
		"back, tasks that do not meet": {args: []string{"back", "shop"}, here: ofSeveral(apart), want: "shop RUNNING mode=initial " + apart, says: "still behind binlog.000007:1234; it goes on here as it was"},
		"back, new there, refused":     {args: []string{"back", "shop"}, here: shop("RUNNING", placeText), refuseThere: "PATCH /offsets", want: before},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := &fakeConnect{connectors: map[string]*fakeConnector{}, refuse: c.refuse, problems: c.problems},
				&fakeConnect{connectors: map[string]*fakeConnector{}, refuse: c.refuseThere, busy: c.busy, moves: c.moves}
			if c.there != nil {
				there.connectors["shop"] = c.there
			}
			if c.here != nil {
				here.connectors["shop"] = c.here
			}
			a, b := httptest.NewServer(here), httptest.NewServer(there)
			defer a.Close()
			defer b.Close()
			var out bytes.Buffer
			cmd := root(io.Discard)
			cmd.SetOut(&out)
			cmd.SetArgs(append([]string{"migrate", "--server", a.URL, "--connect", b.URL, "--timeout", "2s"}, c.args...))
			err := cmd.ExecuteContext(t.Context())
			if (err == nil) != c.succeed || errors.As(err, new(findings)) != c.findings {
				t.Errorf("error %v", err)
			}
			if said := out.String() + fmt.Sprint(err); !strings.Contains(said, c.says) {
				t.Errorf("%q does not say %q", said, c.says)
			}
			if h := here.connectors["shop"]; h != nil && h.gathered != nil {
				if h.config["tasks.max"] != "3" {
					t.Errorf("here it has tasks.max=%s", h.config["tasks.max"])
				}
				if o := there.connectors["shop"]; o != nil && o.config["tasks.max"] != "1" {
					t.Errorf("there it has tasks.max=%s", o.config["tasks.max"])
				}
			}
			if d := cmp.Diff([]string{c.wantThere, c.want}, []string{there.summary(), here.summary()}); d != "" {
				t.Errorf("there, here (-want +got):\n%s", d)
			}
		})
	}
}
