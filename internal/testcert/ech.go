package testcert

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"testing"
)

// ECH is a key with which a server reads encrypted ClientHellos (RFC 9849), and what
// clients have to know to encrypt theirs, its public name in it.
func ECH(t testing.TB, public string) (key tls.EncryptedClientHelloKey, configs []byte) {
	t.Helper()
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sized := func(text []byte) []byte { return append([]byte{byte(len(text) >> 8), byte(len(text))}, text...) }
	config := append([]byte{7, 0, 0x20}, sized(private.PublicKey().Bytes())...) // id, X25519
	config = append(config, sized([]byte{0, 1, 0, 1})...)                       // HKDF-SHA256 and AES-128
	config = append(append(config, 0, byte(len(public))), public...)            // names of any length
	config = append(config, 0, 0)                                               // no extensions
	config = append([]byte{0xfe, 0x0d}, sized(config)...)
	return tls.EncryptedClientHelloKey{Config: config, PrivateKey: private.Bytes(), SendAsRetry: true}, sized(config)
}
