package router

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPostBuffering: with http-post-buffering a vassal is asked when the whole body is
// here, can be asked twice, and gets bodies for which there is no room all the same.
func TestPostBuffering(t *testing.T) {
	text := string(pattern(300_000))
	requests := map[string]string{
		"length": fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(text), text),
		"chunks": fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text),
	}
	for framing, request := range requests {
		t.Run(framing, func(t *testing.T) {
			var attempts atomic.Int64
			both(t, func(c *call) {
				c.readBody()
				if c.err == nil && attempts.Add(1)%2 == 1 {
					c.hangUp = true
					return // without an answer: PUT may be repeated
				}
				c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body))
			}, func(t *testing.T, f *front, v *vassal) {
				visitor := f.visit()
				visitor.send(request[:len(request)-7])
				eventually(t, "most of the body to be kept", func() bool { return f.spooled.Load() > 200_000 })
				if n := len(v.calls()); n > 0 {
					t.Errorf("the vassal has got %d requests", n)
				}
				visitor.send(request[len(request)-7:])
				visitor.want("PUT", 200, text)
				if n := len(v.calls()); n != 2 {
					t.Errorf("%d attempts, want 2", n)
				}
				eventually(t, "the file to be given back", func() bool { return f.spooled.Load() == 0 })
				if framing == "chunks" && v.protocol == "uwsgi" {
					return // which has to be told the length
				}
				f.adjust(func(s *Settings) { s.spoolLimit = 100_000 })
				attempts.Store(1)
				visitor.send(request)
				visitor.want("PUT", 200, text)
			}, "http-post-buffering = 1m")
		})
	}
}

// TestSource: with http-manage-source what follows a request with that method is
// passed on while it comes, beside the answer.
func TestSource(t *testing.T) {
	both(t, func(c *call) {
		c.hangUp = true
		if c.vars["REQUEST_METHOD"] != "SOURCE" && !strings.HasPrefix(c.head, "SOURCE") {
			c.say(okResponse)
			return
		}
		c.say("HTTP/1.0 200 OK\r\n\r\n")
		b := make([]byte, 5)
		for {
			if _, err := io.ReadFull(c.in, b); err != nil {
				return
			}
			c.say("<" + string(b) + ">")
		}
	}, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("SOURCE /radio HTTP/1.0\r\nHost: a\r\nContent-Type: audio/ogg\r\n\r\n")
		visitor.send("12345")
		head, err := visitor.read(len("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<12345>"))
		if err != nil || !strings.HasSuffix(head, "\r\n\r\n<12345>") {
			t.Fatalf("%q, %v", head, err)
		}
		visitor.send("67890")
		if text, err := visitor.read(7); text != "<67890>" {
			t.Errorf("%q, %v", text, err)
		}
		visitor.closeWrite()
		visitor.wantEnd()
		visitor = f.visit()
		visitor.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		visitor.want("GET", 200, "ok")
	}, "http-manage-source = true")
}
