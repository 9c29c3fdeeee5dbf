package router

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// TestNothingIsLeft: whatever was asked before on a connection, a request gets the
// answer that it gets on a fresh one, byte for byte; the vassal is sent the same
// (it answers with what it got) and the access log says the same.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	mirrors := newMirrors(t)
	start := func(name string) (f *front, log string) {
		log = filepath.Join(dir, name+".log")
		return mirrors.front(t, "http-log = "+log,
			`http-log-format = %(method) %(uri) %(proto) %(status) %(hsize) %(cl) %(host) "%(referer)" "%(uagent)" %(rid) %(vassal) %(generation) %(upstream) %(rule) %(ended) %(user) %(addr) "%(var.NOTED)" "%(var.SEEN)" "%(var.HTTP_COOKIE)"`,
		), log
	}
	kept, keptLog := start("kept")
	fresh, freshLog := start("fresh")
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SEED"); s != "" {
		_, _ = fmt.Sscan(s, &seed)
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	multiplexed := secureClient(kept, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })

	var connection *visitor
	for n := range 1000 {
		request, method := randomRequest(random, n)
		fresh.discardExchanges()
		alone := fresh.visit()
		want := alone.exchange(request, method)
		_ = alone.Close()
		if connection == nil {
			connection = kept.visit()
		}
		if random.IntN(10) == 0 {
			// Something quite different has the same exchange in between.
			between, err := http.NewRequest([]string{"GET", "POST", "HEAD"}[random.IntN(3)], "http://"+[]string{"uwsgi", "http", "redirect", "static", "shut"}[random.IntN(5)]+"/200/h2?a=b", strings.NewReader(strings.Repeat("x", random.IntN(100_000))))
			if err != nil {
				t.Fatal(err)
			}
			between.Header.Set("X-Want", "note")
			between.Header.Set("Accept-Encoding", "gzip")
			between.Header.Set("X-Forwarded-For", "192.0.2.9")
			r, err := multiplexed.Do(between)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
		got := connection.exchange(request, method)
		if strings.Contains(request, "/early/") {
			// Whether the vassal has answered before the body was there is its luck.
			got.text, want.text = strings.Replace(got.text, "Connection: close\r\n", "", 1), strings.Replace(want.text, "Connection: close\r\n", "", 1)
		}
		if got.text != want.text || got.err != want.err {
			at := 0
			for at < min(len(got.text), len(want.text)) && got.text[at] == want.text[at] {
				at++
			}
			at = max(at-100, 0)
			for _, f := range []*front{kept, fresh} {
				text := f.log.String()
				t.Logf("%s", text[max(0, len(text)-1500):])
			}
			t.Fatalf("request %d: %q\ngot  %q … %q (%v)\nwant %q … %q (%v)", n, cut(request), cut(got.text), cut(got.text[at:]), got.err, cut(want.text), cut(want.text[at:]), want.err)
		}
		if got.ended {
			_ = connection.Close()
			connection = nil
		}
	}
	if connection != nil {
		_ = connection.Close()
	}
	multiplexed.CloseIdleConnections()
	kept.wantIdle(t)
	eventually(t, "connections to end", func() bool { return kept.Count().Connections == 0 && fresh.Count().Connections == 0 })
	kept.wantExchangesClean(t)
	kept.Close()
	fresh.Close()
	compareLines(t, keptLog, freshLog)
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	read := func(name string) []string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// A line is written after its answer, so that those of two connections may
		// change places.
		lines := strings.Split(tooLarge.ReplaceAllString(changing.ReplaceAllString(string(text), "*"), " - "), "\n")
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "/early/") || strings.Contains(line, "/h2") })
		slices.Sort(lines)
		return lines
	}
	g, w := read(got), read(want)
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("line %d of the log:\ngot  %s\nwant %s", i+1, g[i], w[i])
		}
	}
	if len(g) != len(w) || len(g) < 50 {
		t.Errorf("%d lines of log, want %d", len(g), len(w))
	}
}

