package router

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/link"
)

// both runs a test with a vassal of each protocol behind vassal:v.
func both(t *testing.T, script func(*call), test func(t *testing.T, f *front, v *vassal), options ...string) {
	t.Helper()
	for _, protocol := range []string{"uwsgi", "http"} {
		t.Run(protocol, func(t *testing.T) {
			start := uwsgiVassal
			if protocol == "http" {
				start = httpVassal
			}
			v := start(t, script)
			f := newFront(t, append([]string{"route-run = vassal:v"}, options...)...)
			f.vassals(row("v", 1, link.Ready, v))
			test(t, f, v)
		})
	}
}

// TestResponses: how each kind of response reaches each kind of client, byte for
// byte. {n} is a chunk.
func TestResponses(t *testing.T) {
	const get11 = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	const get10 = "GET / HTTP/1.0\r\nHost: a\r\n\r\n"
	const head11 = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, test := range []struct {
		name, request, vassal, want string
		options                     []string
		ends                        bool // the connection ends with the response
		hangUp                      bool // an HTTP vassal must close, too
	}{
		{name: "length", request: get11, vassal: okResponse, want: okResponse},
		{name: "no reason", request: get11, vassal: "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", want: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
		{name: "hop-by-hop fields", request: get11, vassal: "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: X\r\nX: 1\r\nTrailer: y\r\nY: 2\r\nContent-Length: 2\r\n\r\nok",
			want: "HTTP/1.1 200 OK\r\nY: 2\r\nContent-Length: 2\r\n\r\nok"},
		{name: "cookies stay apart", request: get11, vassal: "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n", want: "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"},
		{name: "58 until close", request: get11, vassal: "HTTP/1.1 200 OK\r\n\r\nhello", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", hangUp: true},
		{name: "57 until close, chunks off", request: get11, vassal: "HTTP/1.1 200 OK\r\n\r\nhello", want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", options: []string{"http-auto-chunked = false"}, ends: true, hangUp: true},
		{name: "64 until close, HTTP/1.0", request: get10, vassal: "HTTP/1.1 200 OK\r\n\r\nhello", want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", ends: true, hangUp: true},
		{name: "nothing until close", request: get11, vassal: "HTTP/1.0 200 OK\r\n\r\n", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", hangUp: true},
		{name: "chunks", request: get11, vassal: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n005;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: x\r\n\r\n",
			want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n"},
		{name: "chunks, HTTP/1.0", request: get10, vassal: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", ends: true},
		{name: "HEAD with length", request: head11, vassal: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", want: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		{name: "HEAD without length", request: head11, vassal: "HTTP/1.1 200 OK\r\n\r\n", want: "HTTP/1.1 200 OK\r\n\r\n"},
		{name: "HEAD with a body", request: head11, vassal: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", want: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", hangUp: true},
		{name: "204", request: get11, vassal: "HTTP/1.1 204 No Content\r\n\r\n", want: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "204 with a length", request: get11, vassal: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", want: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "304", request: get11, vassal: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n", want: "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 9\r\n\r\n"},
		{name: "103 then 200", request: get11, vassal: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + okResponse, want: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + okResponse},
		{name: "103, HTTP/1.0", request: get10, vassal: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + okResponse, want: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", ends: true},
		{name: "100 then 200", request: get11, vassal: "HTTP/1.1 100 Continue\r\n\r\n" + okResponse, want: okResponse},
		{name: "56 HTTP/1.0", request: "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", vassal: okResponse, want: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", ends: true},
		{name: "56 close", request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", vassal: okResponse, want: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", ends: true},
		{name: "keep-alive off", request: get11, vassal: okResponse, want: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", options: []string{"http-keepalive = 0"}, ends: true},
		{name: "keep-alive false", request: get11, vassal: okResponse, want: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", options: []string{"http-keepalive = false"}, ends: true},
		{name: "no Via of ours", request: "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 theirs\r\n\r\n", vassal: "HTTP/1.1 200 OK\r\nVia: 1.1 cache\r\nContent-Length: 2\r\n\r\nok", want: "HTTP/1.1 200 OK\r\nVia: 1.1 cache\r\nContent-Length: 2\r\n\r\nok"},
		{name: "62 keep-alive true", request: get11, vassal: okResponse, want: okResponse, options: []string{"http-keepalive = true"}},
		{name: "the vassal closes", request: get11, vassal: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", want: okResponse, hangUp: true},
		{name: "101 nobody asked for", request: get11, vassal: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", hangUp: true,
			want: "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 42\r\n\r\nthis site gave an answer that is not HTTP\n"},
		{name: "bytes behind the response", request: get11, vassal: okResponse + okResponse, want: okResponse, hangUp: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			both(t, func(c *call) {
				c.hangUp = test.hangUp
				c.say(test.vassal)
			}, func(t *testing.T, f *front, v *vassal) {
				visitor := f.visit()
				visitor.send(test.request)
				if !test.ends {
					// The next request's answer shows where this one's ended.
					visitor.send("GET /next HTTP/1.1\r\nHost: a b\r\n\r\n")
				}
				got := visitor.rest()
				if !test.ends {
					at := strings.LastIndex(got, "HTTP/1.1 400 ")
					if at < 0 {
						t.Fatalf("got %q and no next answer", got)
					}
					got = got[:at]
				}
				if got != test.want {
					t.Errorf("got  %q\nwant %q", got, test.want)
				}
			}, test.options...)
		})
	}
}

// TestKeepAliveAndPipelining: rows 55 and 59.
func TestKeepAliveAndPipelining(t *testing.T) {
	both(t, echo, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		for i := range 3 {
			visitor.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d", i, i))
			visitor.want("POST", 200, strconv.Itoa(i))
		}
		if n := v.accepted.Load(); v.protocol == "uwsgi" && n != 3 || v.protocol == "http" && n != 1 {
			t.Errorf("%d connections to the vassal", n)
		}
		// All at once, of every kind, cut at every place.
		all := "GET /a HTTP/1.1\r\nHost: a\r\n\r\n" +
			"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" +
			"\r\nPOST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" +
			"HEAD /d HTTP/1.1\r\nHost: a\r\n\r\n" +
			"GET /e HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
		for at := 0; at <= len(all); at += 7 {
			visitor := f.visit()
			visitor.send(all[:at])
			visitor.send(all[at:])
			for i, want := range []string{"", "hello", "abcde", "", ""} {
				method := "GET"
				if i == 3 {
					method = "HEAD"
				}
				visitor.want(method, 200, want)
			}
			visitor.wantEnd()
		}
	})
}

// TestDifferentHostsOnOneConnection reach different vassals.
func TestDifferentHostsOnOneConnection(t *testing.T) {
	a := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"))
	b := httpVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"))
	f := newFront(t, "route-host = ^a$ uwsgi:"+a.address+",0,0", "route-host = ^b$ http:"+b.address)
	visitor := f.visit()
	for _, host := range []string{"a", "b", "a", "a", "b"} {
		visitor.send(get(host))
		visitor.want("GET", 200, host)
	}
	visitor.send(get("none"))
	visitor.want("GET", 404, "*")
	visitor.wantAlive("a")
}

// TestRuleOfAVassalsSocket: the vassal's own protocol counts.
func TestRuleOfAVassalsSocket(t *testing.T) {
	v := httpVassal(t, answering(okResponse))
	f := newFront(t, "route-run = uwsgi:"+v.address+",0,0")
	f.vassals(row("node", 1, link.Ready, v))
	if r := f.ask(get("a")); r.StatusCode != 200 {
		t.Errorf("got %d", r.StatusCode)
	}
}

// TestHTTPRuleReplacesHostAndTarget: once, not beside the client's.
func TestHTTPRuleReplacesHostAndTarget(t *testing.T) {
	v := httpVassal(t, answering(okResponse))
	f := newFront(t, "route-run = http:"+v.address+",backend.example:81,/new")
	if r := f.ask("GET /old?x HTTP/1.1\r\nHost: a\r\n\r\n"); r.StatusCode != 200 {
		t.Fatalf("got %d", r.StatusCode)
	}
	want := "GET /new HTTP/1.1\r\nHost: backend.example:81\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n\r\n"
	if c := v.only(t); c.head != want {
		t.Errorf("got  %q\nwant %q", c.head, want)
	}
}

// streamEcho answers with what it reads while it reads.
func streamEcho(c *call) {
	if c.chunked {
		echo(c)
		return
	}
	c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", c.length))
	_, _ = io.CopyN(c.Conn, c.in, c.length)
}

// TestLargeBodiesBothWays: 10 MiB back and forth at the same time.
func TestLargeBodiesBothWays(t *testing.T) {
	text := pattern(10 << 20)
	both(t, streamEcho, func(t *testing.T, f *front, v *vassal) {
		for range 2 {
			visitor := f.visit()
			var sending sync.WaitGroup
			sending.Go(func() {
				_, _ = fmt.Fprintf(visitor.Conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(text))
				_, _ = visitor.Conn.Write(text)
			})
			r, _ := visitor.receive("POST")
			sending.Wait()
			if r.text != string(text) || r.err != nil {
				t.Fatalf("%d bytes came back (%v), want %d the same", len(r.text), r.err, len(text))
			}
			_ = visitor.Close()
		}
	})
}

// TestLargeBodiesOnKeptConnections: where the vassal reads all before it answers,
// the connection goes on.
func TestLargeBodiesOnKeptConnections(t *testing.T) {
	text := string(pattern(1 << 20))
	both(t, echo, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		for range 20 {
			visitor.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
			if r := visitor.want("POST", 200, text); r.Close {
				t.Fatal("the connection ends although the body was read whole")
			}
		}
		if n := v.accepted.Load(); v.protocol == "http" && n != 1 {
			t.Errorf("%d connections to the vassal, want 1", n)
		}
	})
}

// TestChunkedRequests around the size up to which a body is collected; a uwsgi
// vassal is told the length, an HTTP vassal gets chunks where it is not known.
func TestChunkedRequests(t *testing.T) {
	both(t, echo, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		for _, size := range []int{0, 1, 4095, collected - 1, collected, collected + 1, 200_000, 1 << 20} {
			text := pattern(size)
			var sending sync.WaitGroup
			sending.Go(func() {
				var b bytes.Buffer
				b.WriteString("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
				for rest, n := text, 1; len(rest) > 0; n = n%9000 + 997 {
					n = min(n, len(rest))
					fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
					rest = rest[n:]
				}
				b.WriteString("0\r\n\r\n")
				_, _ = visitor.Conn.Write(b.Bytes())
			})
			visitor.want("POST", 200, string(text))
			sending.Wait()
			calls := v.calls()
			c := calls[len(calls)-1]
			if length := c.vars["CONTENT_LENGTH"]; v.protocol == "uwsgi" && length != strconv.Itoa(size) {
				t.Errorf("%d bytes: CONTENT_LENGTH is %q", size, length)
			}
		}
		eventually(t, "no byte to be counted as spooled", func() bool { return f.spooled.Load() == 0 })
	})
}

// TestChunkedInput: row 25. Under the option an app reads the chunks itself.
func TestChunkedInput(t *testing.T) {
	v := uwsgiVassal(t, func(c *call) {
		if c.vars["HTTP_TRANSFER_ENCODING"] == "chunked" && c.vars["CONTENT_LENGTH"] == "" {
			c.chunked = true
		}
		echo(c)
	})
	f := newFront(t, "http-to = "+v.address, "http-chunked-input = true")
	visitor := f.visit()
	for _, size := range []int{0, 5, collected, 200_000} {
		text := string(pattern(size))
		body := "0\r\n\r\n"
		if size > 0 {
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, text)
		}
		visitor.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n" + body)
		visitor.want("POST", 200, text)
	}
	visitor.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n")
	visitor.want("POST", 400, "*")
}

// TestStreaming: what a vassal sends is not held back, however its response is
// framed; nor is what a client sends, once a vassal is connected.
func TestStreaming(t *testing.T) {
	step := make(chan struct{})
	both(t, func(c *call) {
		c.hangUp = true
		chunk := "%s"
		switch c.vars["PATH_INFO"] + c.vars["X-Path"] {
		case "/length":
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
		case "/chunks":
			c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			chunk = "3\r\n%s\r\n"
			defer c.say("0\r\n\r\n")
		default:
			c.say("HTTP/1.1 200 OK\r\n\r\n")
		}
		for i := range 5 {
			<-step
			c.say(fmt.Sprintf(chunk, fmt.Sprintf("<%d>", i)))
		}
	}, func(t *testing.T, f *front, v *vassal) {
		for _, path := range []string{"/length", "/chunks", "/close"} {
			visitor := f.visit()
			visitor.send("GET " + path + " HTTP/1.1\r\nHost: a\r\nX-Path: " + path + "\r\n\r\n")
			var response *http.Response
			for i := range 5 {
				if i == 0 { // the head comes before the first byte of the body
					var err error
					if response, err = http.ReadResponse(visitor.in, nil); err != nil {
						t.Fatal(err)
					}
				}
				step <- struct{}{}
				got := make([]byte, 3)
				if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != fmt.Sprintf("<%d>", i) {
					t.Fatalf("%s: piece %d is %q (%v)", path, i, got, err)
				}
			}
			if rest, err := io.ReadAll(response.Body); len(rest) > 0 || err != nil {
				t.Errorf("%s: %q, %v at the end", path, rest, err)
			}
		}
	})
}

// TestNobodyWaitsForAnother: row 99, and one slow vassal beside a quick one.
func TestNobodyWaitsForAnother(t *testing.T) {
	var there sync.WaitGroup
	there.Add(20)
	slow := uwsgiVassal(t, func(c *call) {
		there.Done()
		there.Wait() // until all twenty are here at the same time
		c.say(okResponse)
	})
	quick := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "route-host = ^slow$ uwsgi:"+slow.address+",0,0", "http-to = "+quick.address)
	var visitors []*visitor
	for i := range 20 {
		visitor := f.visit()
		visitors = append(visitors, visitor)
		visitor.send(get("slow"))
		if r := f.ask(get("quick")); r.StatusCode != 200 {
			t.Errorf("beside %d slow ones: %d", i+1, r.StatusCode)
		}
	}
	for _, visitor := range visitors {
		visitor.want("GET", 200, "ok")
	}
}

// TestBuffersAreGivenBack after a burst, and a connection that has not said
// anything yet has none.
func TestBuffersAreGivenBack(t *testing.T) {
	release := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) { <-release; c.say(okResponse) })
	f := newFront(t, "http-to = "+v.address)
	var visitors []*visitor
	for range 200 {
		visitor := f.visit()
		visitors = append(visitors, visitor)
		visitor.send(get("a"))
	}
	eventually(t, "all to be under way", func() bool { return f.Count().InFlight == 200 })
	close(release)
	for _, visitor := range visitors {
		visitor.want("GET", 200, "ok")
	}
	kept := func() int {
		f.exchanges.mu.Lock()
		defer f.exchanges.mu.Unlock()
		return len(f.exchanges.kept)
	}
	eventually(t, "all buffers to be back", func() bool { return kept() == 200 })
	for range 20 {
		f.exchanges.shrink()
	}
	if n := kept(); n != keptAlways {
		t.Errorf("%d exchanges are kept, want %d", n, keptAlways)
	}
	for _, visitor := range visitors {
		visitor.wantAlive("a")
	}
}

// TestSpooledBodyIsRepeatedWhole: a second attempt sends all of a body that had
// to be measured.
func TestSpooledBodyIsRepeatedWhole(t *testing.T) {
	text := pattern(300_000)
	var attempts atomic.Int64
	v := uwsgiVassal(t, func(c *call) {
		c.readBody()
		if attempts.Add(1) == 1 {
			return // without an answer: PUT may be repeated
		}
		c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body))
	})
	f := newFront(t, "http-to = "+v.address)
	visitor := f.visit()
	visitor.send(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text))
	visitor.want("PUT", 200, string(text))
	if n := len(v.calls()); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
}

// TestRetries: DESIGN §3. A vassal that closes without a byte is asked once more
// where that can do no harm.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name, request string
		read          bool // the vassal reads the request before it closes
		attempts      int64
	}{
		{"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, 2},
		{"PUT", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", true, 2},
		{"PUT too large to be kept", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), true, 1},
		{"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", true, 1},
		{"POST without body", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", true, 1},
		{"POST without body, reset", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", false, 2},
		{"POST with body, reset", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var attempts atomic.Int64
			v := newVassal(t, "bytes", "unix", t.TempDir()+"/v.sock", func(c *call) {
				switch {
				case attempts.Add(1) > 1:
					_ = c.readPacket()
					c.readBody()
					c.say(okResponse)
				case test.read:
					_ = c.readPacket()
					c.readBody()
				default:
					_, _ = c.Conn.Read(make([]byte, 1)) // what is left unread makes closing a reset
				}
			})
			f := newFront(t, "http-to = "+v.address)
			visitor := f.visit()
			visitor.send(test.request)
			want := 200
			if test.attempts == 1 {
				want = 502
			}
			visitor.want("POST", want, "*")
			if n := attempts.Load(); n != test.attempts {
				t.Errorf("%d attempts, want %d", n, test.attempts)
			}
		})
	}
}

// TestEarlyResponse: the vassal answers an upload at once and reads no more. The
// client, which reads only when it has sent everything, gets the answer.
func TestEarlyResponse(t *testing.T) {
	for _, size := range []int{100, 100_000, 20 << 20} {
		for _, answer := range []string{
			"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge",
			"HTTP/1.1 413 Too Large\r\n\r\nlarge",
		} {
			both(t, func(c *call) {
				c.say(answer)
				c.hangUp = true
			}, func(t *testing.T, f *front, v *vassal) {
				visitor := f.visit()
				visitor.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size))
				if _, err := visitor.Conn.Write(make([]byte, size)); err != nil {
					t.Errorf("%d bytes: sending: %v", size, err)
				}
				if r := visitor.want("POST", 413, "large"); size > 10<<20 && !r.Close {
					t.Errorf("%d bytes: the answer does not say that the connection ends", size)
				}
			})
		}
	}
}

// TestVassalDiesDuringAnUpload: that is the vassal's failure, not the client's.
func TestVassalDiesDuringAnUpload(t *testing.T) {
	both(t, func(c *call) {
		_, _ = io.ReadFull(c.in, make([]byte, 80_000))
		c.hangUp = true
	}, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100_000))
		visitor.want("POST", 502, "this site does not answer\n")
		if !strings.Contains(f.log.String(), "request failed") {
			t.Error("the log says nothing")
		}
	})
}

