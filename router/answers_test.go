package router

import (
	"compress/gzip"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestChangedStatusIsFramed: where a rule changes the status of a response to one
// that has no body, or from one, or makes another method of the client's, the
// client still knows where the response ends.
func TestChangedStatusIsFramed(t *testing.T) {
	const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	for _, test := range []struct {
		name, rule, method, answer string
		want                       string // the head without its fields, and the body
	}{
		{"204 of a 200", "response-route-run = clearheaders:204", "GET", hello, "204 No Content\r\n\r\n"},
		{"304 of a 200", "response-route-run = clearheaders:304", "GET", hello, "304 Not Modified\r\n\r\n"},
		{"204 of chunks", "response-route-run = clearheaders:204", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "204 No Content\r\n\r\n"},
		{"204 of what ends with the connection", "response-route-run = clearheaders:204", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", "204 No Content\r\n\r\n"},
		{"200 of a 204", "response-route-run = clearheaders:200", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"404 of a 304", "response-route-run = clearheaders:404", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "404 Not Found\r\nContent-Length: 0\r\n\r\n"},
		{"404 of a 200, HEAD", "response-route-run = clearheaders:404", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "404 Not Found\r\nContent-Length: 5\r\n\r\n"},
		{"404 of a 304, HEAD", "response-route-run = clearheaders:404", "HEAD", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "404 Not Found\r\nContent-Length: 7\r\n\r\n"},
		{"403 of a 200", "response-route-run = clearheaders:403", "GET", hello, "403 Forbidden\r\nContent-Length: 5\r\n\r\nhello"},
		{"HEAD of a GET", "route-run = setmethod:HEAD", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"HEAD of a GET, 204", "route-run = setmethod:HEAD", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content\r\n\r\n"},
		{"HEAD of a GET, 304", "route-run = setmethod:HEAD", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n", "304 Not Modified\r\n\r\n"},
		{"GET of a HEAD", "route-run = setmethod:GET", "HEAD", hello, "200 OK\r\nContent-Length: 5\r\n\r\n"},
		{"of our own", "response-route-run = clearheaders:204", "GET", "", "204 No Content\r\n\r\n"},
		{"of our own, 304 made 200", "error-route-run = return:304\nresponse-route-run = clearheaders:200", "GET", "", "200 OK\r\nContent-Length: 0\r\n\r\n"},
	} {
		for _, protocol := range []string{"uwsgi", "http"} {
			t.Run(strings.ReplaceAll(test.name, ",", "")+"/"+protocol, func(t *testing.T) {
				options := strings.Split(test.rule, "\n")
				if test.answer != "" {
					v := newVassal(t, protocol, "unix", filepath.Join(t.TempDir(), "v.sock"), func(c *call) {
						c.say(test.answer)
						c.hangUp = true
					})
					options = append(options, "route-run = "+protocol+":"+v.address+map[string]string{"uwsgi": ",0,0"}[protocol])
				}
				visitor := newFront(t, options...).visit()
				visitor.send(test.method + " / HTTP/1.1\r\nHost: a\r\n\r\n" + "GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				if got, next, _ := strings.Cut(visitor.rest(), "HTTP/1.1 400"); got != "HTTP/1.1 "+test.want || next == "" {
					t.Errorf("got  %q and then %q\nwant %q and then the next response", got, cut(next), "HTTP/1.1 "+test.want)
				}
			})
		}
	}
}

// TestCompressedAnswers: answers of the front's own and files are compressed as a
// vassal's are, and HEAD has no body all the same.
func TestCompressedAnswers(t *testing.T) {
	dir := t.TempDir()
	page := strings.Repeat("<p>hello</p>", 500)
	write(t, filepath.Join(dir, "404.html"), page)
	write(t, filepath.Join(dir, "gone.html"), page)
	write(t, filepath.Join(dir, "zipped"), page)
	f := newFront(t, "http-compress = gzip", "error-page = 404 "+filepath.Join(dir, "404.html"),
		"route = ^/file static:"+dir+"/gone.html",
		"response-route = ^/zipped addheader:Content-Encoding: gzip",
		"route = ^/zipped file:filename="+dir+"/zipped")
	visitor := f.visit()
	for _, path := range []string{"/nothing", "/file"} {
		for _, method := range []string{"HEAD", "GET", "HEAD", "GET"} {
			visitor.send(method + " " + path + " HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n\r\n")
			r, err := http.ReadResponse(visitor.in, &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			if r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s %s: %v", method, path, r.Header)
			}
			if method == "HEAD" {
				continue
			}
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(z); string(text) != page || err != nil {
				t.Errorf("%s: %d bytes, %v", path, len(text), err)
			}
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}
	visitor.send("GET /zipped HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	if r := visitor.want("GET", 200, page); len(r.Header["Content-Encoding"]) != 1 {
		t.Errorf("a file that a rule says is compressed already: %v", r.Header)
	}
}

// TestRuleAnswersDuringAnUpload: a rule may replace a response that comes before
// the request's body is there.
func TestRuleAnswersDuringAnUpload(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "410.html"), "gone for good")
	for _, answer := range []string{"return:410 gone", "file:filename=" + dir + "/410.html,status=410", "redirect:/elsewhere"} {
		both(t, func(c *call) {
			c.say("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
			c.hangUp = true
			_, _ = io.Copy(io.Discard, c.in)
		}, func(t *testing.T, f *front, v *vassal) {
			visitor := f.visit()
			visitor.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
			for range 10 {
				if _, err := visitor.Write(pattern(100_000)); err != nil {
					break
				}
			}
			r, _ := visitor.receive("POST")
			if r.StatusCode != 410 && r.StatusCode != 302 || !r.Close {
				t.Errorf("%d %q %v", r.StatusCode, r.text, r.Header)
			}
		}, "error-route-status = 404 "+answer)
	}
}

// TestErrorPageByRule: a page that a rule puts in the place of an error is sent
// whole, whatever the request was: conditions and ranges were meant for what was
// asked for.
func TestErrorPageByRule(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "404.html"), "not here, sorry")
	write(t, filepath.Join(dir, "file.html"), strings.Repeat("a file", 10_000))
	v := uwsgiVassal(t, answering("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"))
	f := newFront(t, "error-route-status = 404 file:filename="+dir+"/404.html,status=404",
		"route = ^/down file:filename="+dir+"/404.html,status=503",
		"route = ^/file static:"+dir+"/file.html", "response-route = ^/file file:filename="+dir+"/404.html,status=410", "http-to = "+v.address)
	visitor := f.visit()
	for range 3 {
		// A file in the place of a file.
		visitor.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
		visitor.want("GET", 410, "not here, sorry")
	}
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
	} {
		visitor.send(request)
		visitor.want("GET", 404, "not here, sorry")
		visitor = f.visit()
		visitor.send(strings.Replace(request, " / ", " /down ", 1))
		visitor.want("GET", 503, "not here, sorry")
		visitor = f.visit()
	}
}

// TestHeadThatBreaksOff: what came of a response head that broke off is forgotten
// with it.
func TestHeadThatBreaksOff(t *testing.T) {
	both(t, func(c *call) {
		c.hangUp = true
		if strings.Contains(c.vars["PATH_INFO"]+c.head, "/broken") {
			c.say("HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 3000))
			return
		}
		c.say(okResponse)
	}, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n" + get("a"))
		visitor.want("GET", 502, "*")
		visitor.want("GET", 200, "ok")
	})
}

// TestRawBodyAndConnections: where the front passes on what follows a request that
// announces no body, websockets still work and no connection to a vassal is kept
// on which such bytes were sent: the vassal may take them for a request.
func TestRawBodyAndConnections(t *testing.T) {
	both(t, func(c *call) {
		if strings.Contains(c.vars["PATH_INFO"]+c.head, "/ws") {
			c.say("HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n")
			c.hangUp = true
			_, _ = io.Copy(c.Conn, c.in)
			return
		}
		if c.head == "" {
			rest := make([]byte, len(get("evil")))
			_, _ = io.ReadFull(c.in, rest)
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + string(rest[:3]))
			return
		}
		if !strings.Contains(c.head, "evil") {
			_, _ = c.in.Peek(1)
		}
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + map[bool]string{true: "evil", false: "good"}[strings.Contains(c.head, "evil")])
	}, func(t *testing.T, f *front, v *vassal) {
		visitor := f.visit()
		visitor.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		visitor.receive("GET")
		word := string(pattern(500_000))
		go func() { _, _ = io.WriteString(visitor.Conn, word) }()
		if got, err := visitor.read(len(word)); got != word || err != nil {
			t.Errorf("through a websocket: %q, %v", cut(got), err)
		}
		_ = visitor.Close()
		for range 20 {
			visitor = f.visit()
			visitor.send(get("a") + get("evil"))
			visitor.closeWrite()
			if v.protocol == "uwsgi" {
				visitor.want("GET", 200, "GET")
				continue
			}
			visitor.want("GET", 200, "good")
			visitor.wantEnd()
		}
		eventually(t, "the connections to the vassal to end", func() bool {
			v.mu.Lock()
			defer v.mu.Unlock()
			return len(v.conns) == 0
		})
	}, "http-raw-body = true")
}
