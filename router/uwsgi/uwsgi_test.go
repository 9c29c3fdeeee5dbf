package uwsgi

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

type pair struct{ name, value string }

// decode takes a whole packet apart; it must be well-formed.
func decode(t *testing.T, packet []byte) (Header, []pair) {
	t.Helper()
	if len(packet) < HeaderSize {
		t.Fatalf("packet of %d bytes", len(packet))
	}
	h := ParseHeader(packet)
	if h.Size != len(packet)-HeaderSize {
		t.Fatalf("size field %d, packet has %d bytes of variables", h.Size, len(packet)-HeaderSize)
	}
	var vars []pair
	r := NewReader(packet[HeaderSize:])
	for {
		name, value, ok := r.Next()
		if !ok {
			break
		}
		vars = append(vars, pair{string(name), string(value)})
	}
	if r.Err() != nil {
		t.Fatalf("own packet does not decode: %v", r.Err())
	}
	return h, vars
}

func exampleRequest() *Request {
	return &Request{
		Method: []byte("GET"), PathInfo: []byte("/a b"), URI: []byte("/a%20b?x=1"), Query: []byte("x=1"),
		Protocol: "HTTP/1.1", ServerName: "vm", ServerPort: "8080",
		RemoteAddr: []byte("127.0.0.1"), RemotePort: []byte("22200"),
	}
}

