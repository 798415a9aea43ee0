package config

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rowmesh/rowmesh/services/errs"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "db.properties"), "# a comment\nuser = debezium\npassword:s\\:3cret=x\nlong=a\\\n   b\nuser=last\nempty=\n")
	write(t, filepath.Join(root, "token"), "raw token")
	write(t, filepath.Join(outside, "other"), "k=topsecret")
	if err := os.Symlink(filepath.Join(outside, "other"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROWMESH_SECRET_A", "from env")
	t.Setenv("OTHER_SECRET", "topsecret")
	s := Secrets{Roots: []string{root}, Env: regexp.MustCompile(`ROWMESH_SECRET_.*`)}
	file := filepath.Join(root, "db.properties")

	got, err := s.Resolve(map[string]string{
		"a": "${file:" + file + ":user}", "b": "x-${file:" + file + ":password}-${env:ROWMESH_SECRET_A}", "c": "${dir:" + root + ":token}",
		"d": "${vault:a:b}", "e": "${file:" + file + ":long}", "f": "plain", "g": "${file:" + file + ":empty}", "h": "${database.server.name}.tx",
	})
	want := map[string]string{"a": "last", "b": "x-s:3cret=x-from env", "c": "raw token", "d": "${vault:a:b}", "e": "ab", "f": "plain", "g": "", "h": "${database.server.name}.tx"}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}

	for ref, reason := range map[string]string{
		"${file:" + outside + "/other:k}":                                "is outside the allowed folders",
		"${file:" + root + "/link:k}":                                    "is outside the allowed folders",
		"${file:" + root + "/../" + filepath.Base(outside) + "/other:k}": "is outside the allowed folders",
		"${dir:" + root + ":../" + filepath.Base(outside) + "/other}":    "is outside the allowed folders",
		"${file:" + root + ":k}":                                         "is not a regular file",
		"${file:" + root + "/none:k}":                                    "is not a readable absolute path",
		"${file:" + file + ":none}":                                      "has no key none",
		"${env:OTHER_SECRET}":                                            "is not allowed",
		"${env:ROWMESH_SECRET_NONE}":                                     "is not set",
		"${env:path:ROWMESH_SECRET_A}":                                   "has no path",
	} {
		_, err := s.Resolve(map[string]string{"database.password": ref})
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), "database.password") || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: got %v, want %s", ref, err, reason)
		}
	}

	off := map[string]string{"a": "${file:" + file + ":user}", "b": "${env:HOME}", "c": "${dir:" + root + ":token}"}
	if got, err := (Secrets{}).Resolve(off); err != nil || cmp.Diff(off, got) != "" {
		t.Errorf("without providers: %v %v", got, err)
	}
}

func TestParseHidesResolved(t *testing.T) {
	t.Setenv("ROWMESH_SECRET_PORT", "hunter3")
	t.Setenv("ROWMESH_SECRET_PREFIX", "p9")
	s := Secrets{Env: regexp.MustCompile(`ROWMESH_SECRET_.*`)}
	_, res := s.Parse("", with("tasks.max=${env:ROWMESH_SECRET_PORT}"))
	want := []string{"Invalid value for configuration 'tasks.max': the value resolved from the config provider reference failed validation",
		"Invalid value for configuration 'tasks.max': the value resolved from the config provider reference failed validation"}
	if d := cmp.Diff(want, texts(res.Errors)); d != "" {
		t.Error(d)
	}

	_, res = s.Parse("", map[string]string{"database.user": "${env:ROWMESH_SECRET_PORT}"})
	if text := res.Message(); strings.Contains(text, "hunter3") || !strings.Contains(text, "${env:ROWMESH_SECRET_PORT}") {
		t.Errorf("a config without a class is told as %s", text)
	}
	live := s.Hide(map[string]string{"database.hostname": "${env:ROWMESH_SECRET_PORT}"}, Result{Errors: []Problem{{"database.hostname", "lookup hunter3: no such host", false}}})
	if d := cmp.Diff([]Problem{{"database.hostname", "lookup ${env:ROWMESH_SECRET_PORT}: no such host", false}}, live.Errors); d != "" {
		t.Error(d)
	}

	cfg := with("database.password=${env:ROWMESH_SECRET_PORT}", "-topic.prefix", "database.server.name=${env:ROWMESH_SECRET_PREFIX}")
	c, res := s.Parse("", cfg)
	if c == nil {
		t.Fatal(res.Message())
	}
	if c.Password != "hunter3" || c.TopicPrefix != "p9" {
		t.Errorf("not resolved: %q %q", c.Password, c.TopicPrefix)
	}
	if c.Raw["database.password"] != "${env:ROWMESH_SECRET_PORT}" || c.Raw["topic.prefix"] != "${env:ROWMESH_SECRET_PREFIX}" {
		t.Errorf("Raw has resolved values: %q %q", c.Raw["database.password"], c.Raw["topic.prefix"])
	}
}

// TestConvertersOfTheProcess gives a process converters: they apply where a connector names none, whatever members it has.
func TestConvertersOfTheProcess(t *testing.T) {
	s := Secrets{Converters: map[string]string{"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"}}
	base := map[string]string{"name": "c", "connector.class": "MySql", "tasks.max": "1", "database.hostname": "db", "database.user": "u", "database.server.id": "5", "topic.prefix": "p"}
	for name, c := range map[string]struct {
		more     map[string]string
		schemas  bool
		warnings int
	}{
		"none":          {nil, false, 0},
		"its own":       {map[string]string{"value.converter": "JsonConverter"}, true, 0},
		"a member only": {map[string]string{"value.converter.schemas.enable": "true"}, false, 1},
	} {
		cfg := maps.Clone(base)
		maps.Copy(cfg, c.more)
		parsed, res := s.Parse("c", cfg)
		if parsed == nil || parsed.ValueConverter.Schemas != c.schemas || !parsed.KeyConverter.Schemas || len(res.Warnings) != c.warnings {
			t.Errorf("%s: %+v, %v", name, parsed, res)
		}
	}
}

// TestClientProperties maps the Java names of a worker's properties.
func TestClientProperties(t *testing.T) {
	got, ignored := ClientProperties(map[string]string{
		"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": `x.ScramLoginModule required username="u" password="p";`,
		"ssl.truststore.location": "/ca.pem", "ssl.keystore.location": "/k.jks", "acks": "1", "compression.type": "LZ4", "buffer.memory": "33554432", "nosuch": "x", "delivery.timeout.ms": "5",
	})
	want := map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p", "ssl.ca.location": "/ca.pem",
		"compression.type": "lz4", "queue.buffering.max.kbytes": "32768"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"acks", "nosuch", "ssl.keystore.location"}, ignored); diff != "" {
		t.Error(diff)
	}
}
