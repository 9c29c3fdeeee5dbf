package router

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// visitor is a client's end of a connection to the front: it sends bytes as they
// are and reads responses with net/http's eyes.
type visitor struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

// reply is a response that was read to its end.
type reply struct {
	*http.Response
	text string
	err  error // the body broke off
}

func (f *front) visit() *visitor { f.t.Helper(); return visit(f.t, f.tcp.Addr()) }

func visit(t testing.TB, to net.Addr) *visitor {
	t.Helper()
	conn, err := net.Dial(to.Network(), to.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	t.Cleanup(func() { _ = conn.Close() })
	return newVisitor(t, conn)
}

func (v *visitor) send(text string) {
	v.t.Helper()
	if _, err := io.WriteString(v.Conn, text); err != nil {
		v.t.Fatalf("sending: %v", err)
	}
}

// receive reads one final response; interim ones are returned beside it.
func (v *visitor) receive(method string) (r reply, interim []int) {
	v.t.Helper()
	for {
		response, err := http.ReadResponse(v.in, &http.Request{Method: method})
		if err != nil {
			v.t.Fatalf("reading a response: %v", err)
		}
		if response.StatusCode < 200 && response.StatusCode != 101 {
			interim = append(interim, response.StatusCode)
			continue
		}
		r.Response = response
		if response.StatusCode == 101 {
			return r, interim
		}
		text, err := io.ReadAll(response.Body)
		r.text, r.err = string(text), err
		return r, interim
	}
}

// want reads a response and complains unless it has this status and text ("*":
// any).
func (v *visitor) want(method string, status int, text string) reply {
	v.t.Helper()
	r, _ := v.receive(method)
	if r.StatusCode != status || text != "*" && r.text != text || r.err != nil {
		v.t.Errorf("got %d %q (%v), want %d %q", r.StatusCode, cut(r.text), r.err, status, cut(text))
	}
	return r
}

// rest reads everything up to the end of the connection.
func (v *visitor) rest() string {
	v.t.Helper()
	text, err := io.ReadAll(v.in)
	if err != nil {
		v.t.Errorf("reading to the end: %v (after %q)", err, cut(string(text)))
	}
	return string(text)
}

// wantEnd complains if the connection does not end now.
func (v *visitor) wantEnd() {
	v.t.Helper()
	if text := v.rest(); text != "" {
		v.t.Errorf("got %q, want the end of the connection", cut(text))
	}
}

// wantAlive complains unless the connection carries another request.
func (v *visitor) wantAlive(host string) {
	v.t.Helper()
	v.send("GET /alive HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	v.want("GET", 200, "*")
}

func (v *visitor) closeWrite() {
	v.t.Helper()
	if err := v.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		v.t.Fatal(err)
	}
}

// ask sends one request on a connection of its own and reads the response.
func (f *front) ask(request string) reply {
	f.t.Helper()
	v := f.visit()
	defer func() { _ = v.Close() }()
	v.send(request)
	method, _, _ := strings.Cut(request, " ")
	r, _ := v.receive(method)
	return r
}

// get is a request for "/" of a host.
func get(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }

func cut(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

func newVisitor(t testing.TB, conn net.Conn) *visitor {
	return &visitor{Conn: conn, t: t, in: bufio.NewReader(conn)}
}

// read reads exactly n bytes.
func (v *visitor) read(n int) (string, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(v.in, b)
	return string(b[:got]), err
}
