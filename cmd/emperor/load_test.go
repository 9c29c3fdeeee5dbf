package main

import (
	"bufio"
	"bytes"
	"context"
	random "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is the visitors: clients that ask again and again on kept connections, half
// of them by POST, and remember every request that did not get its answer. They look
// at a page for a moment before they ask for the next: a change meets requests at
// every point, and connections between two requests. In a long run they ask without
// pause.
//
// They are written on plain connections on purpose: net/http's client repeats
// requests by itself and would hide exactly what is to be shown.
type load struct {
	address string // of the front
	host    string
	hasty   bool // no pause between requests

	requests atomic.Int64
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex
	failures []string // guarded by mu
}

// longestLook is the longest time that a visitor looks at a page.
const longestLook = 8 * time.Millisecond

// startLoad starts n clients; end stops them and reports.
func startLoad(t testing.TB, address, host string, n int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{address: address, host: host, hasty: os.Getenv("EMPEROR_DEPLOYS") != "", stop: cancel}
	for i := range n {
		l.running.Go(func() { l.client(ctx, i%2 == 1) })
	}
	t.Cleanup(func() { cancel(); l.running.Wait() })
	return l
}

// end stops the clients after their request under way and returns what failed.
func (l *load) end() []string {
	l.stop()
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures
}

func (l *load) fail(format string, arguments ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, arguments...))
}

func (l *load) client(ctx context.Context, posts bool) {
	var c *visitor
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	body := make([]byte, 3000)
	_, _ = random.Read(body)
	for n := 0; ctx.Err() == nil; n++ {
		if c == nil {
			var err error
			if c, err = visit(l.address, l.host); err != nil {
				l.fail("connect: %v", err)
				time.Sleep(10 * time.Millisecond)
				continue
			}
		}
		var err error
		if posts {
			err = c.echo(body)
		} else {
			_, err = c.get("/")
		}
		l.requests.Add(1)
		if err != nil && !errors.Is(err, errLast) {
			l.fail("request %d of this connection, POST %v: %v", c.requests, posts, err)
		}
		if err != nil {
			c.close()
			c = nil
		}
		if !l.hasty {
			time.Sleep(rand.N(longestLook))
		}
	}
}

// visitor is one connection to the front.
type visitor struct {
	conn     net.Conn
	reader   *bufio.Reader
	host     string
	requests int
}

// errLast: the answer was fine, and it was announced as the connection's last.
var errLast = errors.New("connection: close")

const patience = 60 * time.Second

func visit(address, host string) (*visitor, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return &visitor{conn: conn, reader: bufio.NewReader(conn), host: host}, nil
}

func (v *visitor) close() { _ = v.conn.Close() }

func (v *visitor) get(path string) (string, error) {
	return v.exchange("GET", path, nil)
}

func (v *visitor) echo(body []byte) error {
	got, err := v.exchange("POST", "/echo", body)
	if err != nil && !errors.Is(err, errLast) {
		return err
	}
	if got != string(body) {
		return fmt.Errorf("the echo of %d bytes has %d and differs", len(body), len(got))
	}
	return err
}

