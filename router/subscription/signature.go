package subscription

import (
	"crypto"
	_ "crypto/md5" // a digest that somebody's instances may still use
	"crypto/rsa"
	_ "crypto/sha1" // the same
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Signatures are the public keys of those who may announce nodes: for each key of
// the table a file of its own.
type Signatures struct {
	Digest    crypto.Hash
	Keys      map[string]*rsa.PublicKey // by name of the file, without ".pem"
	Tolerance time.Duration             // how far a sender's clock may be off
}

var digests = map[string]crypto.Hash{
	"MD5": crypto.MD5, "SHA1": crypto.SHA1, "SHA224": crypto.SHA224,
	"SHA256": crypto.SHA256, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512,
}

// ParseDigest reads a digest as OpenSSL calls it: SHA256.
func ParseDigest(name string) (crypto.Hash, error) {
	h, ok := digests[strings.ReplaceAll(strings.ToUpper(name), "-", "")]
	if !ok {
		return 0, fmt.Errorf("digest %q, want SHA256, SHA384, SHA512, SHA224, SHA1 or MD5", name)
	}
	return h, nil
}

// ParseKey reads the content of a public key's file.
func ParseKey(content []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("no PEM block, want -----BEGIN PUBLIC KEY-----")
	}
	if block.Type == "RSA PUBLIC KEY" {
		return x509.ParsePKCS1PublicKey(block.Bytes)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", block.Type, err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T, want RSA", key)
	}
	return public, nil
}

// fileName is uWSGI's: what could be part of a path is an underscore.
func fileName(key string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', c == '.', c == '-', c == '_':
			return c
		}
		return '_'
	}, key)
}

// check tells why the packet is not to be believed. What costs little comes first.
func (s *Signatures) check(p *Packet, now time.Time) error {
	key := s.Keys[fileName(p.Key)]
	switch {
	case len(p.signature) == 0:
		return errors.New("it is not signed")
	case key == nil:
		return fmt.Errorf("there is no %s.pem", fileName(p.Key))
	case now.Sub(time.Unix(p.Unix, 0)).Abs() > s.Tolerance:
		return errors.New("it was made at another time (a replay, or a clock that is wrong)")
	}
	h := s.Digest.New()
	h.Write(p.signed)
	if err := rsa.VerifyPKCS1v15(key, s.Digest, h.Sum(nil), p.signature); err != nil {
		return errors.New("the signature is not of its key")
	}
	return nil
}