// discardExchanges makes the next request use a new exchange.
func (f *front) discardExchanges() {
	eventually(f.t.(*testing.T), "connections to end", func() bool { return f.Count().Connections == 0 })
	e := &f.exchanges
	e.mu.Lock()
	kept := e.kept
	e.kept = nil
	e.mu.Unlock()
	for _, x := range kept {
		x.own.Release()
	}
}

// wantExchangesClean complains about what exchanges that nobody uses still know of
// requests: everything but buffers without content.
func (f *front) wantExchangesClean(t *testing.T) {
	t.Helper()
	e := &f.exchanges
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kept) == 0 {
		t.Error("no exchange is kept")
	}
	// What is overwritten before it is read, and refers to nothing but itself.
	exempt := regexp.MustCompile(`^\.(router|own|in|out|back|scratch|framed|compressed|first|last|headEnd|writer|fastcgi|scgi|records|chunks|accepted|choice|file|mine|answerKind|decision\.(walk|buf)|request|response)\b`)
	for _, x := range e.kept {
		leftovers(reflect.ValueOf(x).Elem(), "", func(path string) {
			if !exempt.MatchString(path) {
				t.Errorf("an exchange that nobody uses has x%s", path)
			}
		})
	}
}

// leftovers calls found with the path of every value that is not zero, other than
// slices without elements. Embedded structs have no name, as in code.
func leftovers(v reflect.Value, path string, found func(path string)) {
	if v.Kind() != reflect.Struct {
		if !v.IsZero() && !(v.Kind() == reflect.Slice && v.Len() == 0) {
			found(path)
		}
		return
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := path + "." + f.Name
		if f.Anonymous {
			name = path
		}
		leftovers(v.Field(i), name, found)
	}
}

// exchanged is all that came back for a request, in a form that does not depend on
// how the bytes happened to be cut.
type exchanged struct {
	text  string
	err   string
	ended bool // the connection is of no more use
}

var changing = regexp.MustCompile(`[0-9a-f]{32}|HTTP_X_REQUEST_START=\S+|(REMOTE|SERVER)_PORT=\d+|X-Forwarded-Port: \d+|X-Request-Start: \S+|(?i)http.x.forwarded.port=\d+`)

// How much of a body that is too large has been read is chance.
var tooLarge = regexp.MustCompile(` 3\d{5} `)

// exchange sends a request and reads its response.
func (v *visitor) exchange(request, method string) (e exchanged) {
	v.t.Helper()
	if v.in.Size() < 64<<10 {
		v.in = bufio.NewReaderSize(v.Conn, 64<<10)
	}
	_ = v.SetDeadline(time.Now().Add(patience))
	sent, heads := make(chan struct{}), 0
	go func() {
		defer close(sent)
		_, _ = io.WriteString(v.Conn, request)
	}()
	defer func() {
		if e.ended {
			_ = v.Close()
		}
		<-sent
		// The heads, and no more than a page of errors: with the race detector a long
		// body costs more than its request, and a vassal has changed what it wrote.
		start := min(len(e.text), heads+(2<<10))
		e.text = changing.ReplaceAllString(e.text[:start], "*") + e.text[start:]
	}()
	for {
		head, err := v.peekHead()
		e.text += string(head)
		heads = len(e.text)
		if err != nil {
			return exchanged{text: e.text, err: kindOf(err), ended: true}
		}
		r, err := http.ReadResponse(v.in, &http.Request{Method: method})
		if err != nil {
			return exchanged{text: e.text, err: err.Error(), ended: true}
		}
		if r.StatusCode < 200 && r.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(r.Body)
		if err == nil && len(body) > 0 {
			body, err = decoded(r.Header.Get("Content-Encoding"), body)
		}
		e.text, e.err = e.text+string(body), kindOf(err)
		e.ended = e.err != "" || r.Close
		return e
	}
}

// decoded undoes a Content-Encoding of ours.
func decoded(encoding string, body []byte) ([]byte, error) {
	switch encoding {
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return body, fmt.Errorf("gzip: %w", err)
		}
		return io.ReadAll(z)
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return body, fmt.Errorf("zstd: %w", err)
		}
		defer z.Close()
		return io.ReadAll(z)
	}
	return body, nil
}

