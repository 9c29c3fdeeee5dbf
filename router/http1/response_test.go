package http1

import (
	"fmt"
	"strings"
	"testing"
)

func replySummary(r *Response, n int, err error) string {
	if err != nil {
		e := err.(*Error)
		return fmt.Sprintf("%d %s", e.Status, e.Reason)
	}
	if n == 0 {
		return "more"
	}
	s := fmt.Sprintf("%d bytes: 1.%d %d %q %s", n, r.Minor, r.Status, r.Reason,
		[]string{"no body", "length", "chunked", "until close", "tunnel"}[r.Framing])
	if r.ContentLength >= 0 {
		s += fmt.Sprintf(" length=%d", r.ContentLength)
	}
	if r.Close {
		s += " close"
	}
	if r.IdleTimeout >= 0 {
		s += fmt.Sprintf(" idle=%d", r.IdleTimeout)
	}
	if r.Upgrade != nil {
		s += fmt.Sprintf(" upgrade=%s", r.Upgrade)
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		s += fmt.Sprintf(" [%s: %s", f.Name, f.Value)
		if !f.EndToEnd() {
			s += " HOP"
		}
		s += "]"
	}
	return s
}

func replyPieces(t *testing.T, head []byte, headRequest bool, limits *Limits) string {
	t.Helper()
	verdict := func(r *Response, upTo int) string {
		moved := append([]byte("x"), head[:upTo]...)[1:]
		n, err := r.Parse(moved, headRequest, limits)
		return replySummary(r, n, err)
	}
	var once Response
	want := verdict(&once, len(head))
	var drip Response
	got := "more"
	for i := 0; i <= len(head) && got == "more"; i++ {
		got = verdict(&drip, i)
		var fresh Response
		if atOnce := verdict(&fresh, i); atOnce != got {
			t.Fatalf("first %d bytes of %q:\nbyte by byte %s\nat once      %s", i, head, got, atOnce)
		}
	}
	if got != want {
		t.Fatalf("%q\nbyte by byte %s\nat once      %s", head, got, want)
	}
	for i := range len(head) {
		var two Response
		if got = verdict(&two, i); got == "more" {
			got = verdict(&two, len(head))
		}
		if got != want {
			t.Fatalf("%q\ncut at %d %s\nat once  %s", head, i, got, want)
		}
	}
	return want
}

