package router

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestNothingAmbiguousComesByHTTP2: what HTTP/2 can say and HTTP/1.1 can't, or could be
// taken for two requests there, is refused; and so is what two programs could read
// differently. Other requests of the connection are served.
func TestNothingAmbiguousComesByHTTP2(t *testing.T) {
	const smuggled = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	with := func(more ...field) []field { return append(slices.Clone(asking), more...) }
	instead := func(name, value string) []field {
		fields := slices.Clone(asking)
		for i := range fields {
			if fields[i].name == name {
				fields[i].value = value
			}
		}
		return fields
	}
	without := func(name string) []field {
		return slices.DeleteFunc(slices.Clone(asking), func(f field) bool { return f.name == name })
	}
	for _, protocol := range []string{"uwsgi", "http"} {
		v := newVassal(t, protocol, "unix", t.TempDir()+"/v.sock", echo)
		f := newFront(t, "route-run = "+protocol+":"+v.address+map[string]string{"uwsgi": ",0,0"}[protocol])
		expected := 0
		for _, test := range []struct {
			name   string
			fields []field
			body   string // of more than one DATA frame where it has a bar; "" ends with the head
		}{
			{"CR LF in a value", with(field{"x", "1" + smuggled}), ""},
			{"LF in a value", with(field{"x", "1\ny: 2"}), ""},
			{"CR in a value", with(field{"x", "1\ry: 2"}), ""},
			{"NUL in a value", with(field{"x", "1\x00"}), ""},
			{"DEL in a value", with(field{"x", "1\x7f"}), ""},
			{"blank in a name", with(field{"x y", "1"}), ""},
			{"colon in a name", with(field{"transfer-encoding: chunked\r\nx", "1"}), ""},
			{"CR LF in a name", with(field{"x: 1\r\ncontent-length: 44\r\ny", "1"}), ""},
			{"NUL in a name", with(field{"x\x00", "1"}), ""},
			{"no name", with(field{"", "1"}), ""},
			{"upper case in a name", with(field{"X", "1"}), ""},
			{"LF in the path", instead(":path", "/ HTTP/1.1"+smuggled), ""},
			{"blank in the path", instead(":path", "/ HTTP/1.1"), ""},
			{"tab in the path", instead(":path", "/\tx"), ""},
			{"NUL in the path", instead(":path", "/\x00"), ""},
			{"fragment in the path", instead(":path", "/a#b"), ""},
			{"no slash", instead(":path", "smuggled"), ""},
			{"only a query", instead(":path", "?x"), ""},
			{"empty path", instead(":path", ""), ""},
			{"asterisk", instead(":path", "*"), ""},
			{"address as the path", instead(":path", "http://other/smuggled"), ""},
			{"no path", without(":path"), ""},
			{"two paths", with(field{":path", "/smuggled"}), ""},
			{"a late path", append(append([]field{}, field{"x", "1"}), asking...), ""},
			{"two methods", append([]field{{":method", "POST"}}, asking...), ""},
			{"no method", without(":method"), ""},
			{"blank in the method", instead(":method", "GET /smuggled"), ""},
			{"CR LF in the method", instead(":method", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET"), ""},
			{"tunnel", []field{{":method", "CONNECT"}, {":authority", "a:443"}}, ""},
			{"tunnel by a protocol", append([]field{{":protocol", "websocket"}}, instead(":method", "CONNECT")...), ""},
			{"no scheme", without(":scheme"), ""},
			{"another scheme", instead(":scheme", "file"), ""},
			{"status in a request", append([]field{{":status", "200"}}, asking...), ""},
			{"unknown pseudo-field", append([]field{{":x", "200"}}, asking...), ""},
			{"another host", with(field{"host", "b"}), ""},
			{"two hosts", append(without(":authority"), field{"host", "a"}, field{"host", "b"}), ""},
			{"no host", without(":authority"), ""},
			{"two authorities", append([]field{{":authority", "b"}}, asking...), ""},
			{"host with a path", instead(":authority", "a/../b"), ""},
			{"host with userinfo", instead(":authority", "b@a"), ""},
			{"host with a blank", instead(":authority", "a b"), ""},
			{"host with a NUL", instead(":authority", "a\x00b"), ""},
			{"host with CR LF", instead(":authority", "a\r\nx: y"), ""},
			{"connection", with(field{"connection", "keep-alive, x-real"}), ""},
			{"keep-alive", with(field{"keep-alive", "5"}), ""},
			{"proxy-connection", with(field{"proxy-connection", "close"}), ""},
			{"upgrade", with(field{"upgrade", "h2c"}), ""},
			{"TE", with(field{"te", "gzip"}), ""},
			{"TE chunked", with(field{"transfer-encoding", "chunked"}), "0" + smuggled},
			{"TE xchunked", with(field{"transfer-encoding", "xchunked"}), "0" + smuggled},
			{"CL and TE", with(field{"content-length", "3"}, field{"transfer-encoding", "chunked"}), "abc"},
			{"CL less than the body", with(field{"content-length", "3"}), "abcdef"},
			{"CL less than the body in pieces", with(field{"content-length", "3"}), "abc|def"},
			{"CL more than the body", with(field{"content-length", "30"}), "abc"},
			{"CL without a body", with(field{"content-length", "30"}), ""},
			{"CLs differ", with(field{"content-length", "3"}, field{"content-length", "4"}), "abc"},
			{"CL list", with(field{"content-length", "3, 3"}), "abc"},
			{"CL empty", with(field{"content-length", ""}), "abc"},
			{"CL signed", with(field{"content-length", "+3"}), "abc"},
			{"CL negative", with(field{"content-length", "-3"}), "abc"},
			{"CL hexadecimal", with(field{"content-length", "0x3"}), "abc"},
			{"CL overflows", with(field{"content-length", "18446744073709551619"}), "abc"},
			{"too many fields", with(slices.Repeat([]field{{"x", "1"}}, 300)...), ""},
			{"a field too large", with(field{"x", strings.Repeat("x", 40<<10)}), ""},
			{"a path too long", instead(":path", "/"+strings.Repeat("x", 40<<10)), ""},
		} {
			c := f.frames()
			_ = c.request(1, true, asking...)
			if o := c.outcome(1); o.status != "200" {
				t.Fatalf("a plain request: %+v", o)
			}
			expected++
			send(c, 3, test.fields, test.body)
			o := c.outcome(3)
			if !o.refused() && o.status != "501" {
				t.Errorf("%s, %s: %+v", protocol, test.name, o)
			}
			if o.ended {
				continue
			}
			_ = c.request(5, true, asking...)
			if o := c.outcome(5); o.status != "200" {
				t.Errorf("%s, %s: a plain request afterwards: %+v", protocol, test.name, o)
			}
			expected++
		}
		f.Close()
		for _, c := range v.calls() {
			if c.vars["REQUEST_URI"] != "/" && !strings.HasPrefix(c.head, "GET / HTTP/1.1\r\nHost: a\r\n") || len(c.body) > 0 {
				t.Errorf("%s: the vassal got %v %q %q", protocol, c.vars, c.head, c.body)
			}
		}
		if n := len(v.calls()); n != expected {
			t.Errorf("%s: the vassal got %d requests, want %d", protocol, n, expected)
		}
	}
}

// FuzzHTTP2Request: were the library to let line ends through, the request that is read
// would still be the one that was written, or none.
func FuzzHTTP2Request(f *testing.F) {
	for _, seed := range [][5]string{
		{"GET", "/", "a", "X", "1"}, {"POST", "/x?y", "A.b:80", "Content-Type", "a"}, {"GET", "/", "a", "X", "1\r\nY: 2"},
		{"GET", "/ HTTP/1.1\r\nHost: b\r\n\r\nGET /", "a", "X", "1"}, {"GET", "/", "a\r\nX: 1", "X", "1"}, {"GET", "/", "a", "X: 1\r\nY", "1"},
		{"OPTIONS", "*", "a", "Transfer-Encoding", "chunked"}, {"GET", "/", "a", "Connection", "close"}, {"GET", "/", "a", "", ""}, {"GET", "/", "", "Host", "b"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	router := newFront(f)
	f.Fuzz(func(t *testing.T, method, path, host, name, value string) {
		if strings.Contains(name, ":") {
			return // no name comes with one
		}
		name = http.CanonicalHeaderKey(name) // as the library does with what it lets through
		x := router.exchanges.borrow()
		defer router.exchanges.giveBack(x)
		x.settings = router.current()
		r := &http.Request{Method: method, RequestURI: path, Host: host, Header: http.Header{name: {value}}}
		s := http2Stream{request: r, x: x}
		if s.parse() != nil {
			return
		}
		q := &x.request
		if string(q.Method) != method || string(q.Target) != path || string(q.HostField) != strings.Trim(host, " \t") || q.Minor != 1 || q.Chunked {
			t.Errorf("%q %q %q became %q %q %q %t", method, path, host, q.Method, q.Target, q.HostField, q.Chunked)
		}
		for i := range q.Fields {
			of := string(q.Fields[i].Name)
			if of != "Host" && (of != "Content-Length" || q.ContentLength != 0) && (of != name || string(q.Fields[i].Value) != strings.Trim(value, " \t")) {
				t.Errorf("%q: %q became %q: %q", name, value, of, q.Fields[i].Value)
			}
		}
	})
}

// TestBodyThatWasNotAnnounced: more than Content-Length says is not part of the request,
// whether that is answered before it comes or not; nor is a body whole that is shorter.
func TestBodyThatWasNotAnnounced(t *testing.T) {
	for _, protocol := range []string{"uwsgi", "http"} {
		v := newVassal(t, protocol, "unix", t.TempDir()+"/v.sock", echo)
		f := newFront(t, "route-run = "+protocol+":"+v.address+map[string]string{"uwsgi": ",0,0"}[protocol])
		for _, length := range []int{0, 10, 150_000} {
			for _, off := range []int{1, -1} {
				if length+off < 0 {
					continue
				}
				c := f.frames()
				send(c, 1, append(slices.Clone(asking), field{"content-length", strconv.Itoa(length)}), "|"+strings.Repeat("x", length+off))
				if o := c.outcome(1); !o.refused() && (length > 0 || o.body != "") {
					t.Errorf("%s: %d bytes where %d were announced: %+v", protocol, length+off, length, o)
				}
			}
		}
		f.Close()
		v.stop() // what it was reading is over
		for _, c := range v.calls() {
			if c.err == nil && len(c.body) > 0 {
				t.Errorf("%s: a body of %d bytes looks whole", protocol, len(c.body))
			}
		}
	}
}

// send sends a request with a body.
func send(c *framer, stream uint32, fields []field, body string) {
	block := slices.Clone(c.fields(fields...))
	first := block[:min(len(block), 16<<10)]
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: body == "", EndHeaders: len(first) == len(block)})
	for rest := block[len(first):]; len(rest) > 0; {
		n := min(len(rest), 16<<10)
		_ = c.WriteContinuation(stream, n == len(rest), rest[:n])
		rest = rest[n:]
	}
	for body != "" {
		piece, rest, more := strings.Cut(body, "|")
		for len(piece) > 16<<10 {
			_ = c.WriteData(stream, false, []byte(piece[:16<<10]))
			piece = piece[16<<10:]
		}
		_ = c.WriteData(stream, !more, []byte(piece))
		body = rest
	}
}

// TestHTTP2SaysTheSame: what is not refused reaches a vassal as one request that means
// the same.
func TestHTTP2SaysTheSame(t *testing.T) {
	v := httpVassal(t, echo)
	f := newFront(t, "route-run = http:"+v.address)
	c := f.frames()
	for i, test := range []struct {
		name   string
		fields []field
		body   string
		want   string
	}{
		{"the host as a field", []field{{":method", "GET"}, {":scheme", "http"}, {":path", "/x?y"}, {"host", "A.b"}}, "", "GET /x?y HTTP/1.1\r\nHost: A.b\r\n"},
		{"the host twice", []field{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.b:81"}, {":path", "//x/../y"}, {"host", "a.b:81"}}, "", "GET //x/../y HTTP/1.1\r\nHost: a.b:81\r\n"},
		{"cookies", []field{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}, {"cookie", "a=1"}, {"cookie", "b=2"}}, "", "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\n"},
		{"a length", []field{{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}, {"content-length", "3"}}, "a|bc", "POST / HTTP/1.1\r\nHost: a\r\n"},
		{"no length", []field{{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}}, "a|bc", "POST / HTTP/1.1\r\nHost: a\r\n"},
		{"the server", []field{{":method", "OPTIONS"}, {":scheme", "http"}, {":authority", "a"}, {":path", "*"}}, "", "OPTIONS * HTTP/1.1\r\nHost: a\r\n"},
		{"te", []field{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}, {"te", "trailers"}}, "", "GET / HTTP/1.1\r\nHost: a\r\n"},
	} {
		stream := uint32(2*i + 1)
		send(c, stream, test.fields, test.body)
		if o := c.outcome(stream); o.status != "200" || o.body != strings.ReplaceAll(test.body, "|", "") {
			t.Fatalf("%s: %+v", test.name, o)
		}
		if calls := v.calls(); len(calls) != i+1 || !strings.HasPrefix(calls[i].head, test.want) || strings.Contains(calls[i].head, "Te:") {
			t.Errorf("%s: the vassal got %q, want %q", test.name, calls[len(calls)-1].head, test.want)
		}
	}
}
