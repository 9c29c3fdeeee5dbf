package router

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/internal/link"
)

// TestNothingAmbiguousReachesAVassal: requests that two programs could read
// differently end here, over both protocols, whatever else is on the connection.
func TestNothingAmbiguousReachesAVassal(t *testing.T) {
	const post = "POST /x HTTP/1.1\r\nHost: a\r\n"
	const chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	heads := []struct{ name, text string }{
		{"CL and TE", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
		{"TE and CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + smuggled},
		{"TE in HTTP/1.0", "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled},
		{"two TE", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled},
		{"TE list", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + smuggled},
		{"TE xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled},
		{"TE with vertical tab", post + "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n" + smuggled},
		{"TE quoted", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + smuggled},
		{"CLs differ", post + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + smuggled},
		{"CL list", post + "Content-Length: 0, 44\r\n\r\n" + smuggled},
		{"CL empty", post + "Content-Length:\r\n\r\n" + smuggled},
		{"CL negative", post + "Content-Length: -44\r\n\r\n" + smuggled},
		{"CL with plus", post + "Content-Length: +0\r\n\r\n" + smuggled},
		{"CL hexadecimal", post + "Content-Length: 0x2c\r\n\r\n" + smuggled},
		{"CL with blank inside", post + "Content-Length: 4 4\r\n\r\n" + smuggled},
		{"CL overflows", post + "Content-Length: 18446744073709551617\r\n\r\nx" + smuggled},
		{"blank before colon", post + "Content-Length : 44\r\n\r\n" + smuggled},
		{"tab before colon", post + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + smuggled},
		{"folded", post + "X: 1\r\n Content-Length: 44\r\n\r\n" + smuggled},
		{"folded first", "POST /x HTTP/1.1\r\n Host: a\r\n\r\n" + smuggled},
		{"bare LF", post + "X: 1\nContent-Length: 44\r\n\r\n" + smuggled},
		{"bare CR", post + "X: 1\rContent-Length: 44\r\n\r\n" + smuggled},
		{"NUL in value", post + "X: 1\x00\r\n\r\n" + smuggled},
		{"NUL in name", post + "X\x00: 1\r\n\r\n" + smuggled},
		{"no colon", post + "Content-Length 44\r\n\r\n" + smuggled},
		{"empty name", post + ": 44\r\n\r\n" + smuggled},
		{"LF ends the head", post + "Content-Length: 44\r\n\n" + smuggled},
		{"two Hosts", post + "Host: b\r\n\r\n" + smuggled},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n"},
		{"Host with userinfo", "GET / HTTP/1.1\r\nHost: b@a\r\n\r\n"},
		{"Host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
		{"no version", "GET /smuggled\r\n\r\n"},
		{"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"tab in line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"control byte in target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"a binary protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{"huge head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 40<<10)},
		{"huge target", "GET /" + strings.Repeat("x", 40<<10)},
		{"many fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: 1\r\n", 101) + "\r\n"},
	}
	bodies := []struct{ name, text string }{
		{"chunk size with 0x", chunked + "0x3\r\nabc\r\n0\r\n\r\n"},
		{"chunk size signed", chunked + "+3\r\nabc\r\n0\r\n\r\n"},
		{"chunk size with blank", chunked + "3 \r\nabc\r\n0\r\n\r\n"},
		{"chunk size overflows", chunked + "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"},
		{"chunk size negative", chunked + "-1\r\nabc\r\n0\r\n\r\n"},
		{"chunk ends in LF", chunked + "3\nabc\n0\n\n"},
		{"chunk longer than said", chunked + "3\r\nabcd\r\n0\r\n\r\n"},
		{"chunk shorter than said", chunked + "5\r\nabc\r\n0\r\n\r\n" + smuggled},
		{"bare LF in extension", chunked + "3;a\nb\r\nabc\r\n0\r\n\r\n"},
		{"huge extension", chunked + "3;" + strings.Repeat("x", 5000) + "\r\nabc\r\n0\r\n\r\n"},
		{"folded trailer", chunked + "0\r\nA: b\r\n c\r\n\r\n"},
		{"huge trailer", chunked + "0\r\nA: " + strings.Repeat("b", 5000) + "\r\n\r\n"},
	}
	for _, protocol := range []string{"uwsgi", "http"} {
		v := uwsgiVassal(t, echo)
		if protocol == "http" {
			v = httpVassal(t, echo)
		}
		f := newFront(t, "route-run = vassal:v")
		f.vassals(row("v", 1, link.Ready, v))
		for _, test := range append(heads, bodies...) {
			visitor := f.visit()
			// A request before it on the same connection changes nothing.
			visitor.send(get("a"))
			visitor.want("GET", 200, "")
			visitor.send(test.text)
			r, _ := visitor.receive("POST")
			if r.StatusCode < 400 || r.StatusCode == 502 || r.StatusCode > 505 || !r.Close {
				t.Errorf("%s, %s: got %d, close %v", protocol, test.name, r.StatusCode, r.Close)
			}
			visitor.wantEnd()
		}
		for _, c := range v.calls() {
			if c.err != nil || c.vars["REQUEST_URI"] != "/" && !strings.HasPrefix(c.head, "GET / HTTP/1.1\r\n") {
				t.Errorf("%s: the vassal got %v %q %v", protocol, c.vars, c.head, c.err)
			}
		}
		if n := len(v.calls()); n != len(heads)+len(bodies) {
			t.Errorf("%s: the vassal got %d requests, want %d", protocol, n, len(heads)+len(bodies))
		}
	}
}

// TestTwinsOfOurFieldsAreDropped: what goes to an HTTP vassal is written anew.
func TestTwinsOfOurFieldsAreDropped(t *testing.T) {
	v := httpVassal(t, answering(okResponse))
	f := newFront(t, "route-run = http:"+v.address)
	visitor := f.visit()
	visitor.send("POST //a/./b?c HTTP/1.1\r\nhost: A.b:80\r\nContent_Length: 9\r\nContent-Length: 3\r\nContent-Length: 3\r\nX_Forwarded_For: 6.6.6.6\r\n" +
		"Connection: X-Secret\r\nX-Secret: 1\r\nProxy: x\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nExpect: 100-continue\r\nX-Kept: yes\r\n\r\nabc")
	visitor.want("POST", 200, "ok")
	want := "POST //a/./b?c HTTP/1.1\r\nHost: A.b:80\r\nX-Kept: yes\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: A.b:80\r\nContent-Length: 3\r\n\r\n"
	if c := v.only(t); c.head != want || string(c.body) != "abc" {
		t.Errorf("got  %q %q\nwant %q", c.head, c.body, want)
	}
}

// TestSlowHeads: 300 connections that drip their heads bother nobody and get a
// 408 each when the total is over, however busy they look.
func TestSlowHeads(t *testing.T) {
	t.Parallel() // it waits
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address)
	f.adjust(func(s *Settings) { s.headTimeout = 2 * time.Second })
	var slow sync.WaitGroup
	for range 300 {
		visitor := f.visit()
		slow.Go(func() {
			answer := make(chan []byte, 1)
			slow.Go(func() {
				text, _ := io.ReadAll(visitor.Conn)
				answer <- text
			})
			for i := 0; ; i++ {
				select {
				case text := <-answer:
					if !bytes.HasPrefix(text, []byte("HTTP/1.1 408 ")) {
						t.Errorf("got %q, want 408", text)
					}
					return
				case <-time.After(100 * time.Millisecond):
					_, _ = fmt.Fprintf(visitor.Conn, "%c", "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"[i%60])
				}
			}
		})
	}
	eventually(t, "300 connections", func() bool { return f.Count().Connections >= 300 })
	for range 50 {
		if r := f.ask(get("a")); r.StatusCode != 200 {
			t.Errorf("beside slow heads: %d", r.StatusCode)
		}
	}
	slow.Wait()
	if n := len(v.calls()); n != 50 {
		t.Errorf("the vassal got %d requests, want 50", n)
	}
}

// TestPipelinedBodiesDoNotGrow: however many requests with bodies are sent
// without a pause, a connection's buffer has a bound.
func TestPipelinedBodiesDoNotGrow(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address)
	visitor := f.visit()
	const count = 300 // 100 kB: less than what makes an exchange drop its buffers
	one := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + "100\r\n" + strings.Repeat("x", 256) + "\r\n0\r\n\r\n"
	var sending sync.WaitGroup
	sending.Go(func() { _, _ = io.WriteString(visitor.Conn, strings.Repeat(one, count)) })
	largest := 0
	for range count {
		visitor.want("POST", 200, "ok")
	}
	sending.Wait()
	_ = visitor.Close()
	f.exchanges.mu.Lock()
	for _, x := range f.exchanges.kept {
		largest = max(largest, cap(x.in))
	}
	f.exchanges.mu.Unlock()
	for _, c := range v.calls() {
		if len(c.body) != 256 || c.err != nil {
			t.Fatalf("a body of %d bytes arrived (%v)", len(c.body), c.err)
		}
	}
	if largest > 2*inSize {
		t.Errorf("the input buffer grew to %d bytes", largest)
	}
}
