package converter

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rowmesh/rowmesh/services/errs"
)

// TestTLS: a registry is trusted by the certificates that are named, and by its name unless that is not asked for.
func TestTLS(t *testing.T) {
	fake := newFakeRegistry(t)
	server := httptest.NewTLSServer(fake.Config.Handler)
	defer server.Close()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	file := filepath.Join(t.TempDir(), "trust.pem")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The certificate names 127.0.0.1 and example.com, not localhost.
	elsewhere := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, c := range []struct {
		name, url string
		options   []string
		want      string
	}{
		{"nothing named", server.URL, nil, "certificate"},
		{"a file", server.URL, []string{"schema.registry.ssl.truststore.location=" + file, "schema.registry.ssl.truststore.type=PEM"}, ""},
		{"a text", server.URL, []string{"schema.registry.ssl.truststore.certificates=" + text}, ""},
		{"another name", elsewhere, []string{"schema.registry.ssl.truststore.location=" + file}, "localhost"},
		{"any name", elsewhere, []string{"schema.registry.ssl.truststore.location=" + file, "schema.registry.ssl.endpoint.identification.algorithm="}, ""},
		{"any name, nobody trusted", elsewhere, []string{"schema.registry.ssl.endpoint.identification.algorithm="}, "certificate"},
	} {
		conv := newConverter(t, Value, "avro", append(c.options, "schema.registry.url="+c.url, "max.retries=0")...)
		_, _, err := conv.Append(nil, "t", nil, numbers(person("a"), 1))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || errs.KindOf(err) != errs.Unavailable) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
