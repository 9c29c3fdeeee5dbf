package http1

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"slices"
	"testing"
)

// net/http is the oracle: whatever this package accepts, net/http must accept
// too, with the same meaning, down to the byte where the message ends. What it
// reads otherwise, and why that is right here:
//
//   - empty lines before a request line: net/http refuses them, RFC 9112 §2.2
//     wants them skipped. The test takes them off first.
//   - escapes of the path: net/http judges them while it reads the head, here
//     AppendPath does. A path that AppendPath refuses is left out.
//   - the field Trailer: net/http refuses some names in it; here trailers are
//     dropped, so nobody cares what was announced. Such messages are left out.
//   - Pragma: no-cache makes net/http invent a Cache-Control field.
//   - an absolute target "http://h" in HTTP/1.0, where a Host field appears here.

// bodyOf reads the body that follows a head from rest in this package's way. ok
// is false when it is incomplete or malformed.
func bodyOf(rest []byte, chunked bool, length int64) (body, behind []byte, ok bool) {
	switch {
	case chunked:
		data, used, done, err := dechunk(rest, len(rest)+1)
		return data, rest[used:], done && err == nil
	case length > 0:
		if int64(len(rest)) < length {
			return nil, nil, false
		}
		return rest[:length], rest[length:], true
	}
	return nil, rest, true
}

// sameFields compares all fields but those that net/http takes out of its map,
// always (Host of requests) or sometimes (Connection: close of responses).
func sameFields(t *testing.T, input []byte, fields []Field, header http.Header) {
	t.Helper()
	ours := http.Header{}
	for i := range fields {
		switch fields[i].Kind {
		case Host, Connection, TransferEncoding, Trailer:
			continue
		}
		ours.Add(textproto.CanonicalMIMEHeaderKey(string(fields[i].Name)), string(fields[i].Value))
	}
	for name, theirs := range header {
		if name == "Host" || name == "Connection" {
			continue
		}
		mine := ours[name]
		if name == "Cache-Control" && mine == nil && ours["Pragma"] != nil {
			continue
		}
		if name == "Content-Length" {
			theirs = theirs[:1]
		}
		if !slices.Equal(mine, theirs) {
			t.Fatalf("%q: field %s is %q, net/http %q", input, name, mine, theirs)
		}
	}
	for name := range ours {
		if header[name] == nil {
			t.Fatalf("%q: field %s is %q, net/http has none", input, name, ours[name])
		}
	}
}

func compareRequest(t *testing.T, input []byte) {
	var r Request
	n, err := r.Parse(input, &Limits{})
	if n == 0 || err != nil {
		return
	}
	if _, err := r.AppendPath(nil); err != nil {
		return
	}
	if slices.ContainsFunc(r.Fields, func(f Field) bool { return f.Kind == Trailer }) {
		return
	}
	theirs := input
	for bytes.HasPrefix(theirs, []byte("\r\n")) {
		theirs = theirs[2:]
	}
	source := bufio.NewReaderSize(bytes.NewReader(theirs), 64<<10)
	req, err := http.ReadRequest(source)
	if err != nil {
		t.Fatalf("%q: accepted, but net/http says: %v", input, err)
	}
	if req.Method != string(r.Method) || req.RequestURI != string(r.Target) || req.Host != string(r.HostField) ||
		req.ProtoMajor != 1 || req.ProtoMinor != r.Minor || req.Close != r.Close {
		t.Fatalf("%q: %s\nnet/http: %q %q host %q 1.%d close %v", input, summary(&r, n, nil), req.Method, req.RequestURI, req.Host, req.ProtoMinor, req.Close)
	}
	if string(r.Path) != "*" {
		path, err := r.AppendPath(nil)
		// net/http leaves dot segments alone, so compare only where there are none.
		if plain := bytes.IndexByte(r.Path, '.') < 0 && !bytes.Contains(bytes.ToLower(r.Path), []byte("%2e")); err == nil && plain && string(path) != req.URL.Path && req.URL.Path != "" {
			t.Fatalf("%q: path %q, net/http %q", input, path, req.URL.Path)
		}
	}
	if string(r.Query) != req.URL.RawQuery {
		t.Fatalf("%q: query %q, net/http %q", input, r.Query, req.URL.RawQuery)
	}
	want := max(r.ContentLength, 0)
	if r.Chunked {
		want = -1
	}
	if req.ContentLength != want || r.Chunked != slices.Equal(req.TransferEncoding, []string{"chunked"}) {
		t.Fatalf("%q: length %d chunked %v, net/http %d %q", input, want, r.Chunked, req.ContentLength, req.TransferEncoding)
	}
	sameFields(t, input, r.Fields, req.Header)

	body, behind, ok := bodyOf(input[n:], r.Chunked, r.ContentLength)
	theirBody, err := io.ReadAll(req.Body)
	if !ok {
		return
	}
	if err != nil || !bytes.Equal(body, theirBody) {
		t.Fatalf("%q: body %q, net/http %q, %v", input, body, theirBody, err)
	}
	if theirRest, _ := io.ReadAll(source); !bytes.Equal(behind, theirRest) {
		t.Fatalf("%q: next request starts at %q, net/http at %q", input, behind, theirRest)
	}
}

