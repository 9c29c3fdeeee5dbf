package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// TestThousandSwaps: a thousand pairs take each other's place, key first and certificate
// after, while clients connect without pause, with full handshakes and by tickets: none
// fails, none sees a certificate older than one that was seen before, and the last pair
// is what stays.
func TestThousandSwaps(t *testing.T) {
	t.Parallel()
	const swaps = 1000
	m := newMachine(t)
	if err := os.MkdirAll(m.path("names"), 0o700); err != nil {
		t.Fatal(err)
	}
	certificates, keys := make([]string, swaps+1), make([]string, swaps+1)
	for i := range certificates {
		certificates[i], keys[i] = pair(t, int64(i+1), "one.test")
	}
	m.certify("default", swaps+2, "default.test")
	swap := func(i int) {
		m.put(m.path("names/one.test.key"), keys[i])
		m.put(m.path("names/one.test.crt"), certificates[i])
	}
	swap(0)
	m.write("main.ini", "[uwsgi]\nhttps = 127.0.0.1:PORT,DIR/default.crt,DIR/default.key\nsni-dir = DIR/names\nroute-run = return:204\n")
	m.start("main.ini")
	m.waitReady()
	if got, err := m.shown("one.test"); got != 1 {
		t.Fatalf("certificate %d, %v", got, err)
	}

	var done atomic.Bool
	var full, resumed, seen atomic.Int64
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			config := &tls.Config{ServerName: "one.test", InsecureSkipVerify: true}
			if i%2 == 0 {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			for !done.Load() {
				before := seen.Load()
				conn, err := tls.Dial("tcp", m.address(), config)
				if err != nil {
					t.Error(err)
					return
				}
				// An answer, as a client may find out only then that it was refused; and the
				// ticket comes with it.
				_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
				if err == nil {
					_, err = conn.Read(make([]byte, 1))
				}
				state := conn.ConnectionState()
				_ = conn.Close()
				if err != nil {
					t.Error(err)
					return
				}
				if state.DidResume {
					resumed.Add(1)
					continue // the certificate is that of the session
				}
				full.Add(1)
				serial := state.PeerCertificates[0].SerialNumber.Int64()
				if serial < before {
					t.Errorf("certificate %d, after %d had been seen", serial, before)
				}
				for now := seen.Load(); now < serial && !seen.CompareAndSwap(now, serial); now = seen.Load() {
				}
			}
		})
	}
	for i := 1; i <= swaps && !t.Failed(); i++ {
		swap(i)
		m.eventually("a handshake", func() bool { return t.Failed() || full.Load()+resumed.Load() >= int64(i) })
	}
	m.eventually("the last pair", func() bool { got, _ := m.shown("one.test"); return got == swaps+1 })
	done.Store(true)
	clients.Wait()
	if full.Load() == 0 || resumed.Load() == 0 {
		t.Errorf("%d full handshakes, %d resumed", full.Load(), resumed.Load())
	}
	t.Logf("%d full handshakes, %d resumed", full.Load(), resumed.Load())
}