// TestSlowBodies: a body that comes too slowly is cut, also while the vassal
// already answers; a vassal's slowness is not the client's.
func TestSlowBodies(t *testing.T) {
	t.Parallel() // it waits
	both(t, func(c *call) { c.readBody(); c.say(okResponse) }, func(t *testing.T, f *front, v *vassal) {
		f.adjust(func(s *Settings) { s.bodyGrace, s.bodyRate = time.Second, 1<<20 })
		for _, size := range []int{10, 100_000} {
			visitor := f.visit()
			visitor.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size))
			visitor.send(strings.Repeat("x", size/100)) // less than what earns time
			visitor.want("POST", 408, "the request body did not arrive in time\n")
			visitor.wantEnd()
		}
		for _, c := range v.calls() {
			if c.err == nil {
				t.Error("a body that was cut looked whole to the vassal")
			}
		}
	})
}

// TestSlowBodyBesideAnAnswer: what is written to the client must not lift the
// limit on what it sends.
func TestSlowBodyBesideAnAnswer(t *testing.T) {
	t.Parallel() // it waits
	cutOff := make(chan struct{}, 1)
	both(t, func(c *call) {
		c.say("HTTP/1.1 200 OK\r\n\r\n")
		go func() { // ends with the connection
			for {
				if _, err := io.WriteString(c.Conn, "x"); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		c.readBody()
		if c.err != nil {
			cutOff <- struct{}{}
		}
		c.hangUp = true
	}, func(t *testing.T, f *front, v *vassal) {
		f.adjust(func(s *Settings) { s.bodyGrace, s.bodyRate = time.Second, 1<<20 })
		visitor := f.visit()
		visitor.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", collected))
		r, _ := visitor.receive("POST")
		if r.StatusCode != 200 || r.err == nil {
			t.Errorf("got %d, %v; want an answer that breaks off", r.StatusCode, r.err)
		}
		select {
		case <-cutOff:
		case <-time.After(patience):
			t.Error("the slow body was not cut")
		}
	})
}

// TestClientGoesInTheMiddleOfItsBody: the vassal must not take it for whole.
func TestClientGoesInTheMiddleOfItsBody(t *testing.T) {
	ended := make(chan error, 4)
	both(t, func(c *call) { c.readBody(); ended <- c.err }, func(t *testing.T, f *front, v *vassal) {
		for _, framing := range []string{"Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nf4240\r\n"} {
			visitor := f.visit()
			visitor.send("POST / HTTP/1.1\r\nHost: a\r\n" + framing + strings.Repeat("x", 500_000))
			if v.protocol == "uwsgi" && strings.HasPrefix(framing, "T") {
				// Measured first: the vassal hears nothing of it.
				visitor.closeWrite()
				visitor.wantEnd()
				continue
			}
			eventually(t, "the vassal to see the request", func() bool { return len(v.calls()) > 0 })
			_ = visitor.Close()
			if err := <-ended; err == nil {
				t.Errorf("%s: the vassal got a whole body", framing)
			}
		}
		eventually(t, "the request to end", func() bool { return f.Count().InFlight == 0 })
	})
}

// TestHalfClosedClientGetsItsAnswer: a FIN after the request is no farewell.
func TestHalfClosedClientGetsItsAnswer(t *testing.T) {
	both(t, echo, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
		visitor.closeWrite()
		visitor.want("POST", 200, "hi")
		visitor.wantEnd()
	})
}

// TestTruncatedWithoutFraming: for a client whose response ends with the
// connection, a response that broke off ends in a reset.
func TestTruncatedWithoutFraming(t *testing.T) {
	both(t, func(c *call) {
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
		c.say("half")
		c.hangUp = true
	}, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
		if r, _ := visitor.receive("GET"); r.err == nil {
			t.Error("a short body of known length looks whole")
		}
	})
	both(t, func(c *call) {
		c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		c.hangUp = true
	}, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
		if _, err := io.ReadAll(visitor.in); err == nil {
			t.Error("a broken response without length ends like a whole one")
		}
	})
}

