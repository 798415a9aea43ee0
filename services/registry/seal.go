package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"github.com/rowmesh/rowmesh/services/errs"
)

// sealer encrypts configs: 12 random bytes of nonce, then AES-256-GCM with the connector's name as additional data, so that a sealed config can
// neither be read in etcd nor be put under another name. Random nonces are safe for 2^32 configs per key (NIST SP 800-38D, 8.3).
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != 32 {
		return nil, errs.E(errs.Invalid, "mesh key has %d bytes, want 32; make one with: openssl rand 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errs.E(errs.Internal, "mesh key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, errs.E(errs.Internal, "mesh key: %w", err)
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(name string, plain []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce) // crypto/rand.Read never fails (Go 1.24)
	return s.aead.Seal(nonce, nonce, plain, []byte(name))
}

func (s *sealer) open(name string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errs.E(errs.Corrupt, "sealed config of connector %s has %d bytes, too few for its nonce; store the config again", name, len(sealed))
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(name))
	if err != nil {
		return nil, errs.E(errs.Denied, "config of connector %s is sealed with another mesh key; give this process the key of the mesh or store the config again", name)
	}
	return plain, nil
}
