package router

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestAccessLogFields: what the log says of each kind of request is true, whatever
// the one before it was.
func TestAccessLogFields(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	v := httpVassal(t, func(c *call) {
		c.readBody()
		switch {
		case strings.Contains(c.head, "/ws"):
			c.say("HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n")
			c.hangUp = true
			_, _ = io.CopyN(c.Conn, c.in, 5)
		case strings.Contains(c.head, "/hint"):
			c.say("HTTP/1.1 103 Early Hints\r\n\r\n" + okResponse)
		default:
			c.say(okResponse)
		}
	})
	f := newFront(t, "http-log = "+file, "http-log-format = %(method) %(uri) %(proto) %(status) %(hsize)+%(rsize)=%(size) in=%(cl) rule=%(rule) user=%(user) ended=%(ended) vassal=%(vassal) noted=%(var.NOTED)",
		"route-uri = ^/noted logvar:NOTED=yes",
		"route-uri = ^/put setmethod:PUT",
		"route-uri = ^/auth basicauth:here,joe:secret",
		"route-uri = ^/moved redirect:/",
		"http-health = /_up",
		"route-run = vassal:v",
		"response-route-run = addheader:X-A: 1", "final-route-run = log:ended")
	f.vassals(row("v", 1, link.Ready, v))
	visitor, counted := countingVisitor(f)
	const body = " rule=uwsgi.ini:10 "
	var want []string
	for _, ask := range []struct{ request, log string }{
		{"GET /noted HTTP/1.1\r\nHost: a\r\n\r\n", "GET /noted HTTP/1.1 200 SIZES in=0" + body + "user=- ended=- vassal=v noted=yes"},
		{"GET /_up HTTP/1.1\r\nHost: a\r\n\r\n", "GET /_up HTTP/1.1 200 SIZES in=0 rule=- user=- ended=- vassal=- noted=-"},
		{"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%zz HTTP/1.1 400 SIZES in=0 rule=- user=- ended=bad-request vassal=- noted=-"},
		{"POST /put HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "POST /put HTTP/1.1 200 SIZES in=3" + body + "user=- ended=- vassal=v noted=-"},
		{"GET /auth HTTP/1.1\r\nHost: a\r\nAuthorization: Basic am9lOnNlY3JldA==\r\n\r\n", "GET /auth HTTP/1.1 200 SIZES in=0" + body + "user=joe ended=- vassal=v noted=-"},
		{"GET /auth HTTP/1.1\r\nHost: a\r\n\r\n", "GET /auth HTTP/1.1 401 SIZES in=0 rule=uwsgi.ini:7 user=- ended=- vassal=- noted=-"},
		{"GET /hint HTTP/1.1\r\nHost: a\r\n\r\n", "GET /hint HTTP/1.1 200 SIZES in=0" + body + "user=- ended=- vassal=v noted=-"},
		{"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "POST / HTTP/1.1 200 SIZES in=3" + body + "user=- ended=- vassal=v noted=-"},
		{"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello", "GET /ws HTTP/1.1 101 SIZES in=0" + body + "user=- ended=- vassal=v noted=-"},
		{"BAD\r\n\r\n", "- - - 400 SIZES in=0 rule=- user=- ended=bad-request vassal=- noted=-"},
	} {
		before := counted.n
		visitor.send(ask.request)
		body := 0
		if r, _ := visitor.receive("GET"); r.StatusCode == 101 {
			body = len(visitor.rest())
		} else if body = len(r.text); r.Close {
			visitor.wantEnd()
		}
		all := counted.n - before
		want = append(want, strings.Replace(ask.log, "SIZES", fmt.Sprintf("%d+%d=%d", all-body, body, all), 1))
		if r := strings.HasPrefix(ask.request, "GET /ws"); r {
			visitor, counted = countingVisitor(f)
		}
	}
	f.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	// A line is written after its answer, so that those of two connections may change
	// places.
	slices.Sort(got)
	slices.Sort(want)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("line %d\ngot  %s\nwant %s", i+1, append(got, make([]string, 20)...)[i], append(want, make([]string, 20)...)[i])
		}
	}
}

// counting counts what a client reads.
type counting struct {
	net.Conn
	n int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n += n
	return n, err
}

func countingVisitor(f *front) (*visitor, *counting) {
	c := &counting{Conn: f.visit().Conn}
	return newVisitor(f.t, c), c
}

// TestAccessLogOfHTTP2: its requests are in the log too, those that are refused for
// their head as well.
func TestAccessLogOfHTTP2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	f := newFront(t, "http-log = "+file, "http-log-format = %(method) %(uri) %(proto) %(status) %(rsize) %(ended)", "route-run = return:200 hello")
	client := secureClient(f, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	for host, want := range map[string]int{"a": 200, "a..b": 400} {
		r, err := http.NewRequest("GET", "http://a/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		if _ = answer.Body.Close(); answer.StatusCode != want {
			t.Errorf("%s: %d", host, answer.StatusCode)
		}
	}
	client.CloseIdleConnections()
	f.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GET /x HTTP/2.0 200 5 -\n", "- - - 400 15 bad-request\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log lacks %q: %s", want, text)
		}
	}
}
