package relay

import (
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// reset throws a connection away, below TLS.
func reset(t *testing.T, c peer) {
	t.Helper()
	for {
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = wrapper.NetConn().(peer)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestEndings: who ends how, what the other one still gets, and what is said of it.
func TestEndings(t *testing.T) {
	for _, test := range []struct {
		name string
		// plain: only without TLS, whose peers have no half-close, and tcp: only where
		// there are resets.
		plain, tcp bool
		play       func(*testing.T, *Relay, *route)
		want       string
		broken     error
		up, down   string
	}{
		{name: "client half-closes and is answered", play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.visitor, "question")
			check(t, r.visitor.CloseWrite())
			expect(t, r.server, "question")
			expectEnd(t, r.server)
			send(t, r.server, "answer")
			check(t, r.server.Close())
			expect(t, r.visitor, "answer")
			expectEnd(t, r.visitor)
		}, want: ClientClosed, up: "question", down: "answer"},
		{name: "upstream half-closes and is told more", play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.server, "greeting")
			check(t, r.server.CloseWrite())
			expect(t, r.visitor, "greeting")
			expectEnd(t, r.visitor)
			send(t, r.visitor, "late words")
			check(t, r.visitor.CloseWrite())
			expect(t, r.server, "late words")
			expectEnd(t, r.server)
		}, want: UpstreamClosed, up: "late words", down: "greeting"},
		{name: "client closes", play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.visitor, "bye")
			check(t, r.visitor.Close())
			expect(t, r.server, "bye")
			expectEnd(t, r.server)
			check(t, r.server.Close())
		}, want: ClientClosed, up: "bye"},
		{name: "upstream closes", play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.server, "bye")
			check(t, r.server.Close())
			expect(t, r.visitor, "bye")
			expectEnd(t, r.visitor)
			check(t, r.visitor.Close())
		}, want: UpstreamClosed, down: "bye"},
		{name: "client resets", tcp: true, play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.visitor, "x")
			expect(t, r.server, "x")
			reset(t, r.visitor)
		}, want: ClientReset, broken: syscall.ECONNRESET, up: "x"},
		{name: "upstream resets", tcp: true, play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.server, "x")
			expect(t, r.visitor, "x")
			reset(t, r.server)
		}, want: UpstreamReset, broken: syscall.ECONNRESET, down: "x"},
		{name: "client resets right after its words", tcp: true, plain: true, play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.visitor, "last words")
			reset(t, r.visitor)
			expect(t, r.server, "last words")
		}, want: ClientReset, broken: syscall.ECONNRESET, up: "last words"},
		{name: "upstream resets after its end", tcp: true, plain: true, play: func(t *testing.T, _ *Relay, r *route) {
			send(t, r.server, "x")
			check(t, r.server.CloseWrite())
			expect(t, r.visitor, "x")
			expectEnd(t, r.visitor)
			reset(t, r.server)
		}, want: UpstreamReset, broken: syscall.EPIPE, down: "x"},
		{name: "stopped", play: func(t *testing.T, relay *Relay, r *route) {
			send(t, r.visitor, "x")
			expect(t, r.server, "x")
			relay.Stop("drained")
			relay.Stop("again")
		}, want: "drained", up: "x"},
	} {
		for _, k := range kinds {
			if test.plain && k.secure() || test.tcp && k.network != "tcp" {
				continue
			}
			t.Run(test.name+"/"+k.name, func(t *testing.T) {
				r := newMachine(t).connect(t, k)
				relay, done := r.run(t, Options{})
				test.play(t, relay, r)
				got := result(t, done)
				if got.Reason != test.want || !errors.Is(got.Err, test.broken) {
					t.Errorf("ended with %q, %v; want %q, %v", got.Reason, got.Err, test.want, test.broken)
				}
				if got.FromClient != int64(len(test.up)) || got.FromUpstream != int64(len(test.down)) {
					t.Errorf("carried %d up and %d down, want %d and %d", got.FromClient, got.FromUpstream, len(test.up), len(test.down))
				}
			})
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHeaderAndEarlyBytesComeFirst: in one piece, and the header is not the client's.
func TestHeaderAndEarlyBytesComeFirst(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r := newMachine(t).connect(t, k)
			early := strings.Repeat("hello ", 1000)
			send(t, r.visitor, "more")
			relay, done := r.run(t, Options{Header: []byte("PROXY UNKNOWN\r\n"), Early: []byte(early)})
			expect(t, r.server, "PROXY UNKNOWN\r\n"+early+"more")
			check(t, r.visitor.Close())
			expectEnd(t, r.server)
			check(t, r.server.Close())
			if got := result(t, done); got.FromClient != int64(len(early)+4) || relay.FromClient() != got.FromClient {
				t.Errorf("carried %d, want the client's %d", got.FromClient, len(early)+4)
			}
		})
	}
}

