package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/errs"
	"github.com/rowmesh/rowmesh/services/registry"
)

// tutorial is a create request from the time of Debezium 1.x, as people have it in a file.
const tutorial = `{"name":"debezium-myDb-myTable-source-connector","config":{
 "connector.class":"io.debezium.connector.mysql.MySqlConnector","tasks.max":"1",
 "database.hostname":"mysql.test","database.port":"23306","database.user":"dbz","database.password":"dbz",
 "database.server.id":"10000","database.server.name":"test","database.connectionTimeZone":"Asia/Seoul",
 "database.include.list":"mydb","table.include.list":"mydb.myTable","database.allowPublicKeyRetrieval":"true",
 "database.history.kafka.bootstrap.servers":"kafka.test:9092","database.history.kafka.topic":"schema-history.topic-name",
 "key.converter":"org.apache.kafka.connect.json.JsonConverter","value.converter":"org.apache.kafka.connect.json.JsonConverter"}}`

// simple is a config without anything to warn about.
const simple = `"connector.class":"MySql","database.hostname":"mysql.test","database.port":"23306","database.user":"dbz","database.password":"dbz","database.server.id":"5","topic.prefix":"p"`

// call sends a request to a handler. Without a body no Content-Type is sent.
func call(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	r.Host = "mesh.test:8083"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func expect(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body {
		t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, status, body)
	}
}

func expectError(t *testing.T, w *httptest.ResponseRecorder, status int, contains string) {
	t.Helper()
	var e struct {
		Code    int     `json:"error_code"`
		Message *string `json:"message"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if w.Code != status || e.Code != status || e.Message == nil || !strings.Contains(*e.Message, contains) {
		t.Errorf("got %d %s\nwant %d with %q", w.Code, w.Body, status, contains)
	}
}

func TestTutorial(t *testing.T) {
	var log bytes.Buffer
	h := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, newMesh(), meshValidator{}, nil)
	w := call(h, "POST", "/connectors", tutorial)
	// The config comes back as it was sent, in its order, with the name as last member.
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(tutorial)); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSuffix(compact.String(), "}}") + `,"name":"debezium-myDb-myTable-source-connector"},"tasks":[],"type":"source"}`
	expect(t, w, 201, want)
	if got := w.Header().Get("Location"); got != "http://mesh.test:8083/connectors/debezium-myDb-myTable-source-connector" {
		t.Errorf("Location %q", got)
	}
	for _, name := range []string{"database.server.name", "database.history.kafka.topic", "database.history.kafka.bootstrap.servers"} {
		if !strings.Contains(log.String(), "option="+name) {
			t.Errorf("the log does not warn of %s", name)
		}
	}
	status := call(h, "GET", "/connectors/debezium-myDb-myTable-source-connector/status", "")
	want = `{"name":"debezium-myDb-myTable-source-connector","connector":{"state":"RUNNING","worker_id":"127.0.0.1:8083","version":"3.6.1.Final"},` +
		`"tasks":[{"id":0,"state":"RUNNING","worker_id":"127.0.0.1:8083","version":"3.6.1.Final"}],"type":"source","warnings":[` +
		`"database.history.kafka.bootstrap.servers is a name of Debezium 1.x: it is read as schema.history.internal.kafka.bootstrap.servers, use that",` +
		`"database.history.kafka.topic is a name of Debezium 1.x: it is read as schema.history.internal.kafka.topic, use that",` +
		`"database.server.name is a name of Debezium 1.x: it is read as topic.prefix, use that"]}`
	expect(t, status, 200, want)
}

func TestSecretsAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	h := New(Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, newMesh(), meshValidator{}, nil)
	cfg := strings.Replace(simple, `"database.password":"dbz"`, `"database.password":"hunter2"`, 1)
	for _, r := range [][3]string{
		{"POST", "/connectors", `{"name":"a","config":{` + cfg + `}}`},
		{"PUT", "/connectors/a/config", `{` + cfg + `,"tasks.max":"0","x.y":"1"}`},
		{"PUT", "/connectors/a/config", `{"database.password":"hunter2"}`},
		{"PUT", "/connector-plugins/MySql/config/validate", `{` + cfg + `}`},
		{"POST", "/connectors", `{"name":"a","config":{"connector.class":"X","database.password":"hunter2"}}`},
	} {
		if w := call(h, r[0], r[1], r[2]); strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s %s answers with the password: %s", r[0], r[1], w.Body)
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the password is in the log: %s", log.String())
	}
}

func TestFailedTask(t *testing.T) {
	m := newMesh()
	h := New(Config{}, m, nil, nil)
	if w := call(h, "POST", "/connectors", `{"name":"f","config":{`+simple+`,"tasks.max":2}}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	c := m.connectors["f"]
	c.Tasks[1].State, c.Tasks[1].Trace = registry.LaneFailed, "row 7 at binlog.000001:4 is too large\n\"x\""
	const head = `{"name":"f","connector":{"state":"RUNNING","worker_id":"127.0.0.1:8083","version":"3.6.1.Final"},"tasks":[`
	task := func(id int, state, trace string) string {
		s := fmt.Sprintf(`{"id":%d,"state":%q,"worker_id":"127.0.0.1:8083","version":"3.6.1.Final"`, id, state)
		if trace != "" {
			s += `,"trace":"` + trace + `"`
		}
		return s + "}"
	}
	const trace = `row 7 at binlog.000001:4 is too large\n\"x\"`
	expect(t, call(h, "GET", "/connectors/f/status", ""), 200, head+task(0, "RUNNING", "")+","+task(1, "FAILED", trace)+`],"type":"source"}`)
	expect(t, call(h, "GET", "/connectors/f/tasks/1/status", ""), 200, task(1, "FAILED", trace))
	expect(t, call(h, "POST", "/connectors/f/restart?includeTasks=true&onlyFailed=true", ""), 202, head+task(0, "RUNNING", "")+","+task(1, "RESTARTING", trace)+`],"type":"source"}`)
	expect(t, call(h, "POST", "/connectors/f/restart?onlyFailed=True", ""), 202, head+task(0, "RUNNING", "")+","+task(1, "FAILED", trace)+`],"type":"source"}`)
	expect(t, call(h, "POST", "/connectors/f/tasks/1/restart", ""), 204, "")
	one := uint32(1)
	want := []Restart{{IncludeTasks: true, OnlyFailed: true}, {OnlyFailed: true}, {Task: &one}}
	if d := cmp.Diff(want, m.restarts); d != "" {
		t.Error(d)
	}
	if c.Tasks[1].State != registry.LaneFailed {
		t.Error("an answer changed the mesh's own state")
	}
	c.State, c.Trace = "FAILED", "why"
	w := call(h, "POST", "/connectors/f/restart?onlyFailed=true", "")
	if !strings.Contains(w.Body.String(), `"connector":{"state":"RESTARTING","worker_id":"127.0.0.1:8083","version":"3.6.1.Final","trace":"why"}`) {
		t.Errorf("%s", w.Body)
	}
}

