package router

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"

	"emperor/internal/testport"
)

// TestServedOnTheSpot: who accepts a connection carries it on himself where nothing has
// to be waited for, and nobody who comes after one that has to wait waits with it.
func TestServedOnTheSpot(t *testing.T) {
	passed := serveBehind(t, []string{"a.passed.test", "b.passed.test"}, parrot("from behind"))
	refused := serveBehind(t, nil, parrot("gone"))
	_ = refused.Close()
	f := newFront(t)
	f.secured("route-run = return:204", "stream-connect-timeout = 30",
		"route-sni = a.passed.test pass:"+passed.Addr().String(),
		"route-sni = b.passed.test pass:"+refused.Addr().String()+"|"+passed.Addr().String(),
		"route-sni = slow.test pass:"+testport.Silent(t))
	through := func(name string) {
		t.Helper()
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := talk(t, conn, "hello"); got != "from behind\nhello" {
			t.Errorf("%s: %q", name, got)
		}
	}
	idle := func() int {
		f.workers.mu.Lock()
		defer f.workers.mu.Unlock()
		return len(f.workers.idle)
	}
	before := idle()
	through("a.passed.test")
	if after := idle(); after != before {
		t.Errorf("%d idle workers after a stream, %d before it", after, before)
	}

	var waiting sync.WaitGroup
	defer waiting.Wait()
	for range 3 {
		conn, err := net.Dial("tcp", f.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() // before the wait
		waiting.Go(func() {
			_ = tls.Client(conn, &tls.Config{ServerName: "slow.test", InsecureSkipVerify: true}).Handshake()
		})
	}
	eventually(t, "three streams that wait", func() bool { return f.counters.streams.Load() == 3 })
	through("a.passed.test")
	through("b.passed.test") // the first of its addresses refuses
	if n := f.counters.streams.Load(); n < 3 {
		t.Errorf("%d streams, want those three that wait", n)
	}
}
