package keystore

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// password is that of all stores of testdata, which keytool and openssl made. trust.* hold one authority, key.* the key of "client" and its chain.
const password = "secret1"

func TestCertificates(t *testing.T) {
	for _, file := range []string{"trust.pem", "trust.jks", "trust.p12", "key.p12", "key.jks"} {
		got, err := Certificates(filepath.Join("testdata", file), password)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		want := "test-ca"
		if strings.HasPrefix(file, "key") {
			want = "client"
		}
		if got[0].Subject.CommonName != want {
			t.Errorf("%s: %s, want %s", file, got[0].Subject, want)
		}
	}
}

func TestKeyPair(t *testing.T) {
	authorities, err := Certificates("testdata/trust.pem", "")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authorities[0])
	for _, file := range []string{"key.pem", "key.jks", "key.p12"} {
		got, err := KeyPair(filepath.Join("testdata", file), password)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		leaf, err := x509.ParseCertificate(got.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil || got.PrivateKey == nil {
			t.Errorf("%s: %v, key %T", file, err, got.PrivateKey)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	jksBytes, err := os.ReadFile("testdata/trust.jks")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, password, want string
		pair                       bool
	}{
		{"nothing there", filepath.Join(dir, "no.jks"), password, "no such file", false},
		{"a text", write("text", "hello"), password, "neither PEM nor a JKS or PKCS12", false},
		{"empty", write("empty", ""), password, "neither PEM nor a JKS or PKCS12", false},
		{"large", write("large", strings.Repeat("x", maxFile+1)), password, "larger than", false},
		{"JCEKS", "testdata/key.jceks", password, "-deststoretype PKCS12", true},
		{"wrong password of JKS", "testdata/trust.jks", "other", "wrong password", false},
		{"no password of JKS", "testdata/trust.jks", "", "needs its password", false},
		{"wrong password of PKCS12", "testdata/trust.p12", "other", "wrong password", false},
		{"wrong password of a PKCS12 key", "testdata/key.p12", "other", "wrong password", true},
		{"cut JKS", write("cut.jks", string(jksBytes[:len(jksBytes)/2])), password, "broken file", false},
		{"no key in JKS", "testdata/trust.jks", password, "holds no private key", true},
		{"no key in PKCS12", "testdata/trust.p12", password, "PKCS12", true},
		{"no key in PEM", "testdata/trust.pem", "", "PEM", true},
		{"no certificate in PEM", write("key.pem", "-----BEGIN X-----\n-----END X-----\n"), "", "holds no certificate", false},
		{"encrypted PEM", "testdata/encrypted.pem", password, "encrypted", true},
		{"certificates that openssl packed", "testdata/certs-openssl.p12", password, "read from PEM", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.pair {
				_, err = KeyPair(c.file, c.password)
			} else {
				_, err = Certificates(c.file, c.password)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("got %v, want %q and the file", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func FuzzKeyPair(f *testing.F) {
	for _, name := range []string{"trust.pem", "trust.jks", "trust.p12", "key.jks", "key.pem"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := Certificates(file, password); err == nil && len(c) == 0 {
			t.Error("no certificate and no error")
		}
		if k, err := KeyPair(file, password); err == nil && k.PrivateKey == nil {
			t.Error("no key and no error")
		}
	})
}
