package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"emperor/internal/testcert"
)

// below is the connection that TLS is spoken on.
func below(c peer) *net.TCPConn { return c.(*tls.Conn).NetConn().(*net.TCPConn) }

// TestEndsOfTLS: with and without a goodbye. What was cut off is told from what has
// ended, because to a server behind that knows nothing of TLS it would look the same.
func TestEndsOfTLS(t *testing.T) {
	for name, test := range map[string]struct {
		play   func(*testing.T, *route)
		want   string
		broken error
	}{
		"an end and no goodbye": {play: func(t *testing.T, r *route) {
			check(t, below(r.visitor).CloseWrite())
			expectEnd(t, r.server)
			send(t, r.server, "answer")
			check(t, r.server.Close())
			expect(t, r.visitor, "answer")
			expectEnd(t, r.visitor)
		}, want: ClientClosed},
		"cut off in a record": {play: func(t *testing.T, r *route) {
			send(t, below(r.visitor), "\x17\x03\x03\x00\x99 of this there is more")
			check(t, below(r.visitor).CloseWrite())
		}, want: ClientFailed, broken: io.ErrUnexpectedEOF},
		"cut off in the head of a record": {play: func(t *testing.T, r *route) {
			send(t, below(r.visitor), "\x17\x03")
			check(t, below(r.visitor).CloseWrite())
		}, want: ClientFailed, broken: io.ErrUnexpectedEOF},
		"a reset after the goodbye, while the upstream is silent": {play: func(t *testing.T, r *route) {
			check(t, r.visitor.CloseWrite())
			expectEnd(t, r.server)
			reset(t, r.visitor)
		}, want: ClientReset, broken: syscall.ECONNRESET},
		"the upstream cut off in a record": {play: func(t *testing.T, r *route) {
			c, ok := r.server.(*tls.Conn)
			if !ok {
				c = r.visitor.(*tls.Conn)
			}
			send(t, c.NetConn().(peer), "\x17\x03\x03")
			check(t, c.NetConn().Close())
		}, broken: io.ErrUnexpectedEOF},
	} {
		for _, k := range kinds {
			if !k.secure() {
				continue
			}
			t.Run(name+"/"+k.name, func(t *testing.T) {
				r := newMachine(t).connect(t, k)
				_, done := r.run(t, Options{})
				send(t, r.visitor, "words")
				expect(t, r.server, "words")
				test.play(t, r)
				want := test.want
				if want == "" {
					want = map[bool]string{true: UpstreamFailed, false: ClientFailed}[k.beyond]
				}
				got := result(t, done)
				if got.Reason != want || !errors.Is(got.Err, test.broken) {
					t.Errorf("ended with %q, %v; want %q, %v", got.Reason, got.Err, want, test.broken)
				}
			})
		}
	}
}

// TestResetWhileAnswered: the kernel tells of a reset once. Where the answer's
// direction hears of it, the other reads an end, which must not pass for one.
func TestResetWhileAnswered(t *testing.T) {
	for _, k := range kinds {
		if k.client == 0 || k.beyond {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			m := newMachine(t)
			for range 20 {
				r := m.connect(t, k)
				_, done := r.run(t, Options{})
				var talking sync.WaitGroup
				talking.Go(func() {
					for words := strings.Repeat("answer ", 100); ; {
						if _, err := io.WriteString(r.server, words); err != nil {
							return
						}
					}
				})
				go func() { _, _ = io.Copy(io.Discard, r.server) }()
				expect(t, r.visitor, "answer ")
				send(t, r.visitor, "of this there is more")
				reset(t, r.visitor)
				got := result(t, done)
				talking.Wait()
				if got.Reason != ClientReset || !errors.Is(got.Err, syscall.ECONNRESET) {
					t.Fatalf("ended with %q, %v; want %q", got.Reason, got.Err, ClientReset)
				}
			}
		})
	}
}

// TestGoodbyeBeforeReset: what was said to its end counts, whatever is answered
// meanwhile to a client that has left.
func TestGoodbyeBeforeReset(t *testing.T) {
	for _, k := range kinds {
		if k.client == 0 || k.beyond {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			r := newMachine(t).connect(t, k)
			_, done := r.run(t, Options{})
			send(t, r.server, "answer")
			expect(t, r.visitor, "answer")
			send(t, r.visitor, "last words")
			check(t, r.visitor.CloseWrite())
			reset(t, r.visitor)
			expect(t, r.server, "last words")
			_, _ = io.WriteString(r.server, strings.Repeat("unwanted", 10_000))
			check(t, r.server.Close())
			if got := result(t, done); got.FromClient != int64(len("last words")) {
				t.Errorf("ended with %+v", got)
			}
		})
	}
}

// piped is an end of a net.Pipe that can be aborted, and ended in one direction as far
// as TLS is concerned.
type piped struct{ net.Conn }

func (p piped) Abort() { _ = p.Close() }

// TestSilenceAfterGoodbye: a client that has said all, or was told all, is waited for
// like any other.
func TestSilenceAfterGoodbye(t *testing.T) {
	pair := testcert.SelfSigned(t, testcert.Wanted{Names: []string{"relay.test"}})
	for name, end := range map[string]func(visitor *tls.Conn, server *mouth) error{
		"the client's":   func(visitor *tls.Conn, _ *mouth) error { return visitor.CloseWrite() },
		"the upstream's": func(_ *tls.Conn, server *mouth) error { close(server.said); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far, near := net.Pipe()
				client := tls.Server(piped{near}, &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}})
				visitor := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
				server := newMouth()
				var reading sync.WaitGroup
				reading.Go(func() {
					handshake(t, visitor)
					if err := end(visitor, server); err != nil {
						t.Error(err)
					}
					_, _ = io.Copy(io.Discard, visitor)
				})
				handshake(t, client)
				began := time.Now()
				got := New(client, server, Options{Idle: 10 * time.Minute}).Run()
				if took := time.Since(began); got.Reason != Idle || took != 10*time.Minute {
					t.Errorf("%q after %v, want %q after 10 minutes", got.Reason, took, Idle)
				}
				_ = far.Close()
				reading.Wait()
			})
		})
	}
}