// The names, order and values are what uWSGI 2.0.21's HTTP router sent for the
// same request, but for REMOTE_PORT, which it sends with its bytes swapped.
func TestRequestVariables(t *testing.T) {
	withQuery := []pair{
		{"REQUEST_METHOD", "GET"}, {"PATH_INFO", "/a b"}, {"REQUEST_URI", "/a%20b?x=1"}, {"QUERY_STRING", "x=1"},
		{"SERVER_PROTOCOL", "HTTP/1.1"}, {"SCRIPT_NAME", ""}, {"SERVER_NAME", "vm"}, {"SERVER_PORT", "8080"},
		{"UWSGI_ROUTER", "http"}, {"REMOTE_ADDR", "127.0.0.1"}, {"REMOTE_PORT", "22200"},
	}
	without := append([]pair(nil), withQuery...)
	without[1], without[2], without[3] = pair{"REQUEST_URI", "/a%20b"}, pair{"PATH_INFO", "/a b"}, pair{"QUERY_STRING", ""}
	secure := append([]pair(nil), withQuery...)
	secure = append(secure[:9:9], pair{"HTTPS", "on"}, secure[9], secure[10])

	for _, test := range []struct {
		name   string
		change func(*Request)
		want   []pair
	}{
		{"query", func(*Request) {}, withQuery},
		{"no query", func(r *Request) { r.Query, r.URI = nil, []byte("/a%20b") }, without},
		{"TLS", func(r *Request) { r.HTTPS = true }, secure},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := exampleRequest()
			test.change(r)
			var w Writer
			w.Begin([]byte("before"), 5, 7)
			w.Request(r)
			packet, err := w.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(packet, []byte("before")) {
				t.Fatalf("bytes before the packet changed: %q", packet[:6])
			}
			h, vars := decode(t, packet[6:])
			if h.Modifier1 != 5 || h.Modifier2 != 7 {
				t.Errorf("modifiers %d,%d, want 5,7", h.Modifier1, h.Modifier2)
			}
			if fmt.Sprint(vars) != fmt.Sprint(test.want) {
				t.Errorf("variables\n%v, want\n%v", vars, test.want)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	for _, test := range []struct {
		name    string
		headers []string // "name: value"
		want    []pair
	}{
		{"plain", []string{"X-Foo: 1", "accept: */*"}, []pair{{"HTTP_X_FOO", "1"}, {"HTTP_ACCEPT", "*/*"}}},
		{"without prefix", []string{"content-type: a/b", "Content-Length: 3"}, []pair{{"CONTENT_TYPE", "a/b"}, {"CONTENT_LENGTH", "3"}}},
		{"empty value", []string{"X-Foo: "}, []pair{{"HTTP_X_FOO", ""}}},
		{"repeated, underscore twin dropped", []string{"X-Foo: 1", "x-foo: 2", "X_Foo: 3"}, []pair{{"HTTP_X_FOO", "1, 2"}}},
		{"repeated with others behind", []string{"A: 1", "B: 2", "C: 3", "a: 4", "C: 5", "b: 6", "a: 7"},
			[]pair{{"HTTP_A", "1, 4, 7"}, {"HTTP_B", "2, 6"}, {"HTTP_C", "3, 5"}}},
		{"cookie", []string{"Cookie: a=1", "X: y", "cookie: b=2"}, []pair{{"HTTP_COOKIE", "a=1; b=2"}, {"HTTP_X", "y"}}},
		{"set-cookie is not cookie", []string{"Cookie2: a=1", "cookie2: b=2"}, []pair{{"HTTP_COOKIE2", "a=1, b=2"}}},
		{"httpoxy", []string{"Proxy: x", "PROXY: y", "Proxy-X: z"}, []pair{{"HTTP_PROXY_X", "z"}}},
		{"underscore", []string{"Content_Length: 3", "_: 1", "X_: 1"}, nil},
		{"other token characters stay", []string{"X.Dot: 1", "X!~: 2"}, []pair{{"HTTP_X.DOT", "1"}, {"HTTP_X!~", "2"}}},
		{"upgrade", []string{"Connection: Upgrade", "Upgrade: websocket"}, []pair{{"HTTP_CONNECTION", "Upgrade"}, {"HTTP_UPGRADE", "websocket"}}},
		{"same length and ends", []string{"X-abc: 1", "X-bac: 2", "X-abc: 3"}, []pair{{"HTTP_X_ABC", "1, 3"}, {"HTTP_X_BAC", "2"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var w Writer
			w.Begin(nil, 0, 0)
			for _, h := range test.headers {
				name, value, _ := strings.Cut(h, ": ")
				w.Header([]byte(name), []byte(value))
			}
			packet, err := w.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if _, vars := decode(t, packet); fmt.Sprint(vars) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", vars, test.want)
			}
		})
	}
}

// The limit is exact in every way of growing, and nothing of a packet that does
// not fit remains.
// Set replaces whatever variable has the name, wherever it is.
func TestSet(t *testing.T) {
	var w Writer
	w.Begin([]byte("before"), 0, 0)
	w.Request(exampleRequest())
	w.Header([]byte("X-Y"), []byte("theirs"))
	w.Var("LAST", "1")
	for _, name := range []string{"REQUEST_METHOD", "SCRIPT_NAME", "HTTP_X_Y", "LAST", "NEW", "NEW"} {
		w.Set(name, "first")
		w.SetBytes(name, []byte("set"))
	}
	packet, err := w.Finish()
	if err != nil || string(packet[:6]) != "before" {
		t.Fatal(err)
	}
	_, vars := decode(t, packet[6:])
	seen := map[string]string{}
	for _, v := range vars {
		if _, twice := seen[v.name]; twice {
			t.Errorf("%s twice", v.name)
		}
		seen[v.name] = v.value
	}
	for _, name := range []string{"REQUEST_METHOD", "SCRIPT_NAME", "HTTP_X_Y", "LAST", "NEW"} {
		if seen[name] != "set" {
			t.Errorf("%s is %q", name, seen[name])
		}
	}
	if got := vars[len(vars)-1].name; got != "NEW" {
		t.Errorf("%s is the last", got)
	}
}

func TestLimit(t *testing.T) {
	fill := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	for _, test := range []struct {
		name  string
		write func(w *Writer, over int)
	}{
		{"variable", func(w *Writer, over int) { w.VarBytes("K", fill(MaxVars-5+over)) }},
		{"header", func(w *Writer, over int) { w.Header([]byte("K"), fill(MaxVars-10+over)) }},
		{"header without prefix", func(w *Writer, over int) { w.Header([]byte("Content-Type"), fill(MaxVars-16+over)) }},
		{"joined header", func(w *Writer, over int) {
			w.Header([]byte("K"), fill(100))
			w.Header([]byte("K"), fill(MaxVars-10-100-2+over))
		}},
		{"long name", func(w *Writer, over int) { w.Header(fill(MaxVars-9+over), nil) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var w Writer
			w.Begin([]byte("before"), 0, 0)
			test.write(&w, 0)
			w.Header([]byte("Dropped_one"), fill(70000))
			packet, err := w.Finish()
			if err != nil {
				t.Fatalf("65535 bytes: %v", err)
			}
			if h, _ := decode(t, packet[6:]); h.Size != MaxVars {
				t.Fatalf("size %d, want %d", h.Size, MaxVars)
			}
			w.Begin([]byte("before"), 0, 0)
			test.write(&w, 1)
			w.Var("SMALL", "fits, but must not be sent alone")
			packet, err = w.Finish()
			if !errors.Is(err, ErrTooLarge) || string(packet) != "before" {
				t.Fatalf("65536 bytes: %d bytes, error %v", len(packet), err)
			}
		})
	}
}

func TestReaderFaults(t *testing.T) {
	for _, test := range []struct {
		name, vars string
		want       error
		pairs      int
	}{
		{"empty", "", nil, 0},
		{"one", "\x01\x00a\x01\x00b", nil, 1},
		{"empty value", "\x01\x00a\x00\x00", nil, 1},
		{"empty name", "\x00\x00\x01\x00b", ErrEmptyName, 0},
		{"half a length", "\x01", ErrTruncated, 0},
		{"name cut", "\x02\x00a", ErrTruncated, 0},
		{"no value", "\x01\x00a", ErrTruncated, 0},
		{"half a value length", "\x01\x00a\x01", ErrTruncated, 0},
		{"value cut", "\x01\x00a\x02\x00b", ErrTruncated, 0},
		{"second cut", "\x01\x00a\x01\x00b\xff\xffc", ErrTruncated, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader([]byte(test.vars))
			n := 0
			for {
				if _, _, ok := r.Next(); !ok {
					break
				}
				n++
			}
			if r.Err() != test.want || n != test.pairs {
				t.Errorf("%d variables, error %v, want %d, %v", n, r.Err(), test.pairs, test.want)
			}
		})
	}
}

// TestRealVassal has an unmodified uWSGI read our packet.
func TestRealVassal(t *testing.T) {
	uwsgi, err := exec.LookPath("uwsgi")
	if err != nil {
		t.Fatalf("this test needs uWSGI with its python3 plugin: %v", err)
	}
	app := filepath.Join(t.TempDir(), "app.py")
	err = os.WriteFile(app, []byte(`
def application(env, start_response):
    start_response("200 OK", [])
    for k in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_PORT", "CONTENT_LENGTH", "HTTP_COOKIE", "HTTP_X_FOO"):
        yield (k + "=" + env.get(k, "-") + "\n").encode()
    yield env["wsgi.input"].read()
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var w Writer
	w.Begin(nil, 0, 0)
	w.Request(exampleRequest())
	for _, h := range []string{"Content-Length: 4", "Cookie: a=1", "X-Foo: 1", "Cookie: b=2", "X_Foo: 2"} {
		name, value, _ := strings.Cut(h, ": ")
		w.Header([]byte(name), []byte(value))
	}
	packet, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	answer := askVassal(t, uwsgi, app, append(packet, "body"...))
	const want = "HTTP/1.1 200 OK\r\n\r\nREQUEST_METHOD=GET\nPATH_INFO=/a b\nQUERY_STRING=x=1\nREMOTE_PORT=22200\nCONTENT_LENGTH=4\n" +
		"HTTP_COOKIE=a=1; b=2\nHTTP_X_FOO=1\nbody"
	if answer != want {
		t.Errorf("vassal answered\n%q, want\n%q", answer, want)
	}
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte("\x01\x00a\x01\x00b"), []byte("Cookie:a\nX-Y:1\ncookie:b\nX_Y:2"))
	f.Add([]byte("\x00\x00\x01\x00b"), []byte("Proxy:x\nContent-Length:3\nContent-Length:3"))
	f.Add([]byte("\xff\xffabc"), bytes.Repeat([]byte("A:bbbbbbbbbbbb\n"), 100))
	f.Fuzz(func(t *testing.T, vars, headers []byte) {
		// Reading: what was read, written again, is what was there.
		r := NewReader(vars)
		var again []byte
		for {
			name, value, ok := r.Next()
			if !ok {
				break
			}
			var w Writer
			w.Begin(nil, 0, 0)
			w.VarBytes(string(name), value)
			packet, err := w.Finish()
			if err != nil {
				return
			}
			again = append(again, packet[HeaderSize:]...)
		}
		if r.Err() == nil && !bytes.Equal(again, vars) {
			t.Fatalf("read %q, written %q", vars, again)
		}

		// Writing: the same as a map that joins.
		want := map[string]string{}
		var w Writer
		w.Begin(nil, 1, 2)
		for _, line := range bytes.Split(headers, []byte("\n")) {
			name, value, _ := bytes.Cut(line, []byte(":"))
			w.Header(name, value)
			if len(name) == 0 || bytes.ContainsAny(name, "_\x00") {
				continue
			}
			upper := make([]byte, len(name))
			for i, c := range name {
				switch {
				case c >= 'a' && c <= 'z':
					c -= 32
				case c == '-':
					c = '_'
				}
				upper[i] = c
			}
			key := string(upper)
			if key == "PROXY" {
				continue
			}
			if key != "CONTENT_TYPE" && key != "CONTENT_LENGTH" {
				key = "HTTP_" + key
			}
			if old, ok := want[key]; !ok {
				want[key] = string(value)
			} else if key == "HTTP_COOKIE" {
				want[key] = old + "; " + string(value)
			} else {
				want[key] = old + ", " + string(value)
			}
		}
		size := 0
		for k, v := range want {
			size += 4 + len(k) + len(v)
		}
		packet, err := w.Finish()
		if (err != nil) != (size > MaxVars) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err != nil {
			return
		}
		_, got := decode(t, packet)
		if len(got) != len(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		for _, p := range got {
			if want[p.name] != p.value {
				t.Fatalf("%s = %q, want %q", p.name, p.value, want[p.name])
			}
		}
	})
}

func BenchmarkPacket(b *testing.B) {
	r := exampleRequest()
	headers := [][2][]byte{}
	for _, h := range []string{
		"Host: www.example.com", "Cache-Control: max-age=0",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"Sec-Fetch-Mode: navigate", "Referer: https://www.example.com/blog/", "Accept-Encoding: gzip, deflate, br",
		"Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
	} {
		name, value, _ := strings.Cut(h, ": ")
		headers = append(headers, [2][]byte{[]byte(name), []byte(value)})
	}
	var w Writer
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		w.Begin(buf[:0], 0, 0)
		w.Request(r)
		for i := range headers {
			w.Header(headers[i][0], headers[i][1])
		}
		if _, err := w.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	r := exampleRequest()
	var w Writer
	buf := make([]byte, 0, 4096)
	name, value := []byte("Cookie"), []byte("a=b")
	n := testing.AllocsPerRun(100, func() {
		w.Begin(buf[:0], 0, 0)
		w.Request(r)
		w.Header(name, value)
		w.Header(name, value)
		w.Finish()
	})
	if n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}
