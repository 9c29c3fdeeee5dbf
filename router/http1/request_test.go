package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// summary is a request (or its fault) as text, so that tables stay readable.
func summary(r *Request, n int, err error) string {
	if err != nil {
		e := err.(*Error)
		return fmt.Sprintf("%d %s", e.Status, e.Reason)
	}
	if n == 0 {
		return "more"
	}
	s := fmt.Sprintf("%d bytes: %s %s path=%s", n, r.Method, r.Target, r.Path)
	if r.Query != nil {
		s += fmt.Sprintf(" query=%q", r.Query)
	}
	s += fmt.Sprintf(" 1.%d host=%q %s|%s length=%d", r.Minor, r.HostField, r.Host.Name, r.Host.Port, r.ContentLength)
	for _, flag := range []struct {
		on   bool
		name string
	}{{r.Chunked, "chunked"}, {r.Close, "close"}, {r.KeepAlive, "keep-alive"}, {r.Expect100, "expect"}} {
		if flag.on {
			s += " " + flag.name
		}
	}
	if r.Upgrade != nil {
		s += fmt.Sprintf(" upgrade=%s", r.Upgrade)
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		s += fmt.Sprintf(" [%s: %s", f.Name, f.Value)
		if f.Flags&HopByHop != 0 {
			s += " HOP"
		}
		if f.Flags&Underscore != 0 {
			s += " UNDERSCORE"
		}
		s += "]"
	}
	return s
}

// parsePieces parses head in every way that matters of cutting it up and fails
// unless all agree with parsing it at once.
func parsePieces(t *testing.T, head []byte, limits *Limits) string {
	t.Helper()
	var once Request
	n, err := once.Parse(head, limits)
	want := summary(&once, n, err)

	// Byte by byte, each time in another buffer.
	verdict := func(r *Request, upTo int) string {
		moved := append([]byte("x"), head[:upTo]...)[1:]
		n, err := r.Parse(moved, limits)
		return summary(r, n, err)
	}
	var drip Request
	got := "more"
	for i := 0; i <= len(head) && got == "more"; i++ {
		got = verdict(&drip, i)
		var fresh Request
		if atOnce := verdict(&fresh, i); atOnce != got {
			t.Fatalf("first %d bytes of %q:\nbyte by byte %s\nat once      %s", i, head, got, atOnce)
		}
	}
	if got != want {
		t.Fatalf("%q\nbyte by byte %s\nat once      %s", head, got, want)
	}
	for i := range len(head) {
		var two Request
		if got = verdict(&two, i); got == "more" {
			got = verdict(&two, len(head))
		}
		if got != want {
			t.Fatalf("%q\ncut at %d %s\nat once  %s", head, i, got, want)
		}
	}
	return want
}

