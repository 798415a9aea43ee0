package cli

import (
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	if got := succeeds(t, "version"); !strings.HasPrefix(got, "rowmesh ") || len(strings.Fields(got)) != 2 {
		t.Errorf("got %q", got)
	}
}

// TestHelp looks for what a person must find in the help of each command.
func TestHelp(t *testing.T) {
	for args, words := range map[string][]string{
		"--help":                   {"coordinator", "capturer", "publisher", "standalone", "connector", "options", "plugins", "context", "rows", "version", "completion"},
		"connector --help":         {"create", "apply", "list", "get", "status", "describe", "edit", "pause", "resume", "stop", "restart", "delete", "offsets", "validate", "--server", "http://127.0.0.1:8083"},
		"connector create --help":  {"FILE", `"name"`, `"config"`, "standard input", "--server"},
		"connector status --help":  {"NAME"},
		"deadletter --help":        {"list", "replay", "--kafka", "--server"},
		"deadletter replay --help": {"NAME", "--superseded", "--clock-skew", "--dry-run", "keep, discard", "--mesh"},
		"rows --help":              {"--source", "--coordinator", "--capturer", "--tables", "--from", "latest, earliest, snapshot, or a token"},
		"standalone --help":        {"--kafka", "--data", "--rest", "--secret-roots", "--secret-env", "CONNECTOR.json"},
		"worker --help":            {"WORKER.properties", "--data", "--etcd", "--secret-roots"},
	} {
		got := succeeds(t, strings.Fields(args)...)
		for _, w := range words {
			if !strings.Contains(got, w) {
				t.Errorf("%s does not say %q:\n%s", args, w, got)
			}
		}
	}
	for _, role := range []string{"coordinator", "capturer", "publisher"} {
		r := rowmesh(t, "", role, "-help")
		for _, w := range []string{"-etcd", "-listen", "-tls-ca", "-key", "-secret-roots"} {
			if r.code != 0 || !strings.Contains(r.stderr, w) {
				t.Errorf("%s -help: exit code %d, does not say %q:\n%s", role, r.code, w, r.stderr)
			}
		}
	}
}

// TestBadCommandLines gives command lines that are wrong in themselves; no server is asked.
func TestBadCommandLines(t *testing.T) {
	for args, words := range map[string][]string{
		"nonsense":                                            {`unknown command "nonsense"`},
		"connector create":                                    {"accepts 1 arg"},
		"connector status a b":                                {"accepts 1 arg"},
		"connector create /no/such":                           {"/no/such", "no such file"},
		"rows --coordinator 127.1:1":                          {`"source" not set`},
		"rows --source db:3306":                               {"coordinator", "capturer"},
		"rows --source a --from !":                            {"coordinator", "capturer"},
		"rows --bogus":                                        {"--bogus"},
		"standalone /no/such.json":                            {"/no/such.json"},
		"coordinator -bogus":                                  {"coordinator", "bogus"},
		"publisher -log-level loud":                           {"log level", "loud"},
		"capturer -listen 0.0.0.0:0":                          {"0.0.0.0:0", "-tls-cert", "-insecure"},
		"coordinator -key /no/such":                           {"key of the mesh", "/no/such"},
		"coordinator -rest nowhere":                           {"listen", "nowhere"},
		"capturer -secret-env (":                              {"-secret-env"},
		"connector list --server ftp:":                        {"ftp"},
		"rows --source a:1 --capturer 127.0.0.1:1 --from ###": {"--from", "###", "latest, earliest, snapshot or a token"},
	} {
		t.Run(args, func(t *testing.T) {
			r := rowmesh(t, "", strings.Fields(args)...)
			refused(t, r, words...)
			if strings.Contains(r.stderr, "goroutine") {
				t.Error(r.stderr)
			}
		})
	}
}