func TestResponse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, test := range []struct {
		name, head string
		want       string // "HEAD " before it: in answer to a HEAD request
	}{
		{"length", ok + "Content-Length: 2\r\n\r\nok", `1.1 200 "OK" length length=2 [Content-Length: 2]`},
		{"no length", ok + "\r\n", `1.1 200 "OK" until close close`},
		{"1.0", "HTTP/1.0 200 OK\r\n\r\n", `1.0 200 "OK" until close close`},
		{"1.0 with length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", `1.0 200 "OK" length length=2 close [Content-Length: 2]`},
		{"1.0 kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n", `1.0 200 "OK" length length=2 [Connection: keep-alive HOP] [Content-Length: 2]`},
		{"chunked", ok + "Transfer-Encoding: chunked\r\n\r\n", `1.1 200 "OK" chunked [Transfer-Encoding: chunked HOP]`},
		{"close", ok + "Connection: close\r\nContent-Length: 0\r\n\r\n", `1.1 200 "OK" length length=0 close [Connection: close HOP] [Content-Length: 0]`},
		{"no reason", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", `1.1 404 "" length length=0 [Content-Length: 0]`},
		{"empty reason", "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", `1.1 404 "" length length=0 [Content-Length: 0]`},
		{"long reason", "HTTP/1.1 404 Nicht da, schade ä\r\nContent-Length: 0\r\n\r\n", `1.1 404 "Nicht da, schade ä" length length=0 [Content-Length: 0]`},
		{"LF only", "HTTP/1.1 200 OK\nA: b\n\n", `1.1 200 "OK" until close close [A: b]`},
		{"LF mixed", "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\n", `1.1 200 "OK" until close close [A: b] [C: d]`},
		{"head", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", `HEAD 1.1 200 "OK" no body length=2 [Content-Length: 2]`},
		{"head chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", `HEAD 1.1 200 "OK" no body [Transfer-Encoding: chunked HOP]`},
		{"head nothing", "HTTP/1.1 200 OK\r\n\r\n", `HEAD 1.1 200 "OK" no body`},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", `1.1 204 "No Content" no body`},
		{"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", `1.1 304 "Not Modified" no body length=7 [Content-Length: 7]`},
		{"100", "HTTP/1.1 100 Continue\r\n\r\n", `1.1 100 "Continue" no body`},
		{"103", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", `1.1 103 "Early Hints" no body [Link: a]`},
		{"101", "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", `1.1 101 "Switching" tunnel upgrade=websocket [Connection: Upgrade HOP] [Upgrade: websocket HOP]`},
		{"101 to what", "HTTP/1.1 101 Switching\r\n\r\n", "502 response 101"},
		{"same lengths", ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n", `1.1 200 "OK" length length=2 [Content-Length: 2]`},
		{"listed", ok + "X-A: 1\r\nConnection: x-a\r\nContent-Length: 2\r\n\r\n", `1.1 200 "OK" length length=2 [X-A: 1 HOP] [Connection: x-a HOP] [Content-Length: 2]`},
		{"underscore", ok + "X_A: 1\r\nContent-Length: 2\r\n\r\n", `1.1 200 "OK" length length=2 [X_A: 1] [Content-Length: 2]`},
		{"idle timeout", ok + "Keep-Alive: max=5, Timeout=30\r\nContent-Length: 2\r\n\r\n", `1.1 200 "OK" length length=2 idle=30 [Keep-Alive: max=5, Timeout=30 HOP] [Content-Length: 2]`},
		{"status 999", "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", `1.1 999 "X" length length=0 [Content-Length: 0]`},

		{"garbage", "this is not http", "502 response is not HTTP"},
		{"CGI", "Status: 200 OK\r\n\r\n", "502 response is not HTTP"},
		{"short", "HTTP/1", "more"},
		{"nothing", "", "more"},
		{"HTTP/2", "HTTP/2 200\r\n\r\n", "502 response is not HTTP"},
		{"1.2", "HTTP/1.2 200 OK\r\n\r\n", "502 malformed status"},
		{"099", "HTTP/1.1 099 OK\r\n\r\n", "502 malformed status"},
		{"two digits", "HTTP/1.1 20 OK\r\n\r\n", "502 malformed status"},
		{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "502 malformed status"},
		{"letters", "HTTP/1.1 2x0 OK\r\n\r\n", "502 malformed status"},
		{"two blanks", "HTTP/1.1  200 OK\r\n\r\n", "502 malformed status"},
		{"no status", "HTTP/1.1\r\n\r\n", "502 malformed status"},
		{"control in reason", "HTTP/1.1 200 O\x01K\r\n\r\n", "502 malformed status"},
		{"CR in reason", "HTTP/1.1 200 O\rK\r\n\r\n", "502 malformed status"},
		{"two CR", "HTTP/1.1 200 OK\r\r\n\r\n", "502 malformed status"},
		{"length and chunked", ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "502 response has both"},
		{"length and chunked to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "502 response has both"},
		{"lengths differ", ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", "502 response has Content-Lengths"},
		{"bad length", ok + "Content-Length: 2, 2\r\n\r\n", "502 response's Content-Length"},
		{"gzip", ok + "Transfer-Encoding: gzip\r\n\r\n", "502 response has a Transfer"},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "502 response has a Transfer"},
		{"chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "502 response has Transfer"},
		{"folded", ok + "A: b\r\n c\r\n\r\n", "502 response: folded"},
		{"NUL", ok + "A: b\x00\r\n\r\n", "502 response: NUL"},
		{"bare CR", ok + "A: b\rc\r\n\r\n", "502 response: bare CR"},
		{"no colon", ok + "A\r\n\r\n", "502 response: malformed"},
		{"blank before colon", ok + "A : b\r\n\r\n", "502 response: blank"},
		{"too many listed", ok + "Connection: " + strings.Repeat("a,", 17) + "\r\n\r\n", "502 response's Connection"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, headRequest := strings.CutPrefix(test.want, "HEAD ")
			got := replyPieces(t, []byte(test.head), headRequest, &Limits{})
			compareResponse(t, []byte(test.head), headRequest)
			if _, meaning, ok := strings.Cut(got, " bytes: "); ok {
				got = meaning
			} else if strings.HasPrefix(got, want) {
				return
			}
			if got != want {
				t.Errorf("%q\ngot  %s\nwant %s", test.head, got, want)
			}
		})
	}
	for name, limits := range map[string]*Limits{"head": {Head: 30}, "fields": {Fields: 2}} {
		if got := replyPieces(t, []byte(ok+"A: b\r\nC: d\r\nE: f\r\n\r\n"), false, limits); !strings.HasPrefix(got, "502 response h") {
			t.Errorf("limit of %s: %s", name, got)
		}
	}
}

// TestEchoedVersion: uWSGI begins its answer with the version that it was told.
func TestEchoedVersion(t *testing.T) {
	for _, test := range []struct {
		head string
		echo bool
		want string
	}{
		{"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n", true, `38 bytes: 1.1 200 "OK" length length=2 [Content-Length: 2]`},
		{"HTTP/2.0 204\r\n\r\n", true, `16 bytes: 1.1 204 "" no body`},
		{"HTTP/1.0 204\r\n\r\n", true, `16 bytes: 1.0 204 "" no body close`},
		{"HTTP/2.1 200 OK\r\n\r\n", true, "502 malformed status line"},
		{"HTTP/2 200 OK\r\n\r\n", true, "502 response is not HTTP/1.x"},
		{"HTTP/2.00 200\r\n\r\n", true, "502 malformed status line"},
		{"HTTP/2.0 200 OK\r\n\r\n", false, "502 response is not HTTP/1.x"},
	} {
		if got := replyPieces(t, []byte(test.head), false, &Limits{Echo: test.echo}); got != test.want {
			t.Errorf("%q, %t: %s, want %s", test.head, test.echo, got, test.want)
		}
	}
}
