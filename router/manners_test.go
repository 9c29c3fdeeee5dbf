package router

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestHeadersOfResponses: what options and rules change of a response's head,
// whoever made the response.
func TestHeadersOfResponses(t *testing.T) {
	v := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nX-Powered-By: x\r\nServer: y\r\nContent-Length: 1\r\n\r\na"))
	for _, test := range []struct {
		name     string
		options  []string
		from, to string
		want     string // the head, without the status line
	}{
		{"added and removed", []string{"add-header = X-A: 1", "add-header = X-B:2", "rem-header = x-powered-by"}, "a", "200 OK",
			"Server: y\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 1\r\n"},
		{"by rules", []string{"route-run = addheader:X-R: ${REQUEST_METHOD}", "route-run = delheader:Server"}, "a", "200 OK",
			"X-Powered-By: x\r\nX-R: GET\r\nContent-Length: 1\r\n"},
		{"by rules for responses", []string{"response-route-run = addheader:X-S: yes", "response-route-run = delheader:server"}, "a", "200 OK",
			"X-Powered-By: x\r\nX-S: yes\r\nContent-Length: 1\r\n"},
		{"of our own", []string{"add-header = X-A: 1", "route-host = ^own$ return:403"}, "own", "403 Forbidden",
			"Content-Type: text/plain\r\nX-A: 1\r\nContent-Length: 9\r\n"},
		{"connection kept, in uWSGI's words", []string{"http-keepalive = 0", "add-header = Connection: Keep-Alive"}, "a", "200 OK",
			"X-Powered-By: x\r\nServer: y\r\nContent-Length: 1\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, append(test.options, "http-to = "+v.address)...)
			visitor := f.visit()
			visitor.send(get(test.from))
			got := visitor.head()
			if want := "HTTP/1.1 " + test.to + "\r\n" + test.want; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// head reads a response's head, without the empty line, and its body.
func (v *visitor) head() string {
	v.t.Helper()
	var head strings.Builder
	in := bufio.NewReader(io.TeeReader(v.in, &head))
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if _, err := io.ReadAll(r.Body); err != nil {
		v.t.Error(err)
	}
	text, _, _ := strings.Cut(head.String(), "\r\n\r\n")
	return text + "\r\n"
}

// TestDate: a response without a Date gets one; a vassal's stays.
func TestDate(t *testing.T) {
	v := uwsgiVassal(t, func(c *call) {
		if c.vars["PATH_INFO"] == "/own" {
			c.say("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n")
			return
		}
		c.say(okResponse)
	})
	f := newFront(t, "http-date = true", "http-to = "+v.address)
	if d := f.ask("GET /own HTTP/1.1\r\nHost: a\r\n\r\n").Header["Date"]; len(d) != 1 || d[0] != "Sun, 06 Nov 1994 08:49:37 GMT" {
		t.Errorf("a vassal's Date became %q", d)
	}
	for _, d := range []string{f.ask(get("a")).Header.Get("Date"), f.ask("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n").Header.Get("Date")} {
		if _, err := http.ParseTime(d); err != nil {
			t.Errorf("Date: %q", d)
		}
	}
}

// TestRequestID: one is made, told to the vassal and in the response; that of a
// trusted proxy stays, a stranger's is replaced.
func TestRequestID(t *testing.T) {
	for _, protocol := range []string{"uwsgi", "http"} {
		t.Run(protocol, func(t *testing.T) {
			v := newVassal(t, protocol, "unix", filepath.Join(t.TempDir(), "v.sock"), func(c *call) {
				// Many frameworks answer with the id that they got.
				c.say(strings.Replace(okResponse, "\r\n", "\r\nX-Request-Id: "+c.vars["HTTP_X_REQUEST_ID"]+c.vars["X-Request-ID"]+"\r\n", 1))
			})
			f := newFront(t, "http-request-id = true", "route-run = "+protocol+":"+v.address+",0,0"[:len(",0,0")*b2i(protocol == "uwsgi")])
			id := func(trusted string, sent string) (told, answered string) {
				if err := f.configure("http-request-id = true", "http-trusted-proxies = "+trusted, "route-run = "+protocol+":"+v.address+",0,0"[:len(",0,0")*b2i(protocol == "uwsgi")]); err != nil {
					t.Fatal(err)
				}
				r := f.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: " + sent + "\r\nX-Request-Start: t=1\r\n\r\n")
				calls := v.calls()
				last := calls[len(calls)-1]
				if n := strings.Count(strings.ToUpper(strings.Join(last.names, " ")+" "), "REQUEST"+map[string]string{"uwsgi": "_", "http": "-"}[protocol]+"ID "); n != 1 {
					t.Errorf("the vassal got %d ids: %q", n, last.names)
				}
				return last.vars["HTTP_X_REQUEST_ID"] + last.vars["X-Request-ID"], strings.Join(r.Header["X-Request-Id"], " ")
			}
			made := regexp.MustCompile(`^[0-9a-f]{32}$`)
			if told, answered := id("none", "mine"); told != answered || !made.MatchString(told) {
				t.Errorf("a stranger's: the vassal got %q, the client %q", told, answered)
			}
			if told, answered := id("127.0.0.1", "proxys"); told != "proxys" || answered != "proxys" {
				t.Errorf("a trusted proxy's: the vassal got %q, the client %q", told, answered)
			}
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestHealth: answered by the front itself for any host, also when there is no
// rule, and otherwise while it ends.
func TestHealth(t *testing.T) {
	f := newFront(t, "http-health = /_up")
	visitor := f.visit()
	visitor.send("GET /_up HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n")
	visitor.want("GET", 200, "ok\n")
	f.Hurry()
	visitor.send("GET /_up HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n")
	visitor.want("GET", 503, "ending\n")
}

// TestRateLimit: a visitor who asks too often is told when to come back; others,
// and other hosts, are not affected.
func TestRateLimit(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address, "http-limit-rate = slow 1/h burst=3")
	count := func(address, host string) (ok, refused int) {
		for range 10 {
			r := f.ask("GET / HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-For: " + address + "\r\n\r\n")
			switch r.StatusCode {
			case 200:
				ok++
			case 429:
				refused++
				if r.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			}
		}
		return ok, refused
	}
	if ok, refused := count("192.0.2.1", "slow"); ok != 3 || refused != 7 {
		t.Errorf("%d ok, %d refused", ok, refused)
	}
	if ok, _ := count("192.0.2.2", "slow"); ok != 3 {
		t.Errorf("another visitor: %d ok", ok)
	}
	if ok, _ := count("192.0.2.1", "other"); ok != 10 {
		t.Errorf("another host: %d ok", ok)
	}
	// A reload forgets nobody.
	if err := f.configure("http-to = "+v.address, "http-limit-rate = slow 1/h burst=3", "http-timeout = 5"); err != nil {
		t.Fatal(err)
	}
	if ok, _ := count("192.0.2.1", "slow"); ok != 0 {
		t.Errorf("after a reload: %d ok", ok)
	}
}

// TestVassalLimit: of what is beyond http-limit-vassal, some wait for their turn
// and the rest is told to come back; nobody is sent to the vassal above its limit.
func TestVassalLimit(t *testing.T) {
	inside := make(chan struct{}, 100)
	release := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		inside <- struct{}{}
		<-release
		c.say(okResponse)
	})
	f := newFront(t, "route-run = vassal:v", "http-limit-vassal = 2", "http-limit-vassal-queue = 3")
	f.vassals(row("v", 1, link.Ready, v))
	statuses := make(chan int, 8)
	for range 8 {
		visitor := f.visit()
		go func() {
			visitor.send(get("a"))
			r, _ := visitor.receive("GET")
			statuses <- r.StatusCode
		}()
	}
	for range 3 {
		if s := <-statuses; s != 503 {
			t.Errorf("beyond the queue: %d", s)
		}
	}
	<-inside
	<-inside
	if n := len(v.calls()); n != 2 {
		t.Errorf("%d requests reached the vassal", n)
	}
	close(release)
	for range 5 {
		if s := <-statuses; s != 200 {
			t.Errorf("in the queue: %d", s)
		}
	}
}

// TestPeerLimit: one address may not take all connections, but a trusted proxy
// may.
func TestPeerLimit(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address, "http-limit-peer = 2", "http-trusted-proxies = none")
	a, b := f.visit(), f.visit()
	a.send(get("a"))
	a.want("GET", 200, "*")
	b.send(get("a"))
	b.want("GET", 200, "*")
	c := f.visit()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("the third connection was served: %d bytes", n)
	}
	_ = a.Close()
	eventually(t, "room for another", func() bool { return f.peers.Count(a.LocalAddr().(*net.TCPAddr).AddrPort().Addr()) == 1 })
	d := f.visit()
	d.send(get("a"))
	d.want("GET", 200, "*")
}

// TestCompression: text is compressed for clients that take it, with framing and
// caches told; what a vassal flushes comes at once.
func TestCompression(t *testing.T) {
	page := strings.Repeat("<p>hello</p>", 500)
	goOn := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		switch c.vars["PATH_INFO"] {
		case "/stream":
			c.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
			<-goOn
			c.say("data: 2\n\n")
		default:
			c.say("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"x\"\r\nContent-Length: " + itoa(len(page)) + "\r\n\r\n" + page)
		}
	})
	f := newFront(t, "http-compress = gzip", "http-to = "+v.address)
	ask := func(path, accept string) (*visitor, *http.Response) {
		visitor := f.visit()
		visitor.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n" + accept + "\r\n")
		r, err := http.ReadResponse(visitor.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		return visitor, r
	}
	_, r := ask("/", "Accept-Encoding: gzip\r\n")
	if r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Vary") != "Accept-Encoding" || r.Header.Get("ETag") != `W/"x"` || r.ContentLength != -1 {
		t.Errorf("head: %v, length %d", r.Header, r.ContentLength)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); string(text) != page || err != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, r = ask("/", ""); r.Header.Get("Content-Encoding") != "" || r.ContentLength != int64(len(page)) {
		t.Errorf("nobody asked for it: %v", r.Header)
	}
	_, r = ask("/stream", "Accept-Encoding: gzip\r\n")
	if z, err = gzip.NewReader(r.Body); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 9)
	if _, err := io.ReadFull(z, first); string(first) != "data: 1\n\n" || err != nil {
		t.Errorf("before the stream goes on: %q, %v", first, err)
	}
	close(goOn)
	if rest, err := io.ReadAll(z); string(rest) != "data: 2\n\n" || err != nil {
		t.Errorf("then: %q, %v", rest, err)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// TestAccessLog: a line for each request with where it went and why; a reload goes
// on in the file, and none is lost at the end.
func TestAccessLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	v := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	options := []string{"http-log = " + file, "http-log-format = json", "route-host = ^a$ vassal:v", "route-host = ^gone$ uwsgi:/nowhere.sock,0,0"}
	f := newFront(t, options...)
	f.vassals(row("v", 3, link.Ready, v))
	f.ask("POST /x?y=1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nUser-Agent: \"me\"\r\nContent-Length: 3\r\n\r\nabc")
	// A line is written after its answer.
	eventually(t, "the first line", func() bool { text, _ := os.ReadFile(file); return len(text) > 0 })
	f.ask(get("gone"))
	eventually(t, "the second line", func() bool { text, _ := os.ReadFile(file); return strings.Count(string(text), "\n") == 2 })
	if err := f.configure(append(options, "http-timeout = 7")...); err != nil {
		t.Fatal(err)
	}
	f.ask(get("nobody"))
	f.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []map[string]any
	for line := range strings.Lines(string(text)) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, l)
	}
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), text)
	}
	t.Logf("%s", text)
	for i, want := range []string{
		`"vassal":"v"`, `"status":502`, `"status":404`,
	} {
		line := strings.Split(string(text), "\n")[i]
		if !strings.Contains(line, want) {
			t.Errorf("line %d lacks %s: %s", i+1, want, line)
		}
		if body, _ := lines[i]["body_bytes_sent"].(float64); body <= 0 || body >= lines[i]["bytes_sent"].(float64) {
			t.Errorf("line %d: %v bytes sent, %v of them the body", i+1, lines[i]["bytes_sent"], body)
		}
	}
	for _, want := range []string{"192.0.2.7", "POST", "/x?y=1", v.address, "uwsgi.ini"} {
		if !strings.Contains(strings.Split(string(text), "\n")[0], want) {
			t.Errorf("the first line lacks %s", want)
		}
	}
}