func compareResponse(t *testing.T, input []byte, head bool) {
	var r Response
	n, err := r.Parse(input, head, &Limits{})
	if n == 0 || err != nil {
		return
	}
	if slices.ContainsFunc(r.Fields, func(f Field) bool { return f.Kind == Trailer }) {
		return
	}
	req := &http.Request{Method: "GET"}
	if head {
		req.Method = "HEAD"
	}
	source := bufio.NewReaderSize(bytes.NewReader(input), 64<<10)
	resp, err := http.ReadResponse(source, req)
	if err != nil {
		t.Fatalf("%q: accepted, but net/http says: %v", input, err)
	}
	if resp.StatusCode != r.Status || resp.ProtoMinor != r.Minor {
		t.Fatalf("%q: %s, net/http: %q", input, replySummary(&r, n, nil), resp.Status)
	}
	sameFields(t, input, r.Fields, resp.Header)
	if r.Framing == Tunnel {
		return // what follows is not HTTP
	}
	if r.Framing != NoBody && r.Framing != UntilClose && resp.Close != r.Close {
		t.Fatalf("%q: close %v, net/http %v", input, r.Close, resp.Close)
	}
	var body, behind []byte
	ok := true
	switch r.Framing {
	case UntilClose:
		body = input[n:]
	case NoBody:
		behind = input[n:]
	default:
		body, behind, ok = bodyOf(input[n:], r.Framing == InChunks, r.ContentLength)
	}
	theirBody, err := io.ReadAll(resp.Body)
	if !ok {
		return
	}
	if err != nil || !bytes.Equal(body, theirBody) {
		t.Fatalf("%q: body %q, net/http %q, %v", input, body, theirBody, err)
	}
	if theirRest, _ := io.ReadAll(source); !bytes.Equal(behind, theirRest) {
		t.Fatalf("%q: next response starts at %q, net/http at %q", input, behind, theirRest)
	}
}

var requestSeeds = []string{
	browserHead,
	"\r\n\r\nPOST /a%20b/../c?d HTTP/1.1\r\nHost: H.example.:80\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcGET",
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\nGET /",
	"GET http://o:8/x?y HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\nX: 1\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\nX_Y: 1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n\x81\x05",
	"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
	"GET / HTTP/1.1\nHost: h\n\n",
	"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
}

var replySeeds = []string{
	replyHead,
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1",
	"HTTP/1.0 404\r\nKeep-Alive: timeout=5\r\n\r\nnot found",
	"HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n",
	"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
	"Status: 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
}

func FuzzRequestHead(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s), 10)
	}
	f.Fuzz(func(t *testing.T, input []byte, cut int) {
		sameInTwo(t, input, cut)
		compareRequest(t, input)
		rewritten(t, input)
	})
}

func FuzzResponseHead(f *testing.F) {
	for _, s := range replySeeds {
		f.Add([]byte(s), 10, false)
		f.Add([]byte(s), 20, true)
	}
	f.Fuzz(func(t *testing.T, input []byte, cut int, head bool) {
		var once, two Response
		limits := Limits{Head: 500, Fields: 10}
		n, err := once.Parse(input, head, &limits)
		want := replySummary(&once, n, err)
		cut = max(0, cut%(len(input)+1))
		n, err = two.Parse(bytes.Clone(input[:cut]), head, &limits)
		if n == 0 && err == nil {
			n, err = two.Parse(input, head, &limits)
		}
		if got := replySummary(&two, n, err); got != want {
			t.Fatalf("%q\ncut at %d %s\nat once  %s", input, cut, got, want)
		}
		compareResponse(t, input, head)
	})
}

