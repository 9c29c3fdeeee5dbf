package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// adviser is an authority that does nothing but say when to renew.
func adviser(t *testing.T, start, end time.Time) *stock {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	directory := map[string]string{"newNonce": server.URL + "/n", "newAccount": server.URL + "/a", "newOrder": server.URL + "/o"}
	if !start.IsZero() {
		directory["renewalInfo"] = server.URL + "/renewal"
	}
	mux.HandleFunc("/dir", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(directory)
	})
	mux.HandleFunc("/renewal/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7200")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"suggestedWindow": map[string]time.Time{"start": start, "end": end}})
	})
	l := newLibrary()
	t.Cleanup(l.close)
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	// Its directory is remembered by URL, and ports come again.
	s := newStock(&link.Issuance{CA: server.URL + "/dir?" + strings.ReplaceAll(t.Name(), "/", "-"), Roots: roots, KeyType: "p256", Directory: t.TempDir()}, l, &prover{})
	t.Cleanup(s.issuer.http.CloseIdleConnections)
	return s
}

// TestAdvice: what an authority says about renewal is followed where it makes sense,
// and asked for again when it says so.
func TestAdvice(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: now, NotAfter: now.Add(90 * 24 * time.Hour), AuthorityKeyId: []byte{1, 2, 3}, DNSNames: []string{"a.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	for what, test := range map[string]struct {
		start, end time.Duration // from now
		followed   bool
		again      time.Duration
	}{
		"in time":                     {58 * day, 60 * day, true, 2 * time.Hour},
		"at once":                     {-2 * day, -day, true, 2 * time.Hour},
		"too late":                    {91 * day, 92 * day, false, 2 * time.Hour},
		"any time":                    {-100 * day, 100 * day, false, 2 * time.Hour},
		"it does not know about that": {0, 0, false, day},
	} {
		t.Run(what, func(t *testing.T) {
			var start time.Time
			if test.start != test.end {
				start = now.Add(test.start)
			}
			s := adviser(t, start, now.Add(test.end))
			at, again, err := s.advice(context.Background(), "a.example.com", leaf, now)
			if err != nil {
				t.Fatal(err)
			}
			if test.followed == at.IsZero() || test.followed && (at.Before(start) || at.After(now.Add(test.end))) {
				t.Errorf("renewal at %v, want it between %v and %v: %v", at, test.start, test.end, test.followed)
			}
			if off := again.Sub(now.Add(test.again)); off < 0 || off > time.Minute {
				t.Errorf("asked again at %v", again)
			}
			if got := s.advised("a.example.com", leaf); got != test.followed {
				t.Errorf("the order names the certificate that it replaces: %v", got)
			}
		})
	}
}
