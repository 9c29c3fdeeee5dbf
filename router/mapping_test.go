package router

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestHostMapping: the address is made of the host, which never leads out of the
// place that the configuration names.
func TestHostMapping(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sockets"), 0o755); err != nil {
		t.Fatal(err)
	}
	at := func(path string) { newVassal(t, "uwsgi", "unix", filepath.Join(dir, path), answering(okResponse)) }
	at("sockets/a.test")
	at("sockets/a.test.sock")
	at("outside") // what ../outside would lead to
	at("socketsx")
	for _, test := range []struct {
		option, host string
		status       int
	}{
		{"http-use-base = DIR/sockets/", "a.test", 200},
		{"http-use-base = DIR/sockets/", "A.Test:8080", 200},
		{"http-use-base = DIR/sockets/", "b.test", 502},
		{"http-use-base = DIR/sockets/", "..", 400},
		{"http-use-base = DIR/sockets/", "../outside", 400},
		{"http-use-base = DIR/sockets/", "%2e%2e%2foutside", 400},
		{"http-use-base = DIR/sockets/", "[::1]", 404},
		{"http-use-base = DIR/sockets", "x", 200}, // a prefix is a prefix
		{"http-use-pattern = DIR/sockets/%s.sock", "a.test", 200},
		{"http-use-pattern = DIR/sockets/%s.sock", "a.test.", 200},
		{"http-use-pattern = DIR/sockets/%s.sock", "..", 400},
		{"http-use-pattern = DIR/sockets/%%/%s", "a.test", 502},
	} {
		f := newFront(t, strings.ReplaceAll(test.option, "DIR", dir))
		if r := f.ask(get(test.host)); r.StatusCode != test.status {
			t.Errorf("%s, Host %s: %d %q, want %d", test.option, test.host, r.StatusCode, r.text, test.status)
		}
		f.Close()
	}
	f := newFront(t, "http-use-base = "+dir+"/sockets/")
	if r := f.ask("GET / HTTP/1.0\r\n\r\n"); r.StatusCode != 404 {
		t.Errorf("without a Host: %d", r.StatusCode)
	}
}

// TestHostMappingToVassals: an address that is a vassal's means that vassal: it is
// waited for, and what it speaks counts. http-backend-http is for the others.
func TestHostMappingToVassals(t *testing.T) {
	dir := t.TempDir()
	v := newVassal(t, "uwsgi", "unix", dir+"/vassal", answering(okResponse))
	plain := newVassal(t, "http", "unix", dir+"/plain", answering(okResponse))
	f := newFront(t, "http-use-base = "+dir+"/", "http-backend-http = true")
	f.vassals(row("v", 1, link.Starting, v))
	visitor := f.visit()
	visitor.send(get("vassal"))
	eventually(t, "the request waits", func() bool { return f.table.held.Load() == 1 })
	f.vassals(row("v", 1, link.Ready, v))
	visitor.want("GET", 200, "ok")
	visitor.send(get("plain"))
	visitor.want("GET", 200, "ok")
	if got := plain.only(t).vars["Host"]; got != "plain" {
		t.Errorf("Host: %q", got)
	}
}

// TestHostMappingMistakes: what would let a visitor choose where to connect is
// refused when the configuration is read.
func TestHostMappingMistakes(t *testing.T) {
	f := newFront(t)
	for option, want := range map[string]string{
		"http-use-pattern = 127.0.0.1:%s":     "the visitor would choose the port",
		"http-use-pattern = %s:8080":          "the visitor would choose the machine",
		"http-use-pattern = app-%s:8080":      "the visitor would choose the machine",
		"http-use-base = 127.0.0.1:":          "the visitor would choose the port",
		"http-use-pattern = /run/x.sock":      "want one %s",
		"http-use-pattern = /run/%s/%s":       "want one %s",
		"http-use-pattern = %s.internal:8080": "",
		"http-use-pattern = @%s":              "",
	} {
		err := f.configure(option)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "uwsgi.ini:3")) {
			t.Errorf("%s: %v, want %q", option, err, want)
		}
	}
}

// TestRawBody: row 33: what follows a request that announces no body is passed
// on, to the end of the connection; a body that is announced stays what it is.
func TestRawBody(t *testing.T) {
	got := make(chan string, 2)
	v := uwsgiVassal(t, func(c *call) {
		b := make([]byte, 6)
		n, _ := io.ReadFull(c.in, b)
		got <- string(b[:n])
		c.say(okResponse)
	})
	f := newFront(t, "http-to = "+v.address, "http-raw-body = true")
	visitor := f.visit()
	visitor.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n123")
	visitor.send("456")
	if text := <-got; text != "123456" {
		t.Errorf("the vassal got %q", text)
	}
	visitor.want("GET", 200, "ok")
	visitor.wantEnd()
	visitor = f.visit()
	visitor.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef")
	if text := <-got; text != "abcdef" {
		t.Errorf("announced: the vassal got %q", text)
	}
	visitor.want("POST", 200, "ok")
}

// TestBodyLimit: a body that is too large is refused: before anything happens
// where its length is announced, and as soon as it is passed where it is not.
func TestBodyLimit(t *testing.T) {
	uwsgi, http := uwsgiVassal(t, echo), httpVassal(t, echo)
	f := newFront(t, "http-body-limit = 100k", "route-host = ^uwsgi$ uwsgi:"+uwsgi.address+",0,0", "route-host = ^http$ http:"+http.address)
	for _, host := range []string{"uwsgi", "http"} {
		within, beyond := string(pattern(100<<10)), string(pattern(100<<10+1))
		visitor := f.visit()
		for _, request := range []string{
			"POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 102400\r\n\r\n" + within,
			"POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n19000\r\n" + within + "\r\n0\r\n\r\n",
		} {
			visitor.send(request)
			visitor.want("POST", 200, within)
		}
		for name, request := range map[string]string{
			"announced":          "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 102401\r\n\r\n",
			"announced, invited": "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 102401\r\nExpect: 100-continue\r\n\r\n",
			"in chunks":          "POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n19001\r\n" + beyond,
		} {
			visitor := f.visit()
			visitor.send(request)
			r, interim := visitor.receive("POST")
			if r.StatusCode != 413 || !strings.Contains(r.text, "http-body-limit") || len(interim) > 0 {
				t.Errorf("%s, %s: %v, %d %q", host, name, interim, r.StatusCode, r.text)
			}
		}
	}
	for _, v := range []*vassal{uwsgi, http} {
		v.stop() // what it got is complete
		for _, c := range v.calls() {
			if len(c.body) > 100<<10 {
				t.Errorf("a vassal got %d bytes", len(c.body))
			}
		}
	}
}
