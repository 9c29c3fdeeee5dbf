package router

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/router/http1"
)

// FuzzExchange: whatever a client asks and whatever a vassal answers, no fault of
// ours shows, the client can tell where the answer ends and whether it is whole,
// and nothing of the request is left.
func FuzzExchange(f *testing.F) {
	for protocol := range byte(4) {
		for seed := range byte(40) {
			f.Add([]byte{protocol, seed, seed * 7, seed * 31, seed * 13, seed ^ 0x55, seed * 101, seed * 3, seed * 17, seed * 59, seed * 5, seed * 43, seed * 29, seed * 11, seed * 83, seed * 97, seed * 19})
		}
	}
	wild := newWildVassal(f)
	fronts := map[byte]*front{}
	for number, rule := range []string{"http:%s", "uwsgi:%s,0,0", "fastcgi:%s", "scgi:%s"} {
		front := newFront(f, "http-health = /_up", "http-compress = zstd,gzip", "http-auto-gzip = true", "http-request-id = true", "http-limit-vassal = 10",
			"add-header = X-Front: 1", "http-log = /dev/null", "http-post-buffering = "+itoa(number%2), "http-var = SEEN=${HTTP_X_A}", "http-trusted-proxies = none",
			"route = ^/rule/teapot return:418 a teapot", "route = ^/rule/method setmethod:HEAD", "route = ^/rule/rewrite rewrite:/x",
			"error-route = ^/rule/error return:410 gone", "response-route = ^/rule/empty clearheaders:204", "response-route = ^/rule/full clearheaders:299 full", "response-route = ^/rule/gzip gzip:",
			"route-run = "+fmt.Sprintf(rule, wild.address))
		front.adjust(func(s *Settings) {
			s.responseTimeout, s.headTimeout, s.connectTimeout, s.tunnelTimeout = 300*time.Millisecond, 300*time.Millisecond, time.Second, 300*time.Millisecond
			s.bodyGrace = 300 * time.Millisecond
		})
		fronts[byte(number)] = front
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		choose := &chooser{data: data}
		protocol := choose.of(4)
		front := fronts[byte(protocol)]
		method, request, whole := wildRequest(choose)
		answer := wildAnswer(choose, protocol, method)
		wild.will(answer)
		visitor := visit(t, front.tcp.Addr())
		defer func() { _ = visitor.Close() }()
		_ = visitor.SetDeadline(time.Now().Add(patience))
		const health = "GET /_up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
		go func() {
			said := request
			if whole {
				said += health // in one write: a later one would be told of a reset, and reading not any more
			}
			_, _ = io.WriteString(visitor.Conn, said)
			_ = visitor.Conn.(*net.TCPConn).CloseWrite()
		}()
		seen := readAnswers(t, visitor, method, request, whole)
		if protocol == 0 && whole && seen.first != nil && !strings.Contains(request, "/rule/") {
			answer.compare(t, method, seen)
		}
		_ = visitor.Close()
		if text := front.log.Take(); strings.Contains(text, "internal error") {
			t.Fatalf("%q\nanswered %q\n%s", request, answer.text(), text)
		}
		front.wantNothingHeld(t)
	})
}

// seenAnswers is what a client saw.
type seenAnswers struct {
	first *http.Response // the final answer; nil: none
	body  []byte
	err   error // it is not whole
}

// readAnswers reads the answer to a request and, if the connection goes on, the one
// to the question about health that follows it.
func readAnswers(t *testing.T, v *visitor, method, request string, whole bool) (seen seenAnswers) {
	for {
		r, err := http.ReadResponse(v.in, &http.Request{Method: method})
		if err != nil {
			if rest, _ := io.ReadAll(v.in); len(rest) > 0 || err != io.EOF && !brokenOff(err) {
				t.Fatalf("%q\nis answered with what is not HTTP: %v %q", request, err, cut(string(rest)))
			}
			return seen
		}
		if r.StatusCode < 200 && r.StatusCode != 101 {
			continue
		}
		seen.first = r
		if r.StatusCode == 101 {
			return seen
		}
		if seen.body, seen.err = io.ReadAll(r.Body); seen.err != nil || r.Close {
			break
		}
		if !whole {
			return seen
		}
		next, err := http.ReadResponse(v.in, nil)
		if err != nil {
			if !brokenOff(err) {
				t.Fatalf("%q\nis answered with\n%d %v %q\nand then comes what is not HTTP: %v", request, r.StatusCode, r.Header, cut(string(seen.body)), err)
			}
			return seen // it was closed without being announced, which is allowed
		}
		if text, _ := io.ReadAll(next.Body); next.StatusCode != 200 || string(text) != "ok\n" {
			t.Fatalf("%q\nis answered with\n%d %v %q\nand then comes %d %q", request, r.StatusCode, r.Header, cut(string(seen.body)), next.StatusCode, cut(string(text)))
		}
		break
	}
	if rest, err := io.ReadAll(v.in); len(rest) > 0 && whole { // (who sends what is no request is not asked for its method)
		t.Fatalf("%q\nis answered with\n%d %v %q\nand then comes %q (%v)", request, seen.first.StatusCode, seen.first.Header, cut(string(seen.body)), cut(string(rest)), err)
	}
	return seen
}

