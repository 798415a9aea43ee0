package coordinator

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/services/config"
	"github.com/rowmesh/rowmesh/services/registry"
	"github.com/rowmesh/rowmesh/services/source"
)

// TestSourceNamesAgree reads the source of a config as the coordinator does and as those do who connect to it.
func TestSourceNamesAgree(t *testing.T) {
	file := filepath.Join(t.TempDir(), "db.properties")
	if err := os.WriteFile(file, []byte("host=DB.example\nport=3307\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROWMESH_TEST_HOST", "10.0.0.7")
	v := validator{secrets: config.Secrets{Roots: []string{filepath.Dir(file)}, Env: regexp.MustCompile("ROWMESH_TEST_.*")}}
	for _, c := range []struct{ host, port, want string }{
		{"db", "", "db:3306"},
		{"DB.Example", "3307", "db.example:3307"},
		{"db", "03306", "db:3306"},
		{"db", "+3308", "db:3308"},
		{"${file:" + file + ":host}", "${file:" + file + ":port}", "db.example:3307"},
		{"${env:ROWMESH_TEST_HOST}", "3306", "10.0.0.7:3306"},
	} {
		cfg := map[string]string{"connector.class": "MySql", "database.hostname": c.host, "database.user": "u", "database.server.id": "5", "topic.prefix": "p"}
		if c.port != "" {
			cfg["database.port"] = c.port
		}
		got, err := v.source(cfg)
		if err != nil || got != registry.SourceID(c.want) {
			t.Errorf("%q %q: got %s, %v, want %s", c.host, c.port, got, err, c.want)
		}
		parsed, res := v.secrets.Parse("c", cfg)
		if parsed == nil {
			t.Errorf("%q %q: %s", c.host, c.port, res.Message())
			continue
		}
		if id := source.FromConnector(parsed).ID(); id != got {
			t.Errorf("%q %q: connects to %s, is named %s", c.host, c.port, id, got)
		}
	}
}

// TestSecretsAreNotTold gives options references whose values are not valid there: what is said names the option and not the value.
func TestSecretsAreNotTold(t *testing.T) {
	t.Setenv("ROWMESH_TEST_SECRET", "hunter2")
	v := validator{secrets: config.Secrets{Env: regexp.MustCompile("ROWMESH_TEST_.*")}}
	cfg := map[string]string{"connector.class": "MySql", "database.hostname": "db", "database.user": "u", "database.server.id": "5", "topic.prefix": "p",
		"snapshot.mode": "${env:ROWMESH_TEST_SECRET}"}
	_, problems := v.validate(t.Context(), "c", cfg)
	text := strings.Join(append(problems, v.warnings("c", cfg)...), "\n")
	if !strings.Contains(text, "snapshot.mode") || strings.Contains(text, "hunter2") {
		t.Errorf("problems: %s", text)
	}
	t.Setenv("ROWMESH_TEST_HOST", "hunter3.invalid")
	cfg["database.hostname"], cfg["snapshot.mode"] = "${env:ROWMESH_TEST_HOST}", "initial"
	if _, problems := v.validate(t.Context(), "c", cfg); len(problems) != 1 || !strings.Contains(problems[0], "${env:ROWMESH_TEST_HOST}") || strings.Contains(problems[0], "hunter3") {
		t.Errorf("a host that does not exist: %s", problems)
	}
	cfg["database.port"] = "${env:ROWMESH_TEST_NONE}"
	if _, err := v.source(cfg); err == nil || !strings.Contains(err.Error(), "database.port") || !strings.Contains(err.Error(), "ROWMESH_TEST_NONE") {
		t.Errorf("a reference that leads nowhere: %v", err)
	}
}
