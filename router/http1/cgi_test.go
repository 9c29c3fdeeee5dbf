package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// cgiPieces parses head in all prefixes and checks that they never give another
// verdict than the whole.
func cgiPieces(t *testing.T, head []byte, headRequest bool, limits *Limits) string {
	t.Helper()
	var once, drip Response
	n, err := once.ParseCGI(head, headRequest, limits)
	want := replySummary(&once, n, err)
	got := "more"
	for i := 0; i <= len(head) && got == "more"; i++ {
		n, err := drip.ParseCGI(bytes.Clone(head[:i]), headRequest, limits)
		got = replySummary(&drip, n, err)
	}
	if got != want {
		t.Fatalf("%q\nbyte by byte %s\nat once      %s", head, got, want)
	}
	return want
}

func TestCGIResponse(t *testing.T) {
	for _, test := range []struct {
		name, head string
		want       string // "HEAD " before it: in answer to a HEAD request
	}{
		{"PHP", "X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n\r\nhello", `1.1 200 "" until close close [X-Powered-By: PHP/8.2] [Content-type: text/html; charset=UTF-8]`},
		{"status", "Status: 404 Not Found\r\nA: b\r\n\r\n", `1.1 404 "Not Found" until close close [A: b]`},
		{"status last", "A: b\r\nstatus: 404\r\n\r\n", `1.1 404 "" until close close [A: b]`},
		{"location", "Location: https://example.org/\r\n\r\n", `1.1 302 "" until close close [Location: https://example.org/]`},
		{"location with status", "Status: 201 Made\r\nLocation: /a\r\n\r\n", `1.1 201 "Made" until close close [Location: /a]`},
		{"length", "Content-Length: 2\r\n\r\nok", `1.1 200 "" length length=2 close [Content-Length: 2]`},
		{"same lengths", "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", `1.1 200 "" length length=2 close [Content-Length: 2]`},
		{"head", "A: b\r\nContent-Length: 2\r\n\r\n", `HEAD 1.1 200 "" no body length=2 close [A: b] [Content-Length: 2]`},
		{"204", "Status: 204\r\nA: b\r\n\r\n", `1.1 204 "" no body close [A: b]`},
		{"304", "Status: 304 Not Modified\r\nETag: x\r\n\r\n", `1.1 304 "Not Modified" no body close [ETag: x]`},
		{"LF only", "A: b\nC: d\n\nbody", `1.1 200 "" until close close [A: b] [C: d]`},
		{"coding", "Transfer-Encoding: chunked\r\n\r\n2\r\nok", `1.1 200 "" until close close [Transfer-Encoding: chunked HOP]`},
		{"coding and length", "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok", `1.1 200 "" length length=2 close [Transfer-Encoding: chunked HOP] [Content-Length: 2]`},
		{"hop by hop", "Connection: keep-alive, x-a\r\nX-A: 1\r\nA: b\r\n\r\n", `1.1 200 "" until close close [Connection: keep-alive, x-a HOP] [X-A: 1 HOP] [A: b]`},
		{"status line", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", `1.1 200 "OK" length length=2 close [Content-Length: 2]`},
		{"name like HTTP", "HTTP-X: a\r\n\r\n", `1.1 200 "" until close close [HTTP-X: a]`},

		{"nothing", "", "more"},
		{"H", "H", "more"},
		{"short", "Content-Type: text", "more"},
		{"no fields", "\r\nbody", "502 CGI response without"},
		{"no fields, LF", "\nbody", "502 CGI response without"},
		{"text", "Fatal error\nin line 1\n\n", "502 response: malformed header name"},
		{"folded", "A: b\r\n c\r\n\r\n", "502 response: folded"},
		{"NUL", "A: b\x00\r\n\r\n", "502 response: NUL"},
		{"bare CR", "A: b\rc\r\n\r\n", "502 response: bare CR"},
		{"two statuses", "Status: 200\r\nStatus: 404\r\n\r\n", "502 CGI response with more"},
		{"interim", "Status: 103 Early Hints\r\n\r\n", "502 CGI response with a malformed"},
		{"letters", "Status: OK\r\n\r\n", "502 CGI response with a malformed"},
		{"four digits", "Status: 2000\r\n\r\n", "502 CGI response with a malformed"},
		{"lengths differ", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", "502 response has Content-Lengths"},
		{"bad length", "Content-Length: two\r\n\r\n", "502 response's Content-Length"},
		{"switch", "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "502 CGI response that switches"},
		{"too many listed", "Connection: " + strings.Repeat("a,", 17) + "\r\n\r\n", "502 response's Connection"},
		{"too many", strings.Repeat("A: b\r\n", 101) + "\r\n", "502 response has too many"},
		{"too big", "A: " + strings.Repeat("b", 32<<10), "502 response head is too big"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, headRequest := strings.CutPrefix(test.want, "HEAD ")
			got := cgiPieces(t, []byte(test.head), headRequest, &Limits{})
			if at := strings.Index(test.head, "\r\n\r\n"); at >= 0 && !strings.HasPrefix(want, "502") {
				want = fmt.Sprintf("%d bytes: %s", at+4, want)
			} else if at := strings.Index(test.head, "\n\n"); at >= 0 && !strings.HasPrefix(want, "502") {
				want = fmt.Sprintf("%d bytes: %s", at+2, want)
			}
			if got != want && !(strings.HasPrefix(want, "502") && strings.HasPrefix(got, want)) {
				t.Errorf("%q\ngot  %s\nwant %s", test.head, got, want)
			}
		})
	}
}

// TestCGIIsWrittenAsHTTP: what a client gets of a CGI head is HTTP for net/http.
func TestCGIIsWrittenAsHTTP(t *testing.T) {
	var r Response
	head := "Status: 404 Not Here\r\nContent-type: text/html\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	if n, err := r.ParseCGI([]byte(head), false, &Limits{}); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	got := string((&ResponseHead{ContentLength: -1, Chunked: true}).Append(nil, &r))
	const want = "HTTP/1.1 404 Not Here\r\nContent-type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCGIAllocatesNothing(t *testing.T) {
	head := []byte("Status: 404 Not Found\r\nX-Powered-By: PHP/8.2\r\nContent-type: text/html\r\nConnection: x-a\r\nLocation: /\r\n\r\n")
	var r Response
	var limits Limits
	if n := testing.AllocsPerRun(100, func() {
		if n, err := r.ParseCGI(head, false, &limits); n != len(head) || err != nil {
			t.Fatal(n, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCGIResponse(f *testing.F) {
	for _, s := range append(replySeeds, "Status: 404 Not Found\r\nA: b\r\n\r\nbody", "Location: /\n\n", "Content-Length: 5\nTransfer-Encoding: chunked\n\n", "\r\n") {
		f.Add([]byte(s), 5, false)
	}
	f.Fuzz(func(t *testing.T, input []byte, cut int, head bool) {
		var once, two Response
		limits := Limits{Head: 500, Fields: 10}
		n, err := once.ParseCGI(input, head, &limits)
		want := replySummary(&once, n, err)
		cut = max(0, cut%(len(input)+1))
		n, err = two.ParseCGI(bytes.Clone(input[:cut]), head, &limits)
		if n == 0 && err == nil {
			n, err = two.ParseCGI(input, head, &limits)
		}
		if got := replySummary(&two, n, err); got != want {
			t.Fatalf("%q\ncut at %d %s\nat once  %s", input, cut, got, want)
		}
		if n == 0 || err != nil {
			return
		}
		// What is passed on is an HTTP response for the strict parser, with the same
		// meaning.
		out := (&ResponseHead{ContentLength: once.ContentLength}).Append(nil, &once)
		var again Response
		if n, err := again.Parse(out, head, &Limits{Head: 1 << 20}); n != len(out) || err != nil || again.Status != once.Status {
			t.Fatalf("%q was rewritten as %q, which is %s", input, out, replySummary(&again, n, err))
		}
		for i := range again.Fields {
			if again.Fields[i].Flags != 0 {
				t.Fatalf("%q was rewritten as %q, which passes %s on", input, out, again.Fields[i].Name)
			}
		}
	})
}