// TestWebsocket: rows 65, 66 and 100, both directions, either side ending first.
func TestWebsocket(t *testing.T) {
	t.Parallel() // it waits
	const handshake = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
	const accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"
	both(t, func(c *call) {
		c.hangUp = true
		if c.vars["HTTP_UPGRADE"] != "websocket" && c.vars["Upgrade"] != "websocket" {
			c.say("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
			return
		}
		c.say(accepted + "welcome ")
		for {
			word, err := c.in.ReadString(' ')
			if word == "bye " || err != nil {
				c.say("end")
				return
			}
			c.say("<" + word + ">")
		}
	}, func(t *testing.T, f *front, v *vassal) {
		expect := func(visitor *visitor, text string) {
			t.Helper()
			got := make([]byte, len(text))
			if _, err := io.ReadFull(visitor.in, got); err != nil || string(got) != text {
				t.Fatalf("got %q (%v), want %q", got, err, text)
			}
		}
		open := func(rest string) *visitor {
			t.Helper()
			visitor := f.visit()
			visitor.send(handshake + rest)
			r, _ := visitor.receive("GET")
			if r.StatusCode != 101 || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-Websocket-Accept") != "y" || r.Header.Get("Connection") != "Upgrade" {
				t.Fatalf("got %d %v", r.StatusCode, r.Header)
			}
			expect(visitor, "welcome ")
			return visitor
		}
		// The vassal ends.
		visitor := open("early ")
		expect(visitor, "<early >")
		visitor.send("hello ")
		expect(visitor, "<hello >")
		visitor.send("bye ")
		expect(visitor, "end")
		visitor.wantEnd()
		// The client ends its side; what the vassal says to that still comes.
		visitor = open("")
		visitor.send("last ")
		visitor.closeWrite()
		expect(visitor, "<last >end")
		visitor.wantEnd()
		// Large messages both ways.
		visitor = open("")
		var sending sync.WaitGroup
		word := strings.Repeat("w", 1<<20) + " "
		sending.Go(func() {
			for range 5 {
				_, _ = io.WriteString(visitor.Conn, word)
			}
		})
		for range 5 {
			expect(visitor, "<"+word+">")
		}
		sending.Wait()
		// The client goes away.
		_ = visitor.Close()
		eventually(t, "the tunnel to end", func() bool { return f.counters.tunnels.Load() == 0 && f.Count().InFlight == 0 })
		// Silence of both ends it (row 67); http-timeout does not.
		f.adjust(func(s *Settings) { s.responseTimeout, s.tunnelTimeout = 300*time.Millisecond, 2*time.Second })
		visitor = open("")
		visitor.wantEnd()
	})
}

// TestNoOtherUpgrades: HTTP/2 in the clear, TLS and offers we can't look into
// do not reach a vassal; nor does anything with http-websockets off.
func TestNoOtherUpgrades(t *testing.T) {
	both(t, func(c *call) {
		c.readBody()
		c.hangUp = true
		if c.vars["HTTP_UPGRADE"] != "" || c.vars["Upgrade"] != "" || c.vars["HTTP_CONNECTION"] != "" || c.vars["Connection"] != "" {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen")
			return
		}
		c.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	}, func(t *testing.T, f *front, v *vassal) {
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: HTTP/2.0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
			"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
		} {
			if r := f.ask(request); r.StatusCode != 502 {
				t.Errorf("%q got %d, want 502", request, r.StatusCode)
			}
		}
		if err := f.configure("route-run = vassal:v", "http-websockets = false"); err != nil {
			t.Fatal(err)
		}
		if r := f.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); r.StatusCode != 502 {
			t.Errorf("switched off: got %d, want 502", r.StatusCode)
		}
	})
}
