package replay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// server answers by path: "/status/body".
func server(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		var code int
		var body string
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/%s", &code, &body); err != nil {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// TestJudgement gives one answer and one recording each: what must be seen as equal is, and what must not is not.
func TestJudgement(t *testing.T) {
	for name, c := range map[string]struct {
		step, recorded string // members of the two objects
		departure      Departure
		live           bool
		want           string // in the difference; empty: none
	}{
		"same":                    {`"path":"/200/abc"`, `"status":200,"body":"abc"`, Departure{}, false, ""},
		"other status":            {`"path":"/404/abc"`, `"status":200,"body":"abc"`, Departure{}, false, "got status 404, want 200"},
		"other body":              {`"path":"/200/abd"`, `"status":200,"body":"abc"`, Departure{}, false, "abd"},
		"masked":                  {`"path":"/200/v12"`, `"status":200,"body":"v7"`, Departure{}, false, ""},
		"header is missing":       {`"path":"/200/abc"`, `"status":200,"headers":{"Location":"x"},"body":"abc"`, Departure{}, false, "headers"},
		"order of members":        {`"path":"/200/{\"a\":1,\"b\":2}","copy":"json"`, `"status":200,"body":"{\"b\":2,\"a\":1}"`, Departure{}, false, ""},
		"order of an array":       {`"path":"/200/[1,2]","copy":"json"`, `"status":200,"body":"[2,1]"`, Departure{}, false, "at /0"},
		"set":                     {`"path":"/200/[1,2]","copy":"set"`, `"status":200,"body":"[2,1]"`, Departure{}, false, ""},
		"shape":                   {`"path":"/200/{\"a\":1}","copy":"shape"`, `"status":200,"body":"{\"a\":9}"`, Departure{}, false, ""},
		"member is missing":       {`"path":"/200/{\"b\":1}","copy":"shape"`, `"status":200,"body":"{\"a\":9}"`, Departure{}, false, `"a" is missing`},
		"text to keep":            {`"path":"/200/abc","copy":"status","keep":["x"]`, `"status":200,"body":""`, Departure{}, false, ""},
		"text that is lacking":    {`"path":"/200/abc","keep":["x"]`, `"status":200,"body":"abc"`, Departure{}, false, `lacks "x"`},
		"defect":                  {`"path":"/400/abc"`, `"status":500,"body":"","instead":{"status":400,"body":"abc"}`, Departure{}, false, ""},
		"departure":               {`"path":"/400/abc"`, `"status":200,"body":""`, Departure{Status: 400, Contains: "b"}, false, ""},
		"departure fails":         {`"path":"/400/abc"`, `"status":200,"body":""`, Departure{Status: 400, Contains: "x"}, false, `want 400 with "x"`},
		"departure is no more":    {`"path":"/200/abc"`, `"status":200,"body":"abc"`, Departure{Status: 400}, false, "is no more"},
		"departure that may be":   {`"path":"/200/abc"`, `"status":200,"body":"abc"`, Departure{Status: 400, Maybe: true}, false, ""},
		"awaited":                 {`"path":"/200/abc","await":{"path":"/200/x","contains":"x","status":200}`, `"status":200,"body":"abc"`, Departure{}, true, ""},
		"awaited in vain":         {`"path":"/200/abc","await":{"path":"/200/x","contains":"y","timeout_s":1}`, `"status":200,"body":"abc"`, Departure{}, true, "in vain"},
		"not awaited":             {`"path":"/200/abc","await":{"path":"/200/x","contains":"y"}`, `"status":200,"body":"abc"`, Departure{NoWait: true}, true, ""},
		"watched":                 {`"path":"/200/abc","watch":{"until":"b"}`, `"status":404,"body":"","seen":[{"status":404,"body":""},{"status":200,"body":"abc"}]`, Departure{}, true, ""},
		"placeholder is put back": {`"path":"/200/abc"`, `"status":200,"body":"${AB}c"`, Departure{}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{
				"x.json": `{"steps":[{"method":"GET",` + c.step + `}]}`, "x.golden.json": `{"steps":[{` + c.recorded + `}]}`, "masks.json": `[{"regex":"v[0-9]+","with":"v"}]`,
			} {
				if !json.Valid([]byte(text)) {
					t.Fatal(text)
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cfg := Config{Dir: dir, Base: server(t).URL, Live: c.live, Departures: map[int]Departure{0: c.departure}}
			if strings.Contains(c.recorded, "${AB}") {
				cfg.Vars = [][2]string{{"AB", "ab"}}
			}
			got, err := Run(t.Context(), "x", cfg)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("got %v, want no difference", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), c.want)):
				t.Errorf("got %v, want one with %q", got, c.want)
			}
		})
	}
}