// exchange sends one request and reads its whole answer; anything but a 200 is
// an error.
func (v *visitor) exchange(method, path string, body []byte) (string, error) {
	v.requests++
	_ = v.conn.SetDeadline(time.Now().Add(patience))
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, v.host)
	if body != nil {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if _, err := v.conn.Write(append([]byte(head+"\r\n"), body...)); err != nil {
		return "", fmt.Errorf("send: %w", err)
	}
	response, err := http.ReadResponse(v.reader, &http.Request{Method: method})
	if err != nil {
		return "", fmt.Errorf("response: %w", err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("response body after %d bytes: %w", len(text), err)
	}
	if response.StatusCode != 200 {
		return "", fmt.Errorf("status %s: %s", response.Status, bytes.TrimSpace(text))
	}
	if response.Close {
		return string(text), errLast
	}
	return string(text), nil
}

// begin sends a request and returns when the first byte of its answer's body is
// there; the rest is the caller's to read.
func (v *visitor) begin(path string) (io.Reader, error) {
	_ = v.conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(v.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, v.host); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(v.reader, &http.Request{Method: "GET"})
	if err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	_, err = io.ReadFull(response.Body, first)
	return response.Body, err
}

// once makes one request on a connection of its own.
func once(address, host, method, path string, body []byte) (string, error) {
	v, err := visit(address, host)
	if err != nil {
		return "", err
	}
	defer v.close()
	text, err := v.exchange(method, path, body)
	if errors.Is(err, errLast) {
		err = nil
	}
	return text, err
}

// companions are what is under way while a deploy happens: a large POST, a long
// request and an open websocket, each of which has to end as if nothing had
// happened.
type companions struct {
	load    *load
	running sync.WaitGroup
	talking *websocket
}

// accompany starts a long request, a large POST and a websocket.
func (c *companions) accompany(seconds int) {
	l := c.load
	c.running.Go(func() {
		body := make([]byte, 1<<20)
		_, _ = random.Read(body)
		if text, err := once(l.address, l.host, "POST", "/echo", body); err != nil || text != string(body) {
			l.fail("1 MiB POST: %d bytes came back, %v", len(text), err)
		}
	})
	c.running.Go(func() {
		if text, err := once(l.address, l.host, "GET", fmt.Sprintf("/slow?s=%d", seconds), nil); err != nil || !strings.HasSuffix(text, "done") {
			l.fail("request of %d s: %q, %v", seconds, text, err)
		}
	})
	w, err := openWebsocket(l.address, l.host, "/upgrade")
	if err != nil {
		l.fail("websocket: %v", err)
		return
	}
	c.talking = w
	if err := w.say("before"); err != nil {
		l.fail("websocket before the change: %v", err)
	}
}

// hangUp asks the websocket once more and closes it.
func (c *companions) hangUp() {
	if c.talking == nil {
		return
	}
	if err := c.talking.say("after"); err != nil {
		c.load.fail("websocket after the change: %v", err)
	}
	c.talking.close()
	c.talking = nil
}

// end hangs up and waits for the rest.
func (c *companions) end() {
	c.hangUp()
	c.running.Wait()
}

// websocket speaks just enough of RFC 6455: short masked text frames.
type websocket struct {
	conn   net.Conn
	reader *bufio.Reader
}

func openWebsocket(address, host, path string) (*websocket, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	w := &websocket{conn: conn, reader: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, host)
	if err == nil {
		var response *http.Response
		response, err = http.ReadResponse(w.reader, nil)
		if err == nil && (response.StatusCode != 101 || response.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
			err = fmt.Errorf("handshake: %s, accept %q", response.Status, response.Header.Get("Sec-WebSocket-Accept"))
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

// say sends a text and expects its echo.
func (w *websocket) say(text string) error {
	_ = w.conn.SetDeadline(time.Now().Add(patience))
	frame := []byte{0x81, 0x80 | byte(len(text)), 1, 2, 3, 4}
	for i := range len(text) {
		frame = append(frame, text[i]^byte(1+i%4))
	}
	if _, err := w.conn.Write(frame); err != nil {
		return err
	}
	// uWSGI asks with an empty ping whoever has said nothing for half a minute.
	ping, pong := []byte{0x89, 0}, []byte{0x8a, 0x80, 0, 0, 0, 0}
	for {
		next, err := w.reader.Peek(len(ping))
		if err != nil {
			return err
		}
		if !bytes.Equal(next, ping) {
			break
		}
		_, _ = w.reader.Discard(len(ping))
		if _, err := w.conn.Write(pong); err != nil {
			return err
		}
	}
	echo := make([]byte, 2+len(text))
	if _, err := io.ReadFull(w.reader, echo); err != nil {
		return err
	}
	if string(echo[2:]) != text {
		return fmt.Errorf("said %q, heard %q", text, echo)
	}
	return nil
}

func (w *websocket) close() { _ = w.conn.Close() }