// peekHead returns the head that comes next, and leaves it there to be read.
func (v *visitor) peekHead() ([]byte, error) {
	for n := 1; ; n = v.in.Buffered() + 1 {
		_, err := v.in.Peek(n)
		b, _ := v.in.Peek(v.in.Buffered())
		if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
			return bytes.Clone(b[:end+4]), nil
		}
		if err != nil {
			return bytes.Clone(b), err
		}
	}
}

func kindOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "reset"):
		return "ended"
	}
	return err.Error()
}

// randomRequest makes a request for TestNothingIsLeft.
func randomRequest(r *rand.Rand, number int) (request, method string) {
	one := func(words ...string) string { return words[r.IntN(len(words))] }
	method = one("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW")
	host := one("uwsgi", "http", "fastcgi", "scgi", "uwsgi", "http", "secure", "named", "several", "dead", "redirect", "say", "break", "gone", "static", "file", "nobody", "auth", "shut", "unknown")
	path := "/" + one("200", "200", "404", "410", "417", "500", "503", "204", "304", "chunks", "close", "early", "etag", "demand", "hop", "encoded", "none", "torn", "large", "short", "hint",
		"reset", "empty", "moved") + "/" + itoa(number) + one("", "/%41%20b", "?", "?x=1&y=%20", "//x/../y")
	if r.IntN(40) == 0 {
		path = one("/_up", "/%zz", "*", "http://uwsgi/200/absolute", "/200/"+strings.Repeat("long", 1500))
	}
	version := "HTTP/1.1"
	if r.IntN(8) == 0 {
		version = "HTTP/1.0"
	}
	head := fmt.Sprintf("%s %s %s\r\nHost: %s%s\r\n", method, path, version, host, one("", "", ":8080"))
	for range r.IntN(6) {
		head += one(
			"X-Want: var\r\n", "X-Want: note\r\n", "X-Want: quiet\r\n", "X-Want: header\r\n", "X-Want: head\r\n", "X-Want: path\r\n", "X-Want: uri\r\n", "X-Want: user\r\n", "X-Want: gzip\r\n",
			"X-Want: close\r\n", "X-Want: root\r\n", "X-Want: rewrite\r\n", "X-Want: after\r\n", "X-Want: final\r\n",
			"Accept-Encoding: gzip\r\n", "Accept-Encoding: zstd\r\n", "Accept: text/html\r\n", "Accept: application/json\r\n",
			"X-Forwarded-For: 192.0.2.9\r\n", "X-Forwarded-For: 198.51.100.7, 10.0.0.1\r\n", "X-Forwarded-Proto: https\r\n", "X-Request-ID: given\r\n", "Cookie: a=b\r\n",
			"Referer: there\r\n", "User-Agent: me\r\n", "Authorization: Basic am9lOnNlc2FtZQ==\r\n", "Range: bytes=5-9\r\n", "If-None-Match: *\r\n", "X_Under: 1\r\n",
			"Connection: X-Dropped\r\nX-Dropped: 1\r\n", "TE: trailers\r\n", "Upgrade: websocket\r\n", "X-Long: "+strings.Repeat("x", r.IntN(6000))+"\r\n",
		)
	}
	if r.IntN(20) == 0 {
		head += "Connection: close\r\n"
	}
	if method == "GET" && r.IntN(10) > 0 || method == "HEAD" {
		return head + "\r\n", method
	}
	size := r.IntN([]int{3, 100, 5000, 100_000, 350_000}[r.IntN(5)])
	body := string(pattern(size))
	if version == "HTTP/1.1" && r.IntN(10) == 0 {
		head += "Expect: 100-continue\r\n"
	}
	if version == "HTTP/1.0" || r.IntN(2) == 0 {
		return head + "Content-Length: " + itoa(size) + "\r\n\r\n" + body, method
	}
	half := size / 2
	chunks := ""
	for _, piece := range []string{body[:half], body[half:]} {
		if piece != "" {
			chunks += fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
		}
	}
	return head + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n", method
}
