package converter

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/rowmesh/rowmesh/services/errs"
)

// authOf returns the credentials for a registry's URL by basic.auth.* and bearer.auth.*, which may stand with and without schema.registry. in front.
func authOf(o options) (func(*url.URL) []sr.ClientOpt, error) {
	source := strings.ToUpper(o.either("basic.auth.credentials.source", "URL"))
	info := o.either("basic.auth.user.info", "")
	if token := o.either("bearer.auth.token", ""); token != "" {
		return func(*url.URL) []sr.ClientOpt { return []sr.ClientOpt{sr.BearerToken(token)} }, nil
	}
	switch source {
	case "URL":
		return func(u *url.URL) []sr.ClientOpt {
			if u.User == nil {
				return nil
			}
			password, _ := u.User.Password()
			return []sr.ClientOpt{sr.BasicAuth(u.User.Username(), password)}
		}, nil
	case "USER_INFO":
		user, password, ok := strings.Cut(info, ":")
		if !ok {
			return nil, o.invalid("basic.auth.user.info", "basic.auth.credentials.source=USER_INFO needs a user and a password with a colon between")
		}
		return func(*url.URL) []sr.ClientOpt { return []sr.ClientOpt{sr.BasicAuth(user, password)} }, nil
	}
	return nil, o.invalid("basic.auth.credentials.source", "%s is not supported; use USER_INFO with basic.auth.user.info, or URL", source)
}

// either reads an option that may have schema.registry. in front, which wins.
func (o options) either(option, otherwise string) string {
	return o.get("schema.registry."+option, o.get(option, otherwise))
}

// tlsOf returns the TLS configuration by schema.registry.ssl.*: certificates in PEM. nil means the system's.
func tlsOf(o options) (*tls.Config, error) {
	ssl := o.under("schema.registry.ssl.")
	if len(ssl.of) == 0 {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	trust, err := ssl.pem("truststore", "truststore.certificates")
	if err != nil {
		return nil, err
	}
	if trust != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(trust)) {
			return nil, ssl.invalid("truststore.location", "there is no certificate in it")
		}
	}
	chain, err := ssl.pem("keystore", "keystore.certificate.chain")
	if err != nil {
		return nil, err
	}
	if chain != "" {
		cert, err := tls.X509KeyPair([]byte(chain), []byte(ssl.get("keystore.key", chain)))
		if err != nil {
			return nil, ssl.invalid("keystore.location", "%w; it must hold the certificates and the key, not encrypted, in PEM", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	if algorithm, given := ssl.of["endpoint.identification.algorithm"]; given && strings.TrimSpace(algorithm) == "" {
		skipHostName(cfg)
	}
	return cfg, nil
}

// skipHostName goes on checking that the server's certificate is signed by who may, but not that it names the host.
func skipHostName(cfg *tls.Config) {
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: between})
		return err
	}
}

// pem returns what a store holds: the text of an option, or of the file that its location names.
func (o options) pem(store, inline string) (string, error) {
	if text := o.get(inline, ""); text != "" {
		return text, nil
	}
	path := o.get(store+".location", "")
	if path == "" {
		return "", nil
	}
	if kind := strings.ToUpper(o.get(store+".type", "")); kind != "PEM" && !strings.HasSuffix(path, ".pem") && !strings.HasSuffix(path, ".crt") {
		return "", o.invalid(store+".location", "a Java key store cannot be read: convert it to PEM (keytool -exportcert -rfc) and set %s to PEM", o.name(store+".type"))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", errs.E(errs.Invalid, "%s: %w", o.name(store+".location"), err)
	}
	return string(b), nil
}