// TestWhatWasReportedBefore: bytes that came before the Relay, and of which whoever
// read others was told.
func TestWhatWasReportedBefore(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r := newMachine(t).connect(t, k)
			send(t, r.visitor, "1234")
			send(t, r.server, "5678")
			expect(t, r.client, "12")
			expect(t, r.upstream, "56")
			r.run(t, Options{})
			expect(t, r.server, "34")
			expect(t, r.visitor, "78")
		})
	}
}

// TestStopBeforeRun: a router that is told to stop while the upstream is dialled.
func TestStopBeforeRun(t *testing.T) {
	r := newMachine(t).connect(t, kinds[0])
	relay := New(r.client, r.upstream, Options{})
	relay.Stop("drained")
	if got := relay.Run(); got.Reason != "drained" || got.Err != nil {
		t.Errorf("ended with %+v", got)
	}
}

// TestGoodbyeAfterStop: a client behind TLS that is cut off is told that it was not
// by an attacker.
func TestGoodbyeAfterStop(t *testing.T) {
	r := newMachine(t).connect(t, kinds[2])
	relay, done := r.run(t, Options{})
	send(t, r.server, "x")
	expect(t, r.visitor, "x")
	relay.Stop("drained")
	result(t, done)
	expectEnd(t, r.visitor)
}

// TestNobodyReads: what stands still because one side takes nothing more is stopped
// nevertheless.
func TestNobodyReads(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r := newMachine(t).connect(t, k)
			relay, done := r.run(t, Options{Idle: 200 * time.Millisecond})
			sent := make(chan error, 1)
			go func() {
				_, err := r.visitor.Write(make([]byte, 32<<20))
				sent <- err
			}()
			got := result(t, done)
			if err := <-sent; err == nil {
				t.Error("32 MiB were taken that nobody reads")
			}
			if got.Reason != Idle || got.FromClient != relay.FromClient() {
				t.Errorf("ended with %+v", got)
			}
		})
	}
}

// TestUpstreamDecides: as over a websocket, the upstream's end is the end of all, but
// all it said arrives; the client's end gives it some time.
func TestUpstreamDecides(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			var heard atomic.Uint64
			r := newMachine(t).connect(t, k)
			_, done := r.run(t, Options{UpstreamDecides: true, Heard: &heard})
			send(t, r.visitor, "question")
			expect(t, r.server, "question")
			answer := strings.Repeat("answer ", 100_000)
			var sending sync.WaitGroup
			sending.Go(func() {
				send(t, r.server, answer)
				check(t, r.server.Close())
			})
			expect(t, r.visitor, answer)
			expectEnd(t, r.visitor)
			sending.Wait()
			if got := result(t, done); got.Reason != UpstreamClosed || got.FromUpstream != int64(len(answer)) || heard.Load() == 0 {
				t.Errorf("ended with %+v, heard %d pieces", got, heard.Load())
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		client, server := newMouth(), newMouth()
		began := time.Now()
		close(client.said)
		got := New(client, server, Options{UpstreamDecides: true, Grace: 10 * time.Second}).Run()
		if took := time.Since(began); got.Reason != Idle || took != 10*time.Second {
			t.Errorf("%q after %v, want %q after the grace", got.Reason, took, Idle)
		}
	})
}