func brokenOff(err error) bool {
	return err == io.EOF || err == io.ErrUnexpectedEOF || strings.Contains(err.Error(), "reset by peer")
}

// compare complains where the client believes that it has the vassal's whole answer
// and has not.
func (a *wildAnswered) compare(t *testing.T, method string, seen seenAnswers) {
	in := bufio.NewReader(strings.NewReader(a.text()))
	for {
		r, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return // whatever the front makes of it
		}
		if r.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(r.Body)
		if r.StatusCode != seen.first.StatusCode || r.StatusCode >= 500 || seen.err != nil || seen.first.Header.Get("X-Vassal") != "1" {
			return
		}
		if err != nil {
			t.Fatalf("%q\nbreaks off (%v), and the client believes that %q is all of it", a.text(), err, cut(string(seen.body)))
		}
		if a.resets && r.ContentLength < 0 && len(r.TransferEncoding) == 0 {
			return // where it ends is chance
		}
		got := seen.body
		if encoding := seen.first.Header.Get("Content-Encoding"); encoding != r.Header.Get("Content-Encoding") && len(got) > 0 {
			if got, err = decoded(encoding, got); err != nil {
				t.Fatalf("%q\nis encoded as what is no %s: %v", a.text(), encoding, err)
			}
		}
		if !bytes.Equal(got, body) {
			t.Fatalf("%q\nbecomes %q", a.text(), cut(string(got)))
		}
		return
	}
}

// wantNothingHeld is wantIdle for the fuzzer.
func (f *front) wantNothingHeld(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); f.Count().InFlight > 0 || f.Count().Connections > 0; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("the request does not end")
		}
	}
	f.wantIdle(t)
}

// chooser makes decisions of bytes.
type chooser struct{ data []byte }