func TestMeshErrors(t *testing.T) {
	for _, c := range []struct {
		err      error
		status   int
		contains string
	}{
		{errs.E(errs.Unavailable, "etcd at e:2379 does not answer"), 503, "etcd at e:2379"},
		{errs.E(errs.Busy, "two writers"), 409, "two writers"},
		{errs.E(errs.Stale, "old revision"), 409, "stale configuration"},
		{errs.E(errs.Denied, "no grant"), 403, "no grant"},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), 500, "Request timed out"},
		{errors.New("broken"), 500, "broken"},
	} {
		m := newMesh()
		m.err = c.err
		h := New(Config{}, m, nil, &meshOffsets{m})
		for _, r := range [][3]string{{"GET", "/connectors", ""}, {"GET", "/connectors/a", ""}, {"GET", "/connectors/a/status", ""}, {"PUT", "/connectors/a/pause", ""},
			{"POST", "/connectors", `{"name":"a","config":{` + simple + `}}`}, {"PUT", "/connectors/a/config", `{` + simple + `}`}, {"DELETE", "/connectors/a", ""},
			{"GET", "/connectors/a/topics", ""}, {"PUT", "/connectors/a/topics/reset", ""}, {"GET", "/connectors/a/offsets", ""}, {"POST", "/connectors/a/restart", ""}} {
			expectError(t, call(h, r[0], r[1], r[2]), c.status, c.contains)
		}
	}
}

func TestLimits(t *testing.T) {
	m := newMesh()
	h := New(Config{MaxBodyBytes: 200}, m, nil, nil)
	expectError(t, call(h, "POST", "/connectors", `{"name":"`+strings.Repeat("x", 200)+`"}`), 413, "more than 200 bytes")
	expectError(t, call(New(Config{}, m, nil, nil), "POST", "/connectors", `{"name":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`), 400, "nests deeper than 16")
	expectError(t, call(h, "POST", "/connectors", `{"name":"a",}`), 400, "not valid JSON")
	expectError(t, call(h, "POST", "/connectors", `[]`), 400, "not a JSON object")
	expectError(t, call(h, "PUT", "/connectors/a/config", `{"name":"a","config":{}}`), 400, `the value of "config" is an object`)
}

// slowValidator takes until the request's time is over, or fails.
type slowValidator struct{ panics bool }

func (s slowValidator) Validate(ctx context.Context, _ *config.Connector) config.Result {
	if s.panics {
		panic("secret detail")
	}
	<-ctx.Done()
	return config.Result{}
}

func TestTimeoutAndPanic(t *testing.T) {
	create := `{"name":"a","config":{` + simple + `}}`
	start := time.Now()
	m := newMesh()
	h := New(Config{Timeout: 20 * time.Millisecond}, m, slowValidator{}, nil)
	call(h, "POST", "/connectors", create)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("the request took %s", d)
	}
	w := call(New(Config{}, newMesh(), slowValidator{panics: true}, nil), "POST", "/connectors", create)
	expectError(t, w, 500, "Internal error")
	if strings.Contains(w.Body.String(), "secret detail") || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("the answer tells of our inside: %s", w.Body)
	}
}