// TestErrorPages: the operator's page for errors of the front, a browser's and a
// program's form of the others, and maintenance for all but those who work on it.
func TestErrorPages(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "down.html"), "<h1>%(host) is down: %(status)</h1>")
	write(t, filepath.Join(dir, "shut.html"), "<h1>back soon</h1>")
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "error-page = 502 "+dir+"/down.html", "maintenance = shut "+dir+"/shut.html retry-after=60 allow=192.0.2.1",
		"route-host = ^gone$ uwsgi:/nowhere.sock,0,0", "http-to = "+v.address)
	if r := f.ask(get("gone")); r.StatusCode != 502 || r.text != "<h1>gone is down: 502</h1>" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		t.Errorf("page: %d %q %v", r.StatusCode, r.text, r.Header)
	}
	if r := f.ask("GET / HTTP/1.1\r\nHost: shut\r\n\r\n"); r.StatusCode != 503 || r.text != "<h1>back soon</h1>" || r.Header.Get("Retry-After") != "60" {
		t.Errorf("maintenance: %d %q %v", r.StatusCode, r.text, r.Header)
	}
	if r := f.ask("GET / HTTP/1.1\r\nHost: shut\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"); r.StatusCode != 200 {
		t.Errorf("maintenance, who works on it: %d", r.StatusCode)
	}
	if r := f.ask("GET /%zz HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n"); r.StatusCode != 400 || !json.Valid([]byte(r.text)) {
		t.Errorf("json: %d %q", r.StatusCode, r.text)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