func (c *chooser) of(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func (c *chooser) one(words ...string) string { return words[c.of(len(words))] }

// spoil changes a byte now and then.
func (c *chooser) spoil(text string) string {
	if c.of(8) > 0 || text == "" {
		return text
	}
	at := (c.of(256)<<8 | c.of(256)) % len(text)
	switch c.of(3) {
	case 0:
		return text[:at] + string(byte(c.of(256))) + text[at+1:]
	case 1:
		return text[:at] + text[at+1:]
	}
	return text[:at] + c.one("\r\n", "\n", "\x00", " ", ":", "0", "\r") + text[at:]
}

// wildRequest makes a request; whole tells that it is one, and nothing else.
func wildRequest(c *chooser) (method, request string, whole bool) {
	method = c.one("GET", "HEAD", "POST", "PUT", "OPTIONS", "get")
	text := method + " " + c.one("/", "/x?y", "/rule/teapot", "/rule/method", "/rule/error", "/rule/empty", "/rule/full", "/rule/gzip", "/rule/rewrite", "/%2e%2e/x", "*", "http://b/") + " " + c.one("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0") + "\r\nHost: a\r\n"
	for range c.of(4) {
		text += c.one("Accept-Encoding: gzip\r\n", "Accept-Encoding: zstd\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n", "Connection: upgrade\r\nUpgrade: x\r\n", "TE: trailers\r\n", "X-A: b\r\n", "Range: bytes=0-1\r\n")
	}
	body := c.one("", "", "a", "hello", strings.Repeat("x", 5000), strings.Repeat("y", 70_000), strings.Repeat("z", 300_000))
	switch c.of(5) {
	case 0, 1, 2:
		text += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	case 3:
		text += "Transfer-Encoding: chunked\r\n\r\n"
		if body != "" {
			text += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}
		text += c.one("0\r\n\r\n", "0\r\nX: y\r\n\r\n")
	default:
		text += "\r\n"
	}
	text = c.spoil(text)
	if c.of(10) == 0 {
		text = text[:len(text)-min(len(text), 1+c.of(100))]
	}
	var r http1.Request
	limits := http1.Limits{}
	n, err := r.Parse([]byte(text), &limits)
	if n == 0 || err != nil {
		return method, text, false
	}
	rest := text[n:]
	if r.Chunked {
		var chunks http1.Chunked
		for rest != "" && !chunks.Done() {
			_, used, err := chunks.Next([]byte(rest))
			if err != nil {
				return string(r.Method), text, false
			}
			rest = rest[used:]
		}
		return string(r.Method), text, chunks.Done() && rest == ""
	}
	return string(r.Method), text, int64(len(rest)) == max(r.ContentLength, 0)
}

// wildAnswered is what a vassal does.
type wildAnswered struct {
	pieces []string
	reads  bool // the request first
	waits  bool // for the front to close
	resets bool // closes with bytes unread
}

func (a *wildAnswered) text() string { return strings.Join(a.pieces, "") }

func wildAnswer(c *chooser, protocol int, method string) *wildAnswered {
	var text strings.Builder
	for range c.of(8) / 6 {
		text.WriteString(c.one("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 199 What\r\n\r\n"))
	}
	line := c.one("HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.0 200 OK", "HTTP/1.1 204 No", "HTTP/1.1 304 Not", "HTTP/1.1 404 Not", "HTTP/1.1 500 Bad", "HTTP/1.1 101 Switch", "HTTP/1.1 206 Part", "HTTP/1.1 999 Odd", "HTTP/2 200", "")
	if protocol >= 2 {
		line = c.one("Status: 200 OK", "Status: 404 Not", "Status: 204 No", "Content-Type: text/plain", "Location: /x", "Status: 99", "HTTP/1.1 200 OK", "HTTP/1.1 103 Early\r\n\r\nStatus: 200 OK", "")
	}
	text.WriteString(line + "\r\nX-Vassal: 1\r\n")
	for range c.of(4) {
		text.WriteString(c.one("Content-Type: text/plain\r\n", "Content-Type: text/html; charset=x\r\n", "ETag: \"a\"\r\n", "ETag: a\r\n", "Content-Encoding: br\r\n", "uWSGI-Encoding: gzip\r\n", "Vary: *\r\n", "Upgrade: x\r\n", "Connection: close\r\n",
			"Connection: X-Vassal\r\n", "Keep-Alive: timeout=0\r\n", "Set-Cookie: a=b\r\n", "Date: now\r\n", "Cache-Control: no-transform\r\n", "Trailer: X\r\n", "X: "+strings.Repeat("long", 5000)+"\r\n"))
	}
	body := c.one("", "a", "hello", strings.Repeat("hello ", 1000), strings.Repeat("hello ", 20_000))
	switch c.of(6) {
	case 0, 1:
		fmt.Fprintf(&text, "Content-Length: %d\r\n\r\n", len(body))
	case 2:
		text.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if body != "" && (method != "HEAD" || c.of(4) == 0) {
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(body), body) + c.one("\r\n", "\r\n", "X: y\r\n\r\n", "")
		} else {
			body = "0\r\n\r\n"
		}
	case 3:
		fmt.Fprintf(&text, "Content-Length: %d\r\n\r\n", len(body)+c.of(3)-1)
	default:
		text.WriteString("\r\n")
	}
	if method != "HEAD" || c.of(4) == 0 {
		text.WriteString(body)
	}
	said := c.spoil(text.String())
	if protocol == 2 {
		var records strings.Builder
		for rest := said; rest != ""; {
			n := min(len(rest), 1+c.of(256)*200)
			records.WriteString(record(c.kind(), rest[:n]))
			rest = rest[n:]
		}
		said = c.spoil(records.String() + ended(byte(c.of(6)/5*2)))
	}
	a := &wildAnswered{reads: c.of(4) > 0, waits: c.of(6) == 0, resets: c.of(8) == 0}
	for said != "" {
		n := len(said)
		if c.of(2) == 0 {
			n = min(n, 1+c.of(256)*(1+c.of(256)))
		}
		a.pieces = append(a.pieces, said[:n])
		if said = said[n:]; len(a.pieces) > 20 {
			a.pieces = append(a.pieces, said)
			break
		}
	}
	return a
}

func (c *chooser) kind() byte {
	if c.of(12) == 0 {
		return fcgiStderr
	}
	return fcgiStdout
}

// wildVassal answers with what it was told last, whatever it is asked.
type wildVassal struct {
	address string
	mu      sync.Mutex
	next    *wildAnswered // guarded by mu
}

func (w *wildVassal) will(a *wildAnswered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = a
}

func newWildVassal(tb testing.TB) *wildVassal {
	w := &wildVassal{address: filepath.Join(tb.TempDir(), "wild.sock"), next: &wildAnswered{}}
	l, err := net.Listen("unix", w.address)
	if err != nil {
		tb.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { w.serve(conn) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return w
}

func (w *wildVassal) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	buffer := make([]byte, 1<<20)
	w.mu.Lock()
	a := w.next
	w.mu.Unlock()
	if a.reads {
		// As much as is there: a request's end is not looked for.
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
	for _, piece := range a.pieces {
		if _, err := io.WriteString(conn, piece); err != nil {
			return
		}
	}
	if a.waits {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	if !a.resets {
		// What comes is read, so that the end is no reset.
		_ = conn.(*net.UnixConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}
}
