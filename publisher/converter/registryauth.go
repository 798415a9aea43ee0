package converter

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/rowmesh/rowmesh/services/keystore"
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

// tlsOf returns the TLS configuration by schema.registry.ssl.*; nil means the system's.
func tlsOf(o options) (*tls.Config, error) {
	ssl := o.under("schema.registry.ssl.")
	if len(ssl.of) == 0 {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if text := ssl.get("truststore.certificates", ""); text != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(text)) {
			return nil, ssl.invalid("truststore.certificates", "there is no certificate in it")
		}
	} else if file := ssl.get("truststore.location", ""); file != "" {
		certs, err := keystore.Certificates(file, ssl.get("truststore.password", ""))
		if err != nil {
			return nil, ssl.invalid("truststore.location", "%w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		for _, c := range certs {
			cfg.RootCAs.AddCert(c)
		}
	}
	if err := ssl.ownCertificate(cfg); err != nil {
		return nil, err
	}
	if algorithm, given := ssl.of["endpoint.identification.algorithm"]; given && strings.TrimSpace(algorithm) == "" {
		skipHostName(cfg)
	}
	return cfg, nil
}

// ownCertificate takes the certificate by which the registry knows us.
func (o options) ownCertificate(cfg *tls.Config) error {
	var cert tls.Certificate
	var err error
	option := "keystore.location"
	switch chain, file := o.get("keystore.certificate.chain", ""), o.get(option, ""); {
	case chain != "":
		option = "keystore.certificate.chain"
		cert, err = tls.X509KeyPair([]byte(chain), []byte(o.get("keystore.key", "")))
	case file != "":
		cert, err = keystore.KeyPair(file, o.get("key.password", o.get("keystore.password", "")))
	default:
		return nil
	}
	if err != nil {
		return o.invalid(option, "%w", err)
	}
	cfg.Certificates = []tls.Certificate{cert}
	return nil
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
