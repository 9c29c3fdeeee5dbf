package router

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/router/uwsgi"
)

// vassal is a fake vassal: it takes requests apart, notes them and answers as its
// script says.
type vassal struct {
	address  string
	protocol string
	socket   net.Listener
	script   func(*call)
	accepted atomic.Int64

	mu    sync.Mutex
	seen  []*call           // guarded by mu
	conns map[net.Conn]bool // guarded by mu
	ended bool              // guarded by mu
	work  sync.WaitGroup
}

// call is one request as a vassal got it.
type call struct {
	net.Conn             // to answer on
	in                   *bufio.Reader
	modifier1, modifier2 byte
	head                 string   // HTTP: as it came
	names                []string // of variables or fields, in order
	vars                 map[string]string
	chunked              bool
	length               int64 // of the body; 0 when none was announced
	body                 []byte
	err                  error // reading the body failed
	number               int   // of this connection's requests, from 1
	hangUp               bool  // HTTP: close after this
}

// uwsgiVassal starts a vassal on a unix socket that speaks uwsgi.
func uwsgiVassal(t *testing.T, script func(*call)) *vassal {
	t.Helper()
	return newVassal(t, "uwsgi", "unix", filepath.Join(t.TempDir(), "v.sock"), script)
}

// httpVassal starts one that speaks HTTP.
func httpVassal(t *testing.T, script func(*call)) *vassal {
	t.Helper()
	return newVassal(t, "http", "unix", filepath.Join(t.TempDir(), "v.sock"), script)
}

func newVassal(t *testing.T, protocol, network, address string, script func(*call)) *vassal {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	v := &vassal{address: l.Addr().String(), protocol: protocol, socket: l, script: script, conns: map[net.Conn]bool{}}
	v.work.Go(v.run)
	t.Cleanup(v.stop)
	return v
}

// stop ends the vassal as a crash would: listener and connections.
func (v *vassal) stop() {
	_ = v.socket.Close()
	v.mu.Lock()
	v.ended = true
	for c := range v.conns {
		_ = c.Close()
	}
	v.mu.Unlock()
	v.work.Wait()
}

func (v *vassal) run() {
	for {
		conn, err := v.socket.Accept()
		if err != nil {
			return
		}
		v.accepted.Add(1)
		v.mu.Lock()
		if v.ended {
			_ = conn.Close()
		}
		v.conns[conn] = true
		v.mu.Unlock()
		v.work.Go(func() {
			defer func() {
				_ = conn.Close()
				v.mu.Lock()
				delete(v.conns, conn)
				v.mu.Unlock()
			}()
			_ = conn.SetDeadline(time.Now().Add(2 * patience))
			in := bufio.NewReader(conn)
			for n := 1; ; n++ {
				c := &call{Conn: conn, in: in, number: n, vars: map[string]string{}}
				switch v.protocol {
				case "uwsgi":
					err = c.readPacket()
				case "http":
					err = c.readHead()
				default: // the script reads
					err, c.hangUp = nil, true
				}
				if err != nil {
					if !errors.Is(err, io.EOF) {
						v.note(&call{err: err})
					}
					return
				}
				v.note(c)
				v.script(c)
				if v.protocol == "uwsgi" || c.hangUp {
					return
				}
			}
		})
	}
}

func (v *vassal) note(c *call) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, c)
}

// calls returns the requests so far. Their bodies are complete only when the
// answer has been seen.
func (v *vassal) calls() []*call {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]*call(nil), v.seen...)
}

// only returns the one request there was.
func (v *vassal) only(t *testing.T) *call {
	t.Helper()
	seen := v.calls()
	if len(seen) != 1 {
		t.Fatalf("the vassal got %d requests, want 1", len(seen))
	}
	return seen[0]
}

func (c *call) readPacket() error {
	var head [uwsgi.HeaderSize]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	h := uwsgi.ParseHeader(head[:])
	c.modifier1, c.modifier2 = h.Modifier1, h.Modifier2
	vars := make([]byte, h.Size)
	if _, err := io.ReadFull(c.in, vars); err != nil {
		return fmt.Errorf("packet: %w", err)
	}
	r := uwsgi.NewReader(vars)
	for {
		name, value, ok := r.Next()
		if !ok {
			break
		}
		if _, twice := c.vars[string(name)]; twice && !strings.HasPrefix(string(name), "TWICE") {
			return fmt.Errorf("variable %s twice", name)
		}
		c.names = append(c.names, string(name))
		c.vars[string(name)] = string(value)
	}
	c.length, _ = strconv.ParseInt(c.vars["CONTENT_LENGTH"], 10, 64)
	return r.Err()
}

func (c *call) readHead() error {
	var head strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			if head.Len() > 0 {
				return fmt.Errorf("head: %w", io.ErrUnexpectedEOF)
			}
			return err
		}
		if line == "\r\n" {
			break
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
		if c.head = head.String(); ok && !strings.Contains(name, " ") {
			c.names = append(c.names, name)
			if old, twice := c.vars[name]; twice {
				value = old + ", " + value
			}
			c.vars[name] = value
		}
	}
	c.head = head.String()
	c.length, _ = strconv.ParseInt(c.vars["Content-Length"], 10, 64)
	c.chunked = c.vars["Transfer-Encoding"] == "chunked"
	return nil
}

// readBody reads what was announced.
func (c *call) readBody() []byte {
	if c.chunked {
		c.body, c.err = io.ReadAll(httputil.NewChunkedReader(c.in))
		if c.err == nil {
			_, c.err = c.in.Discard(2) // the empty trailer
		}
		return c.body
	}
	c.body = make([]byte, c.length)
	_, c.err = io.ReadFull(c.in, c.body)
	return c.body
}

func (c *call) say(text string) { _, _ = io.WriteString(c.Conn, text) }

// answering reads the body and sends these bytes.
func answering(text string) func(*call) {
	return func(c *call) {
		c.readBody()
		c.say(text)
	}
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// echo answers with the request's body.
func echo(c *call) {
	body := c.readBody()
	c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)))
	_, _ = c.Write(body)
}

// pattern is n bytes in which every stretch is different from every other.
func pattern(n int) []byte {
	if short := shortPattern(); n <= len(short) {
		return bytes.Clone(short[:n])
	}
	return numbers(n)
}

// shortPattern is made once: with the race detector it costs more than the request.
var shortPattern = sync.OnceValue(func() []byte { return numbers(512 << 10) })

func numbers(n int) []byte {
	b := make([]byte, 0, n+10)
	for i := int64(0); len(b) < n; i++ {
		b = append(strconv.AppendInt(b, i, 10), ',')
	}
	return b[:n]
}
