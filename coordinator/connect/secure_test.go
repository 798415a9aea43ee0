package connect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

const goodConfig = `"connector.class":"MySql","tasks.max":"1","database.hostname":"mysql.test","database.port":"23306","database.user":"dbz","database.server.id":"7","topic.prefix":"p"`

// TestMaskedSecrets reads a config with masks, sends it back, and finds that the secrets are still there.
func TestMaskedSecrets(t *testing.T) {
	m := newMesh()
	h := New(Config{MaskSecrets: true}, m, meshValidator{}, &meshOffsets{m})
	const secret = `"database.password":"dbz","producer.override.sasl.jaas.config":"x username=\"u\" password=\"pw7\";","database.ssl.keystore.password":"${file:/s:k}"`
	created := call(h, "POST", "/connectors", `{"name":"c","config":{`+goodConfig+`,`+secret+`}}`)
	if created.Code != 201 {
		t.Fatal(created.Code, created.Body)
	}
	for _, path := range []string{"/connectors/c", "/connectors/c/config", "/connectors?expand=info", "/connectors/c/tasks"} {
		got := call(h, "GET", path, "").Body.String()
		if strings.Contains(got, `"dbz","producer`) || strings.Contains(got, "pw7") || !strings.Contains(got, `"database.password":"[hidden]"`) {
			t.Errorf("%s shows %s", path, got)
		}
		if !strings.Contains(got, `"${file:/s:k}"`) {
			t.Errorf("%s hides a reference: %s", path, got)
		}
	}
	if strings.Contains(created.Body.String(), "pw7") {
		t.Errorf("the answer to the creation shows %s", created.Body)
	}
	seen := call(h, "GET", "/connectors/c/config", "").Body.String()
	if put := call(h, "PUT", "/connectors/c/config", strings.Replace(seen, `"tasks.max":"1"`, `"tasks.max":"2"`, 1)); put.Code != 200 || strings.Contains(put.Body.String(), "pw7") {
		t.Errorf("sent back: %d %s", put.Code, put.Body)
	}
	c, _ := m.Get(t.Context(), "c")
	if cfg := c.Map(); cfg["database.password"] != "dbz" || !strings.Contains(cfg["producer.override.sasl.jaas.config"], "pw7") || cfg["tasks.max"] != "2" {
		t.Errorf("stored after it was sent back: %v", cfg)
	}
	if patched := call(h, "PATCH", "/connectors/c/config", `{"database.password":"[hidden]"}`); patched.Code != 200 {
		t.Errorf("patched with the mask: %d %s", patched.Code, patched.Body)
	}
	other := call(h, "POST", "/connectors", `{"name":"d","config":{`+goodConfig+`,"database.password":"[hidden]"}}`)
	if other.Code != 400 || !strings.Contains(other.Body.String(), "database.password") {
		t.Errorf("a mask that stands for nothing: %d %s", other.Code, other.Body)
	}
	valid := call(h, "PUT", "/connector-plugins/MySql/config/validate", `{"name":"c",`+goodConfig+`,"database.password":"[hidden]"}`)
	if !strings.Contains(valid.Body.String(), `"error_count":0`) || strings.Contains(valid.Body.String(), "pw7") {
		t.Errorf("validated with the mask: %.300s", valid.Body)
	}
}

// TestUsers asks with and without a password.
func TestUsers(t *testing.T) {
	u, err := ReadUsers(strings.NewReader("# who may\nann = s3cret\nben:x=y\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := u.Protect(newTestHandler(nil))
	for _, c := range []struct {
		path, name, password string
		want                 int
	}{
		{"/connectors", "", "", 401}, {"/connectors", "ann", "wrong", 401}, {"/connectors", "nobody", "", 401}, {"/connectors", "ann", "s3cret", 200},
		{"/connectors", "ben", "x=y", 200}, {"/health", "", "", 200},
	} {
		var headers []string
		if c.name != "" {
			headers = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(c.name+":"+c.password))}
		}
		got := call(h, "GET", c.path, "", headers...)
		if got.Code != c.want {
			t.Errorf("%+v: %d %s", c, got.Code, got.Body)
		}
		if got.Code == 401 && (got.Body.String() != "User cannot access the resource." || got.Header().Get("WWW-Authenticate") == "") {
			t.Errorf("refusal: %q %v", got.Body, got.Header())
		}
	}
	for _, bad := range []string{"", "# nobody\n", "ann\n"} {
		if _, err := ReadUsers(strings.NewReader(bad)); err == nil {
			t.Errorf("users' file %q is accepted", bad)
		}
	}
}

// TestHostileRequests sends what is too large, too deep or too much: each has an answer that says so.
func TestHostileRequests(t *testing.T) {
	h := newTestHandler(meshValidator{})
	config := func(more string) string {
		return `{"name":"c","config":{` + goodConfig + `,"database.password":"dbz"` + more + `}}`
	}
	for name, c := range map[string]struct {
		body string
		code int
		text string
	}{
		"10 MB":                {config(`,"x":"` + strings.Repeat("a", 10<<20) + `"`), 413, "more than 1048576 bytes"},
		"deep arrays":          {strings.Repeat("[", 200_000), 400, "not valid JSON"},
		"deep objects":         {strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000), 400, "nests deeper"},
		"long name":            {`{"name":"` + strings.Repeat("n", 10_000) + `","config":{` + goodConfig + `}}`, 400, "the longest may have 1024"},
		"name with a slash":    {`{"name":"a/b","config":{` + goodConfig + `}}`, 400, "choose another name"},
		"a pattern that grows": {config(`,"table.include.list":"((a{1,1000}){1,1000}){1,1000}"`), 400, "table.include.list"},
		"a long pattern":       {config(`,"table.include.list":"` + strings.Repeat("(a|b)*", 20_000) + `c"`), 0, ""},
	} {
		got := call(h, "POST", "/connectors", c.body)
		var e struct {
			Code    int `json:"error_code"`
			Message string
		}
		if c.code != 0 && (got.Code != c.code || json.Unmarshal(bytes.TrimSpace(got.Body.Bytes()), &e) != nil || e.Code != c.code || !strings.Contains(e.Message, c.text)) {
			t.Errorf("%s: %d %.300s", name, got.Code, got.Body)
		}
	}
}
