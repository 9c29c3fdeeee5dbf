package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startSecure is a front over TLS 1.3 that answers as the backend does, with Go's
// own TLS: it knows whether our client keeps to the protocol.
func startSecure(t *testing.T, key string, answer http.HandlerFunc) (address string) {
	t.Helper()
	pair, err := writePair(t.TempDir(), hostHTTP, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answer, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}}
	t.Cleanup(func() { server.Close() })
	go server.ServeTLS(listener, pair.certificate, pair.key)
	return listener.Addr().String()
}

func TestHandshakesAreMadeAndCounted(t *testing.T) {
	for _, key := range []string{keyECDSA, keyRSA} {
		for _, kind := range []string{handshakesFull, handshakesResumed} {
			t.Run(key+" "+kind, func(t *testing.T) {
				var problem atomic.Value
				address := startSecure(t, key, func(w http.ResponseWriter, r *http.Request) {
					if r.TLS.ServerName != hostHTTP || r.TLS.CipherSuite != suiteAES128 || r.Host != hostHTTP || !r.Close {
						problem.Store(fmt.Sprintf("name %q, suite %x, host %q", r.TLS.ServerName, r.TLS.CipherSuite, r.Host))
					}
					io.WriteString(w, backendBody)
				})
				result := something(t, loadPlan{Address: address, Host: hostHTTP, Path: "/", Connections: 2, Duration: 100 * time.Millisecond, Handshakes: kind}, handshakesWith)
				if result.Answered == 0 || result.Errors != 0 || result.Median == 0 || result.P99 < result.Median {
					t.Errorf("got %+v", result)
				}
				if said := problem.Load(); said != nil {
					t.Error(said)
				}
			})
		}
	}
}

func handshakesWith(t *testing.T, plan loadPlan) loadResult {
	t.Helper()
	h, err := newHandshaker(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for fd := range h.conns {
			rawClose(fd)
		}
		rawClose(int(h.poll))
	}()
	result, err := h.run()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Whoever answers something else, or does not resume, is not fast: it fails.
func TestHandshakesThatAreNotGoodAreErrors(t *testing.T) {
	address := startSecure(t, keyECDSA, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusBadGateway) })
	h, err := newHandshaker(loadPlan{Address: address, Host: hostHTTP, Path: "/", Connections: 1, Duration: time.Minute, Handshakes: handshakesFull})
	if err != nil {
		t.Fatal(err)
	}
	defer rawClose(int(h.poll))
	if _, err := h.run(); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("error is %v, want the answer in it", err)
	}
	if err := (&tlsClient{established: true, answer: []byte("HTTP/1.1 200 OK\r\n\r\n" + backendBody)}).complete(true); err == nil {
		t.Error("a session that was not resumed counts as resumed")
	}
}

// The report as nghttp2's h2load 1.52 writes it.
const h2loadReport = `starting benchmark...
Warm-up started for thread #0.
Main benchmark duration is started for thread #0.
progress: 8% of clients started

finished in 2.00s, 12877.50 req/s, 1.01MB/s
requests: 25755 total, 25819 started, 25755 done, 25750 succeeded, 3 failed, 2 errored, 0 timeout
status codes: 25750 2xx, 0 3xx, 0 4xx, 5 5xx
`

func TestParseH2load(t *testing.T) {
	l, err := parseH2load(h2loadReport)
	if want := (load{Requests: 25750, PerSecond: 12877.5, Errors: 5}); err != nil || l != want {
		t.Errorf("got %+v, %v, want %+v", l, err, want)
	}
	if _, err := parseH2load("h2load: could not connect\n"); err == nil {
		t.Error("no error for a report without figures")
	}
}