func TestRootAndHealth(t *testing.T) {
	ready := errors.New("no leader yet")
	h := New(Config{Version: "4.3.0-mesh", Commit: "0123456789abcdef", URL: "https://api.test/", Ready: func(context.Context) error { return ready }}, newMesh(), nil, nil)
	expect(t, call(h, "GET", "/", ""), 200, `{"version":"4.3.0-mesh","commit":"0123456789abcdef","kafka_cluster_id":""}`)
	expect(t, call(h, "GET", "/health", ""), 503, `{"status":"starting","message":"Worker is still starting up. no leader yet"}`)
	w := call(h, "POST", "/connectors", `{"name":"a b","config":{`+simple+`}}`)
	if got := w.Header().Get("Location"); got != "https://api.test/connectors/a%20b" {
		t.Errorf("Location %q", got)
	}
	h = New(Config{ClusterID: func(context.Context) (string, error) { return "", errors.New("no broker at k:9092") }}, newMesh(), nil, nil)
	expectError(t, call(h, "GET", "/", ""), 503, "no broker at k:9092")
}

func TestReferencesStay(t *testing.T) {
	t.Setenv("ROWMESH_SECRET_PW", "dbz")
	m := newMesh()
	h := New(Config{Secrets: config.Secrets{Env: regexp.MustCompile("ROWMESH_SECRET_.*")}}, m, meshValidator{}, nil)
	cfg := strings.Replace(simple, `"database.password":"dbz"`, `"database.password":"${env:ROWMESH_SECRET_PW}"`, 1)
	if w := call(h, "POST", "/connectors", `{"name":"a","config":{`+cfg+`}}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	w := call(h, "GET", "/connectors/a/config", "")
	if !strings.Contains(w.Body.String(), `"database.password":"${env:ROWMESH_SECRET_PW}"`) {
		t.Errorf("the reference did not stay: %s", w.Body)
	}
}

func TestOffsetsWithoutTopic(t *testing.T) {
	h := New(Config{}, newMesh(), nil, nil)
	call(h, "POST", "/connectors", `{"name":"a","initial_state":"stopped","config":{`+simple+`}}`)
	expect(t, call(h, "GET", "/connectors/a/offsets", ""), 200, `{"offsets":[]}`)
	expectError(t, call(h, "DELETE", "/connectors/a/offsets", ""), 501, "offsets topic")
}

func TestLoggers(t *testing.T) {
	set := map[string]slog.Level{}
	h := New(Config{SetLevel: func(name string, l slog.Level) { set[name] = l }}, newMesh(), nil, nil)
	expect(t, call(h, "PUT", "/admin/loggers/root", `{"level":"debug"}`), 200, `["root"]`)
	expect(t, call(h, "PUT", "/admin/loggers/a.b", `{"level":"OFF"}`), 200, `["a.b"]`)
	want := map[string]slog.Level{"root": slog.LevelDebug, "a.b": slog.LevelError + 100}
	if d := cmp.Diff(want, set); d != "" {
		t.Error(d)
	}
	for i := range maxLoggers {
		call(h, "PUT", fmt.Sprintf("/admin/loggers/n%d", i), `{"level":"WARN"}`)
	}
	expectError(t, call(h, "PUT", "/admin/loggers/one.more", `{"level":"WARN"}`), 400, "loggers have levels")
	expect(t, call(h, "PUT", "/admin/loggers/a.b", `{"level":"INFO"}`), 200, `["a.b"]`)
}

func TestBodiesThatAreNotWanted(t *testing.T) {
	h := New(Config{}, newMesh(), nil, nil)
	call(h, "POST", "/connectors", `{"name":"a","config":{`+simple+`}}`)
	expect(t, call(h, "PUT", "/connectors/a/pause", "null"), 202, "")
	expect(t, call(h, "POST", "/connectors/a/restart", `""`), 204, "")
	w := call(h, "GET", "/connectors", "", "Content-Type", "application/json")
	expect(t, w, 200, `["a"]`)
	if w := call(h, "DELETE", "/connectors/a", "", "Content-Type", "application/json"); w.Code != 204 || w.Header().Get("Content-Type") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestCopiesOfOffsetsAreHidden(t *testing.T) {
	m := newMesh()
	h := New(Config{}, m, nil, &meshOffsets{m})
	call(h, "POST", "/connectors", `{"name":"a","initial_state":"stopped","config":{`+simple+`}}`)
	m.offsets["a"] = map[string]json.RawMessage{
		`{"server":"p"}`: json.RawMessage(`{"file":"f","pos":4}`), `{"server":"p","lane":"0","layout":"7"}`: json.RawMessage(`{"file":"f","pos":3}`),
	}
	expect(t, call(h, "GET", "/connectors/a/offsets", ""), 200, `{"offsets":[{"partition":{"server":"p"},"offset":{"file":"f","pos":4}}]}`)
	if w := call(h, "DELETE", "/connectors/a/offsets", ""); w.Code != 200 || len(m.offsets["a"]) != 0 {
		t.Errorf("%d, left: %v", w.Code, m.offsets["a"])
	}
}