func sameInTwo(t *testing.T, input []byte, cut int) {
	var once, two Request
	limits := Limits{Head: 500, Fields: 10, Target: 100}
	n, err := once.Parse(input, &limits)
	want := summary(&once, n, err)
	cut = max(0, cut%(len(input)+1))
	n, err = two.Parse(bytes.Clone(input[:cut]), &limits)
	if n == 0 && err == nil {
		n, err = two.Parse(input, &limits)
	}
	if got := summary(&two, n, err); got != want {
		t.Fatalf("%q\ncut at %d %s\nat once  %s", input, cut, got, want)
	}
}

// rewritten checks that what goes to a vassal is itself a request of the same
// meaning, for this package and for net/http.
func rewritten(t *testing.T, input []byte) {
	var r Request
	n, err := r.Parse(input, &Limits{})
	if n == 0 || err != nil || len(r.HostField) == 0 {
		return
	}
	out := (&RequestHead{ContentLength: r.ContentLength, Chunked: r.Chunked}).Append(nil, &r)
	var again Request
	n, err = again.Parse(out, &Limits{Head: 1 << 20})
	if n != len(out) || err != nil {
		t.Fatalf("%q was rewritten as %q, which is %s", input, out, summary(&again, n, err))
	}
	if !bytes.Equal(again.Method, r.Method) || !bytes.Equal(again.Path, r.Path) || !bytes.Equal(again.Query, r.Query) ||
		!bytes.Equal(again.HostField, r.HostField) || again.ContentLength != r.ContentLength || again.Chunked != r.Chunked {
		t.Fatalf("%q was rewritten as %q", input, out)
	}
	for i := range again.Fields {
		f := &again.Fields[i]
		if f.Flags != 0 && f.Kind != TransferEncoding {
			t.Fatalf("%q was rewritten as %q, which passes %s on", input, out, f.Name)
		}
	}
	compareRequest(t, out)
}

func TestDifferential(t *testing.T) {
	for _, s := range requestSeeds {
		compareRequest(t, []byte(s))
		rewritten(t, []byte(s))
	}
	for _, s := range replySeeds {
		compareResponse(t, []byte(s), false)
		compareResponse(t, []byte(s), true)
	}
}

// fragments are what smuggling attempts are made of.
var fragments = []string{
	"\r\n", "\n", "\r", " ", "\t", "\x00", "\x0b", "\x7f", "\x80", ":", ",", ";", "#", "?", "/", "//", "..", "%2e", "%", "@", "[", "]", "_", "-", "+", "0x", "0", "1", "3",
	"Host: h\r\n", "Host: i\r\n", "Content-Length: 3\r\n", "Content-Length: 5\r\n", "Content-Length:", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding:",
	"Transfer-Encoding: identity\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n", "Connection:", "X_Y: z\r\n", " folded\r\n",
	"HTTP/1.1", "HTTP/1.0", "GET / HTTP/1.1\r\n", "http://", "chunked", "\r\n\r\n", "3\r\nabc\r\n", "0\r\n\r\n", "1;a=b\r\n", "Expect: 100-continue\r\n", "Pragma: no-cache\r\n",
}

// Random changes to good messages, always the same ones: a fuzzer of which every
// test run does a little.
func TestDifferentialRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	mutate := func(seed string) []byte {
		b := []byte(seed)
		for range 1 + random.IntN(4) {
			at := random.IntN(len(b) + 1)
			cut := min(random.IntN(4)*random.IntN(8), len(b)-at)
			b = slices.Replace(b, at, at+cut, []byte(fragments[random.IntN(len(fragments))])...)
		}
		return b
	}
	accepted := 0
	for range 30000 {
		input := mutate(requestSeeds[random.IntN(len(requestSeeds))])
		sameInTwo(t, input, random.IntN(len(input)+1))
		compareRequest(t, input)
		rewritten(t, input)
		var r Request
		if n, _ := r.Parse(input, &Limits{}); n > 0 {
			accepted++
		}
		reply := mutate(replySeeds[random.IntN(len(replySeeds))])
		compareResponse(t, reply, random.IntN(2) == 0)
	}
	if accepted < 1500 {
		t.Errorf("only %d of 30000 mutants were accepted: the comparison is about nothing", accepted)
	}
}