func TestRequest(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: h\r\n"
	const post = "POST / HTTP/1.1\r\nHost: h\r\n"
	long := strings.Repeat("a", 255)
	for _, test := range []struct {
		name string // a number is a row of the conformance table
		head string
		want string // the summary, from behind "bytes: " on, or the beginning of a fault
	}{
		// The conformance table.
		{"1 plain", "GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a%20b?x=1 path=/a%20b query="x=1" 1.1 host="h" h| length=-1 [Host: h]`},
		{"2 no Host, 1.1", "GET / HTTP/1.1\r\n\r\n", "400 HTTP/1.1 request without Host"},
		{"2 no Host, 1.0", "GET / HTTP/1.0\r\n\r\n", `GET / path=/ 1.0 host="" | length=-1 close`},
		{"3 empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "400 malformed Host"},
		{"3 blank Host", "GET / HTTP/1.1\r\nHost:  \t \r\n\r\n", "400 malformed Host"},
		{"4 Host of 255", "GET / HTTP/1.1\r\nHost: " + long + "\r\n\r\n", `GET / path=/ 1.1 host="` + long + `" ` + long + "| length=-1 [Host: " + long + "]"},
		{"4 Host of 256", "GET / HTTP/1.1\r\nHost: a" + long + "\r\n\r\n", "400 malformed Host"},
		{"5 two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 more than one Host"},
		{"5 two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 more than one Host"},
		{"6 LF only", "GET / HTTP/1.1\nHost: h\n\n", "400 request line must end in CRLF"},
		{"6 LF in fields", "GET / HTTP/1.1\r\nHost: h\n\r\n", "400 bare LF"},
		{"6 LF as last line", get + "\n", "400 bare LF"},
		{"7 no version", "GET /\r\n\r\n", "400 request line without"},
		{"7 no version, blank", "GET / \r\n\r\n", "400 request line without"},
		{"8 FOO/9", "GET / FOO/9\r\n\r\n", "400 malformed HTTP version"},
		{"8 2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"},
		{"8 HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
		{"8 1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "505"},
		{"8 lower case", "GET / http/1.1\r\nHost: h\r\n\r\n", "400 malformed HTTP version"},
		{"8 1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", "400 malformed HTTP version"},
		{"9 method get", "get / HTTP/1.1\r\nHost: h\r\n\r\n", `get / path=/ 1.1 host="h" h| length=-1 [Host: h]`},
		{"10 repeated", get + "X-Foo: 1\r\nx-foo: 2\r\nX_Foo: 3\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [X-Foo: 1] [x-foo: 2] [X_Foo: 3 UNDERSCORE]`},
		{"13 Proxy", get + "pROXY: x\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [pROXY: x HOP]`},
		{"14 no colon", get + "Foo\r\n\r\n", "400 malformed header name"},
		{"15 blank before colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400 blank between"},
		{"15 tab before colon", get + "X\t: h\r\n\r\n", "400 blank between"},
		{"16 folded", get + "X: a\r\n b\r\n\r\n", "400 folded"},
		{"16 folded by tab", get + "X: a\r\n\tb: c\r\n\r\n", "400 folded"},
		{"16 first line folded", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "400 folded"},
		{"16 only a blank", get + " \r\n\r\n", "400 folded"},
		{"22 body", post + "Content-Length: 5\r\n\r\nabcdeEXTRA", `POST / path=/ 1.1 host="h" h| length=5 [Host: h] [Content-Length: 5]`},
		{"23 no length", post + "\r\nbody", `POST / path=/ 1.1 host="h" h| length=-1 [Host: h]`},
		{"24 chunked", post + "Transfer-Encoding: Chunked\r\n\r\n", `POST / path=/ 1.1 host="h" h| length=-1 chunked [Host: h] [Transfer-Encoding: Chunked HOP]`},
		{"26 length and chunked", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", "400 both"},
		{"26 chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", "400 both"},
		{"27 two lengths", post + "Content-Length: 3\r\nContent-Length: 5\r\n\r\n", "400 Content-Lengths differ"},
		{"27 in other words", post + "Content-Length: 3\r\nContent-Length: 03\r\n\r\n", "400 Content-Lengths differ"},
		{"28 same lengths", post + "Content-Length: 3\r\nX: y\r\nContent-Length: 3\r\n\r\n", `POST / path=/ 1.1 host="h" h| length=3 [Host: h] [Content-Length: 3] [X: y]`},
		{"29 -1", post + "Content-Length: -1\r\n\r\n", "400 Content-Length is not"},
		{"29 +3", post + "Content-Length: +3\r\n\r\n", "400 Content-Length is not"},
		{"29 0x3", post + "Content-Length: 0x3\r\n\r\n", "400 Content-Length is not"},
		{"29 23 digits", post + "Content-Length: 00000000000000000000003\r\n\r\n", "400 Content-Length is not"},
		{"29 list", post + "Content-Length: 3, 3\r\n\r\n", "400 Content-Length is not"},
		{"29 3x", post + "Content-Length: 3x\r\n\r\n", "400 Content-Length is not"},
		{"29 empty", post + "Content-Length:\r\n\r\n", "400 Content-Length is not"},
		{"29 blank inside", post + "Content-Length: 3 3\r\n\r\n", "400 Content-Length is not"},

		// Transfer codings.
		{"gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", "501"},
		{"identity", post + "Transfer-Encoding: identity\r\n\r\n", "501"},
		{"chunked twice in a list", post + "Transfer-Encoding: chunked, chunked\r\n\r\n", "501"},
		{"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400 more than one Transfer"},
		{"xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n", "501"},
		{"quoted", post + "Transfer-Encoding: \"chunked\"\r\n\r\n", "501"},
		{"with parameter", post + "Transfer-Encoding: chunked;a=b\r\n\r\n", "501"},
		{"empty coding", post + "Transfer-Encoding:\r\n\r\n", "501"},
		{"control byte in coding", post + "Transfer-Encoding: \x0bchunked\r\n\r\n", "400 control"},
		{"chunked in 1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Transfer-Encoding in HTTP/1.0"},
		{"underscore twin of coding", post + "Transfer_Encoding: chunked\r\n\r\n", `POST / path=/ 1.1 host="h" h| length=-1 [Host: h] [Transfer_Encoding: chunked UNDERSCORE]`},

		// Bytes that have no place in a head.
		{"CR in value", get + "X: a\rb\r\n\r\n", "400 bare CR"},
		{"CR CR LF", get + "X: a\r\r\n\r\n", "400 bare CR"},
		{"CR in name", get + "X\rY: a\r\n\r\n", "400 bare CR"},
		{"LF in value", get + "X: a\nY: b\r\n\r\n", "400 bare LF"},
		{"NUL in value", get + "X: a\x00b\r\n\r\n", "400 NUL"},
		{"NUL in name", get + "X\x00: b\r\n\r\n", "400 NUL"},
		{"DEL in value", get + "X: a\x7fb\r\n\r\n", "400 control"},
		{"ESC in value", get + "X: aaaaaaaaaaaaaaaaaaaaa\x1bb\r\n\r\n", "400 control"},
		{"tab in value", get + "X: a\tb\tc d\t\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [X: a` + "\tb\tc" + ` d]`},
		{"UTF-8 in value", get + "X: ä\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [X: ä]`},
		{"UTF-8 in name", get + "Ä: x\r\n\r\n", "400 malformed header name"},
		{"empty name", get + ": x\r\n\r\n", "400 malformed header name"},
		{"blank in name", get + "X Y: x\r\n\r\n", "400 malformed header name"},
		{"no value", get + "X:\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [X: ]`},
		{"colon in value", get + "X::y\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [X: :y]`},

		// The request line.
		{"TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00", "400 not an HTTP request"},
		{"leading blank", " GET / HTTP/1.1\r\n", "400 not an HTTP request"},
		{"leading empty lines", "\r\n\r\n" + get + "\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h]`},
		{"three empty lines", "\r\n\r\n\r\n" + get + "\r\n", "400 not an HTTP request"},
		{"leading LF", "\n" + get + "\r\n", "400 not an HTTP request"},
		{"leading CR", "\r" + get + "\r\n", "400 not an HTTP request"},
		{"two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "400 malformed HTTP version|400 malformed request target|400 request target"},
		{"two blanks behind", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", "400 malformed HTTP version"},
		{"tab", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", "400 malformed method"},
		{"blank at the end", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "400 malformed HTTP version"},
		{"blank in target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "400 malformed HTTP version"},
		{"method with colon", "G:T / HTTP/1.1\r\nHost: h\r\n\r\n", "400 malformed method"},
		{"control in target", "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", "400 malformed request target"},
		{"CR in line", "GET /\rX HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"CR before LF", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", "400 malformed HTTP version"},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "400 malformed request target"},
		{"UTF-8 in target", "GET /ä HTTP/1.1\r\nHost: h\r\n\r\n", `GET /ä path=/ä 1.1 host="h" h| length=-1 [Host: h]`},
		{"empty query", "GET /? HTTP/1.1\r\nHost: h\r\n\r\n", `GET /? path=/ query="" 1.1 host="h" h| length=-1 [Host: h]`},
		{"two question marks", "GET /a?b?c HTTP/1.1\r\nHost: h\r\n\r\n", `GET /a?b?c path=/a query="b?c" 1.1 host="h" h| length=-1 [Host: h]`},
		{"double slash", "GET //a HTTP/1.1\r\nHost: h\r\n\r\n", `GET //a path=//a 1.1 host="h" h| length=-1 [Host: h]`},
		{"relative", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", "400 request target must be"},
		{"empty line", "GET / HTTP/1.1\r\nHost: h\r\n", "more"},

		// Forms of the target.
		{"absolute", "GET http://O.example:81/x?y HTTP/1.1\r\nHost: h\r\n\r\n", `GET http://O.example:81/x?y path=/x query="y" 1.1 host="O.example:81" o.example|81 length=-1 [Host: O.example:81]`},
		{"absolute, no path", "GET HTTPS://o HTTP/1.1\r\nHost: h\r\n\r\n", `GET HTTPS://o path=/ 1.1 host="o" o| length=-1 [Host: o]`},
		{"absolute, query only", "GET http://o?x=/ HTTP/1.1\r\nHost: h\r\n\r\n", `GET http://o?x=/ path=/ query="x=/" 1.1 host="o" o| length=-1 [Host: o]`},
		{"absolute 1.0", "GET http://o/ HTTP/1.0\r\n\r\n", `GET http://o/ path=/ 1.0 host="o" o| length=-1 close [Host: o]`},
		{"absolute without Host", "GET http://o/ HTTP/1.1\r\n\r\n", "400 HTTP/1.1 request without Host"},
		{"absolute, bad Host", "GET http://o/ HTTP/1.1\r\nHost: a b\r\n\r\n", "400 malformed Host"},
		{"userinfo", "GET http://u@o/ HTTP/1.1\r\nHost: h\r\n\r\n", "400 request target has a malformed host"},
		{"no authority", "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", "400 request target has a malformed host"},
		{"bare scheme", "GET http:// HTTP/1.1\r\nHost: h\r\n\r\n", "400 request target"},
		{"other scheme", "GET ftp://o/ HTTP/1.1\r\nHost: h\r\n\r\n", "400 request target must be"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", `OPTIONS * path=* 1.1 host="h" h| length=-1 [Host: h]`},
		{"asterisk with GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", "400 request target must be"},
		{"connect", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "405"},

		// Hosts; more in TestHost.
		{"Host with userinfo", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "400 malformed Host"},
		{"Host with slash", "GET / HTTP/1.1\r\nHost: ../out\r\n\r\n", "400 malformed Host"},
		{"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 malformed Host"},
		{"Host canonical", "GET / HTTP/1.1\r\nHost: My_Site.Example.:8080\r\n\r\n", `GET / path=/ 1.1 host="My_Site.Example.:8080" my_site.example|8080 length=-1 [Host: My_Site.Example.:8080]`},

		// Connection and what it lists.
		{"close", get + "Connection: Close\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 close [Host: h] [Connection: Close HOP]`},
		{"close in a list", get + "Connection: foo ,, close\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 close [Host: h] [Connection: foo ,, close HOP]`},
		{"close in a second field", get + "Connection: keep-alive\r\nConnection: close\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 close keep-alive [Host: h] [Connection: keep-alive HOP] [Connection: close HOP]`},
		{"keep-alive in 1.0", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", `GET / path=/ 1.0 host="" | length=-1 keep-alive [Connection: Keep-Alive HOP]`},
		{"listed field", get + "X-A: 1\r\nConnection: x-a, x-b\r\nX-B: 2\r\nX-C: 3\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [X-A: 1 HOP] [Connection: x-a, x-b HOP] [X-B: 2 HOP] [X-C: 3]`},
		{"Host and length can't be listed", post + "Connection: host, content-length\r\nContent-Length: 1\r\n\r\n", `POST / path=/ 1.1 host="h" h| length=1 [Host: h] [Connection: host, content-length HOP] [Content-Length: 1]`},
		{"too many listed", get + "Connection: " + strings.Repeat("a,", 17) + "\r\n\r\n", "400 Connection lists"},
		{"hop-by-hop", get + "TE: trailers\r\nTrailer: x\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [TE: trailers HOP] [Trailer: x HOP] [Keep-Alive: 1 HOP] [Proxy-Connection: x HOP]`},
		{"upgrade", get + "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 keep-alive upgrade=websocket [Host: h] [Connection: keep-alive, Upgrade HOP] [Upgrade: websocket HOP]`},
		{"upgrade not listed", get + "Upgrade: websocket\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [Upgrade: websocket HOP]`},
		{"upgrade in 1.0", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", `GET / path=/ 1.0 host="" | length=-1 close [Connection: upgrade HOP] [Upgrade: websocket HOP]`},
		{"two upgrades", get + "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", `GET / path=/ 1.1 host="h" h| length=-1 [Host: h] [Connection: upgrade HOP] [Upgrade: websocket HOP] [Upgrade: h2c HOP]`},
		{"expect", post + "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n", `POST / path=/ 1.1 host="h" h| length=3 expect [Host: h] [Expect: 100-Continue] [Content-Length: 3]`},
		{"expect in 1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", `POST / path=/ 1.0 host="" | length=-1 close [Expect: 100-continue]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := parsePieces(t, []byte(test.head), &Limits{})
			compareRequest(t, []byte(test.head))
			rewritten(t, []byte(test.head))
			if _, meaning, ok := strings.Cut(got, " bytes: "); ok {
				if meaning != test.want {
					t.Errorf("%q\ngot  %s\nwant %s", test.head, meaning, test.want)
				}
				return
			}
			for _, want := range strings.Split(test.want, "|") {
				if strings.HasPrefix(got, want) {
					return
				}
			}
			t.Errorf("%q\ngot  %s\nwant %s", test.head, got, test.want)
		})
	}
}

func TestRequestLimits(t *testing.T) {
	fields := func(n int) string {
		return "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: y\r\n", n-1) + "\r\n"
	}
	head := fields(20)
	for _, test := range []struct {
		name   string
		head   string
		limits Limits
		want   string
	}{
		{"head fits", head, Limits{Head: len(head)}, fmt.Sprint(len(head), " bytes")},
		{"head a byte too long", head, Limits{Head: len(head) - 1}, "431"},
		{"head with a fault behind the limit", head[:50] + "\x00\r\n\r\n", Limits{Head: 40}, "431"},
		{"fields fit", fields(20), Limits{Fields: 20}, fmt.Sprint(len(head), " bytes")},
		{"one field too many", fields(21), Limits{Fields: 20}, "431 request has too many"},
		{"default fields", fields(100), Limits{}, fmt.Sprint(len(fields(100)), " bytes")},
		{"default fields and one", fields(101), Limits{}, "431 request has too many"},
		{"target fits", "GET /2345 HTTP/1.1\r\nHost: h\r\n\r\n", Limits{Target: 5}, "31 bytes"},
		{"target too long", "GET /23456 HTTP/1.1\r\nHost: h\r\n\r\n", Limits{Target: 5}, "414"},
		{"first line fills the head", "GET /" + strings.Repeat("a", 200), Limits{Head: 100}, "414"},
		{"one field fills the head", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 200), Limits{Head: 100}, "431"},
		{"faulty line fills the head", "GET /\x00" + strings.Repeat("a", 200), Limits{Head: 100}, "414"},
		{"endless names", "GET / HTTP/1.1\r\n" + strings.Repeat("a", 200), Limits{Head: 100}, "431"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := parsePieces(t, []byte(test.head), &test.limits); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}

	// Row 17: a head of 62 KB with the default limits.
	var r Request
	if _, err := r.Parse([]byte("GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("a", 62000)+"\r\n\r\n"), &Limits{}); err == nil || err.(*Error).Status != 431 {
		t.Errorf("62 KB head: %v, want 431", err)
	}
}

// A Request is used again for whatever comes, so nothing may be left of what was.
func TestRequestReuse(t *testing.T) {
	heads := []string{
		browserHead,
		"POST http://Other.Example:81/x HTTP/1.1\r\nHost: UPPER\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, x\r\nUpgrade: websocket\r\nX: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nx: 1\r\n\r\n",
	}
	var used Request
	for range 2 {
		for _, a := range heads {
			for _, b := range heads {
				var fresh Request
				n, err := fresh.Parse([]byte(b), &Limits{})
				want := summary(&fresh, n, err)
				used.Parse([]byte(a), &Limits{})
				n, err = used.Parse([]byte(b), &Limits{})
				if got := summary(&used, n, err); got != want {
					t.Fatalf("after %q: %q is\n%s, want\n%s", a, b, got, want)
				}
				used.Parse([]byte(a)[:len(a)/2], &Limits{})
				used.Reset()
			}
		}
	}
}

func TestPipelined(t *testing.T) {
	buf := []byte(strings.Repeat(browserHead, 3))
	var r Request
	for range 3 {
		n, err := r.Parse(buf, &Limits{})
		if n != len(browserHead) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		buf = buf[n:]
	}
	if n, err := r.Parse(buf, &Limits{}); n != 0 || err != nil {
		t.Fatalf("empty buffer: %d, %v", n, err)
	}
}

func TestNoAllocations(t *testing.T) {
	head, reply := []byte(browserHead), []byte(replyHead)
	odd := []byte("GET http://UPPER.example/ HTTP/1.1\r\nHost: A.B\r\nConnection: x, y\r\nX: 1\r\n\r\n")
	bad := []byte("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")
	var r, o Request
	var s Response
	var limits Limits
	dst := make([]byte, 0, 4096)
	out := RequestHead{ContentLength: 5}
	back := ResponseHead{ContentLength: 5, Close: true}
	n := testing.AllocsPerRun(100, func() {
		r.Parse(head[:len(head)/2], &limits)
		r.Parse(head, &limits)
		dst, _ = r.AppendPath(dst[:0])
		dst = out.Append(dst[:0], &r)
		s.Parse(reply, false, &limits)
		dst = back.Append(dst[:0], &s)
		dst = AppendStatus(dst[:0], 404, "", false, true, nil)
		dst = AppendChunkHeader(dst[:0], 1234567)
		o.Parse(odd, &limits)
		o.Parse(bad, &limits)
	})
	if n != 0 {
		t.Errorf("%v allocations per message, want 0", n)
	}
}

// A head that drips in is searched once, not once per byte: 32 KiB byte by byte
// would otherwise be half a billion steps.
func TestDrip(t *testing.T) {
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 30000) + "\r\n\r\n",
		"GET /" + strings.Repeat("a", 30000) + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat(strings.Repeat("a", 330)+":\r\n", 90) + "\r\n",
	} {
		buf := []byte(head)
		var r Request
		for i := range buf {
			n, err := r.Parse(buf[:i], &Limits{})
			if n != 0 || err != nil {
				t.Fatalf("after %d bytes: %d, %v", i, n, err)
			}
			// Only the bytes since the last search are looked at.
			if i > 1 && r.scan.pos != i {
				t.Fatalf("after %d bytes the search stands at %d", i, r.scan.pos)
			}
		}
		if n, err := r.Parse(buf, &Limits{}); n != len(buf) || err != nil {
			t.Fatalf("whole: %d, %v", n, err)
		}
	}
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]Kind{
		"Connection": Connection, "CONTENT-LENGTH": ContentLength, "content-type": ContentType, "cookie": Cookie, "Date": Date,
		"Expect": Expect, "Forwarded": Forwarded, "hOST": Host, "Keep-Alive": KeepAlive, "proxy": Proxy,
		"Proxy-Connection": ProxyConnection, "Server": Server, "te": TE, "Trailer": Trailer, "transfer-Encoding": TransferEncoding,
		"upgrade": Upgrade, "Via": Via, "X-Forwarded-For": XForwardedFor, "X-Forwarded-Host": XForwardedHost,
		"X-Forwarded-Port": XForwardedPort, "X-Forwarded-Proto": XForwardedProto, "X-Forwarded-SSL": XForwardedSSL,
		"X-Real-IP": XRealIP, "X-Sendfile": XSendfile, "X-Accel-Redirect": XAccelRedirect,
		"": Other, "h": Other, "hosu": Other, "Hos\x0ft": Other, "Content_Length": Other, "X-Forwarded": Other,
	} {
		if got := KindOf([]byte(name)); got != want {
			t.Errorf("KindOf(%q) = %d, want %d", name, got, want)
		}
		if hop := bytes.Contains([]byte(" connection keep-alive proxy-connection te trailer transfer-encoding upgrade proxy "), []byte(" "+strings.ToLower(name)+" ")); name != "" && Kinds(requestHop).Has(KindOf([]byte(name))) != hop {
			t.Errorf("%q is hop-by-hop: %v", name, !hop)
		}
	}
}
