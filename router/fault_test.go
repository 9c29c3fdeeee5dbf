package router

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"emperor/internal/link"
	"emperor/router/socket"
)

// faulty is a client's connection on which our own code fails: reading beyond so
// many bytes, or writing.
type faulty struct {
	*socket.Conn
	reads  atomic.Int64 // bytes until a read fails
	writes atomic.Int64 // writes until one fails
}

func (f *faulty) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if f.reads.Add(-int64(n)) < 0 {
		panic("a fault while reading")
	}
	return n, err
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.writes.Add(-1) < 0 {
		panic("a fault while writing")
	}
	return f.Conn.Write(b)
}

func (f *faulty) NetConn() net.Conn { return f.Conn }

// visitFaulty connects to the front through a connection that fails in our hands.
func (f *front) visitFaulty(t *testing.T, reads, writes int64) *visitor {
	t.Helper()
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := f.poller.Listen(descriptor(t, listening))
	if err != nil {
		t.Fatal(err)
	}
	visitor := visit(t, listening.Addr())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = l.Close(), listening.Close()
	c := newClient(f.Router, &listener{}, conn)
	bad := &faulty{Conn: conn}
	bad.reads.Store(reads)
	bad.writes.Store(writes)
	c.conn = bad
	f.serveClient(c, false)
	return visitor
}

// TestFaultOfOurs: a panic costs one connection, wherever it happens; no
// generation stays pinned, no gate shut, no connection to the vassal forgotten.
func TestFaultOfOurs(t *testing.T) {
	const many = 1 << 40
	upload := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 500_000)
	for _, test := range []struct {
		name, request string
		reads, writes int64
	}{
		{"while a body is collected", upload, 1000, many},
		{"while a body is sent", upload, 100_000, many},
		{"while a response is relayed", get("a"), many, 0},
		{"while a response is relayed beside a body", upload, many, 0},
		{"in a tunnel, upwards", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 0, many},
		{"in a tunnel, downwards", "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", many, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			both(t, func(c *call) {
				switch {
				case strings.Contains(c.vars["PATH_INFO"]+c.head, "/ws"):
					c.say("HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n")
					c.hangUp = true
					for {
						if _, err := c.in.ReadByte(); err != nil {
							return
						}
						c.say("hello")
					}
				case c.length > 0:
					c.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
					c.readBody()
				default:
					c.say(okResponse)
				}
			}, func(t *testing.T, f *front, v *vassal) {
				test := test
				good := f.visit()
				good.wantAlive("a")
				visitor := f.visitFaulty(t, test.reads, test.writes)
				if strings.HasPrefix(test.name, "in a tunnel") {
					visitor.send(test.request)
					visitor.receive("GET")
					test.request = ""
				}
				if _, err := visitor.Write([]byte(test.request + "more")); err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken") {
					t.Error(err)
				}
				eventually(t, "the connection to end", func() bool { return f.Count().Connections == 1 && f.Count().InFlight == 0 })
				if !strings.Contains(f.log.String(), "internal error while serving a request") {
					t.Error("the log says nothing of the fault")
				}
				s := f.table.site("v")
				if n := s.current.Load().inFlight.Load(); n != 0 || s.gate.state.Load() != 0 {
					t.Errorf("%d requests are pinned, the gate's state is %d", n, s.gate.state.Load())
				}
				good.wantAlive("a")
				f.vassals(row("v", 2, link.Ready, v))
				f.Drained("v", 2, nil)
				eventually(t, "no connection to the vassal", func() bool {
					v.mu.Lock()
					defer v.mu.Unlock()
					return len(v.conns) == 0
				})
				f.wantIdle(t)
			}, "http-limit-vassal = 5", "http-compress = gzip", "http-log = /dev/null")
		})
	}
}

// TestFaultInAnAnswer: an answer that ends with its connection does not look whole
// when a fault of ours has ended it.
func TestFaultInAnAnswer(t *testing.T) {
	began := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		c.say("HTTP/1.1 200 OK\r\n\r\nhalf")
		<-began
		c.say("the rest")
	})
	f := newFront(t, "http-to = "+v.address)
	visitor := f.visitFaulty(t, 1<<40, 1)
	visitor.send("GET / HTTP/1.0\r\n\r\n")
	if _, err := visitor.read(len("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")); err != nil {
		t.Fatal(err)
	}
	close(began)
	if text, err := io.ReadAll(visitor.in); err == nil {
		t.Errorf("the answer looks whole, with %q as its end", text)
	}
}
