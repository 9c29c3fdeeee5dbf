package router

import (
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"emperor/internal/link"
)

// fastcgiVassal starts one that takes FastCGI requests apart, as the
// specification has them, and answers as its script says.
func fastcgiVassal(t *testing.T, script func(*call)) *vassal {
	t.Helper()
	return newVassal(t, "fastcgi", "unix", filepath.Join(t.TempDir(), "v.sock"), func(c *call) {
		if c.err = c.readRecords(); c.err == nil {
			script(c)
		}
	})
}

// scgiVassal is the same for SCGI.
func scgiVassal(t *testing.T, script func(*call)) *vassal {
	t.Helper()
	return newVassal(t, "scgi", "unix", filepath.Join(t.TempDir(), "v.sock"), func(c *call) {
		if c.err = c.readNetstring(); c.err == nil {
			script(c)
		}
	})
}

// Types of records.
const (
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
	fcgiStderr = 7
	fcgiEnd    = 3
)

// readRecords reads a whole request: BEGIN_REQUEST, the variables, the body.
func (c *call) readRecords() error {
	var params []byte
	for first := true; ; first = false {
		var head [8]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return err
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
		if _, err := io.ReadFull(c.in, content); err != nil {
			return err
		}
		content = content[:binary.BigEndian.Uint16(head[4:])]
		switch kind := head[1]; {
		case first != (kind == 1) || head[0] != 1 || binary.BigEndian.Uint16(head[2:]) != 1:
			return fmt.Errorf("a record %v", head)
		case kind == fcgiParams:
			params = append(params, content...)
		case kind == fcgiStdin && len(content) == 0:
			return c.takeParams(params)
		case kind == fcgiStdin:
			c.body = append(c.body, content...)
		}
	}
}

func (c *call) takeParams(b []byte) error {
	length := func() int {
		if b[0] < 0x80 {
			n := int(b[0])
			b = b[1:]
			return n
		}
		n := int(binary.BigEndian.Uint32(b) &^ (1 << 31))
		b = b[4:]
		return n
	}
	for len(b) > 0 {
		name, value := length(), length()
		if err := c.takeVariable(string(b[:name]), string(b[name:name+value])); err != nil {
			return err
		}
		b = b[name+value:]
	}
	return nil
}

func (c *call) takeVariable(name, value string) error {
	if _, twice := c.vars[name]; twice {
		return fmt.Errorf("variable %s twice", name)
	}
	c.names = append(c.names, name)
	c.vars[name] = value
	return nil
}

func (c *call) readNetstring() error {
	size, err := c.in.ReadString(':')
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil {
		return err
	}
	head := make([]byte, n+1)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return err
	}
	words := strings.Split(strings.TrimSuffix(string(head[:n]), "\x00"), "\x00")
	for i := 0; i+1 < len(words); i += 2 {
		if err := c.takeVariable(words[i], words[i+1]); err != nil {
			return err
		}
	}
	if head[n] != ',' || len(words)%2 != 0 || words[0] != "CONTENT_LENGTH" {
		return fmt.Errorf("not SCGI: %q", head)
	}
	c.length, _ = strconv.ParseInt(c.vars["CONTENT_LENGTH"], 10, 64)
	c.readBody()
	return c.err
}

// record is one FastCGI record, padded as PHP pads them.
func record(kind byte, content string) string {
	padding := -len(content) & 7
	return string([]byte{1, kind, 0, 1, byte(len(content) >> 8), byte(len(content)), byte(padding), 0}) + content + strings.Repeat("\x00", padding)
}

// ended is END_REQUEST with a protocol status: 0 complete, 2 overloaded.
func ended(status byte) string {
	return record(fcgiEnd, "\x00\x00\x00\x00"+string(status)+"\x00\x00\x00")
}

// TestCGIVariables: what a FastCGI and an SCGI program gets, always the same, and
// each variable once (the vassals see to that).
func TestCGIVariables(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []string
		root    string // the vassal's
		request string
		want    map[string]string // "-": absent
	}{
		{name: "an application", request: "GET /a%20b?x=1 HTTP/1.1\r\nHost: Shop:81\r\nX-A: 1\r\nProxy: evil\r\n\r\n", want: map[string]string{
			"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a b", "REQUEST_URI": "/a%20b?x=1", "QUERY_STRING": "x=1",
			"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "emperor", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "shop", "REDIRECT_STATUS": "200",
			"REQUEST_SCHEME": "http", "HTTPS": "-", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "Shop:81", "HTTP_X_A": "1", "HTTP_PROXY": "-",
			"SCRIPT_FILENAME": "-", "DOCUMENT_ROOT": "-"}},
		{name: "no query", request: get("a"), want: map[string]string{"QUERY_STRING": ""}},
		{name: "a script", root: "/srv/a/", request: "GET /shop/cart.php/7/x?y HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/a/shop/cart.php", "SCRIPT_NAME": "/shop/cart.php", "PATH_INFO": "/7/x", "DOCUMENT_ROOT": "/srv/a/", "REQUEST_URI": "/shop/cart.php/7/x?y"}},
		{name: "the first script counts", root: "/srv/a", request: "GET /a.php/b.php HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/a/a.php", "PATH_INFO": "/b.php"}},
		{name: "a folder", root: "/srv/a", request: "GET /shop/ HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/a/shop/index.php", "SCRIPT_NAME": "/shop/index.php", "PATH_INFO": ""}},
		{name: "the front controller", root: "/srv/a", request: "GET /blog/2026?p=1 HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/a/index.php", "SCRIPT_NAME": "/index.php", "PATH_INFO": "", "REQUEST_URI": "/blog/2026?p=1", "QUERY_STRING": "p=1"}},
		{name: "no way up", root: "/srv/a", request: "GET /../%2e%2e/etc/x.php HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/a/etc/x.php"}},
		{name: "a rule's document root", root: "/srv/a", options: []string{"route-run = setdocroot:/srv/b"}, request: "GET /x.php HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/b/x.php", "DOCUMENT_ROOT": "/srv/b"}},
		{name: "http-var's document root", options: []string{"http-var = DOCUMENT_ROOT=/srv/c"}, request: "GET /x.php HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/c/x.php", "DOCUMENT_ROOT": "/srv/c"}},
		{name: "a script of the configuration's", root: "/srv/a", options: []string{"route-run = addvar:SCRIPT_FILENAME=/srv/one.php", "http-var = SERVER_SOFTWARE=secret"}, request: "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/one.php", "PATH_INFO": "/x", "SERVER_SOFTWARE": "secret", "GATEWAY_INTERFACE": "CGI/1.1"}},
		{name: "a rewritten path", root: "/srv/a", options: []string{"route-run = setpathinfo:/y.php/z"}, request: "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", want: map[string]string{
			"SCRIPT_FILENAME": "/srv/a/y.php", "PATH_INFO": "/z", "REQUEST_URI": "/x"}},
		{name: "a trusted proxy's https", request: "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: HTTPS\r\n\r\n", want: map[string]string{
			"HTTPS": "on", "REQUEST_SCHEME": "https"}},
		{name: "a stranger's https", options: []string{"http-trusted-proxies = none"}, request: "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n", want: map[string]string{
			"HTTPS": "-", "REQUEST_SCHEME": "http"}},
		{name: "a rule's scheme", options: []string{"route-run = setscheme:https"}, request: get("a"), want: map[string]string{"HTTPS": "on", "REQUEST_SCHEME": "https"}},
		{name: "a body", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: t/x\r\nContent-Length: 3\r\n\r\nabc", want: map[string]string{
			"CONTENT_LENGTH": "3", "CONTENT_TYPE": "t/x", "body": "abc"}},
		{name: "a body in chunks", request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", want: map[string]string{
			"CONTENT_LENGTH": "3", "HTTP_TRANSFER_ENCODING": "-", "body": "abc"}},
		{name: "an empty body", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", want: map[string]string{
			"CONTENT_LENGTH": "0", "body": ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for protocol, v := range map[string]*vassal{
				"fastcgi": fastcgiVassal(t, func(c *call) { c.say(record(fcgiStdout, "X: 1\r\n\r\n") + ended(0)) }),
				"scgi":    scgiVassal(t, func(c *call) { c.say("X: 1\r\n\r\n") }),
			} {
				f := newFront(t, append(test.options, "route-run = vassal:v")...)
				f.vassals(link.Vassal{Name: "v", Generation: 1, State: link.Ready, Addresses: []link.Address{{Address: v.address, Protocol: protocol, Root: test.root}}})
				if r := f.ask(test.request); r.StatusCode != 200 {
					t.Fatalf("%s: %d %q", protocol, r.StatusCode, r.text)
				}
				c := v.only(t)
				if c.err != nil {
					t.Fatal(protocol, c.err)
				}
				c.vars["body"] = string(c.body)
				for name, want := range test.want {
					if got, there := c.vars[name]; want == "-" && there || want != "-" && (got != want || !there) {
						t.Errorf("%s: %s is %q (there: %v), want %q", protocol, name, got, there, want)
					}
				}
			}
		})
	}
}

// TestNoBodyLength: without a body FastCGI has an empty length, SCGI, which must
// have one, 0.
func TestNoBodyLength(t *testing.T) {
	fcgi := fastcgiVassal(t, func(c *call) { c.say(record(fcgiStdout, "X: 1\r\n\r\n") + ended(0)) })
	scgi := scgiVassal(t, func(c *call) { c.say("X: 1\r\n\r\n") })
	f := newFront(t, "route-host = ^f$ fastcgi:"+fcgi.address, "route-host = ^s$ scgi:"+scgi.address)
	f.ask(get("f"))
	f.ask(get("s"))
	if length, there := fcgi.only(t).vars["CONTENT_LENGTH"]; length != "" || !there {
		t.Errorf("FastCGI: %q (there: %v)", length, there)
	}
	if length := scgi.only(t).vars["CONTENT_LENGTH"]; length != "0" {
		t.Errorf("SCGI: %q", length)
	}
}

// TestCGIResponses: what becomes of a program's answer, and how it ends.
func TestCGIResponses(t *testing.T) {
	const head = "Content-Type: text/x\r\n"
	for _, test := range []struct {
		name    string
		records string // of FastCGI, or what an SCGI program writes
		scgi    bool
		status  int
		text    string
		broken  bool
		log     string
	}{
		{name: "whole", records: record(fcgiStdout, head+"\r\nhello") + record(fcgiStdout, "") + ended(0), status: 200, text: "hello"},
		{name: "status", records: record(fcgiStdout, "Status: 404 Gone fishing\r\n"+head+"\r\nno") + ended(0), status: 404, text: "no"},
		{name: "redirect", records: record(fcgiStdout, "Location: /x\r\n\r\n") + ended(0), status: 302},
		{name: "in pieces", records: record(fcgiStdout, "Content-Ty") + record(fcgiStdout, "pe: text/x\r\n\r\nhel") + record(fcgiStdout, "lo") + ended(0), status: 200, text: "hello"},
		{name: "error output", records: record(fcgiStderr, "PHP Warning:  be") + record(fcgiStdout, head+"\r\nhello") + record(fcgiStderr, "ware\nsecond\n") + ended(0), status: 200, text: "hello",
			log: `msg="the program's error output" vassal=v text="PHP Warning:  beware"`},
		{name: "error output without an end of line", records: record(fcgiStderr, "last words") + record(fcgiStdout, head+"\r\nhello") + ended(0), status: 200, text: "hello", log: `text="last words"`},
		{name: "died in the body", records: record(fcgiStdout, head+"\r\nhel"), status: 200, text: "hel", broken: true, log: "response broke off"},
		{name: "died in a record", records: record(fcgiStdout, head+"\r\nhello")[:34], status: 200, broken: true, text: "he", log: "response broke off"},
		{name: "died in the head", records: record(fcgiStdout, "Content-Ty"), status: 502, text: "*", log: "ends in the middle of its head"},
		{name: "died before", records: "", status: 502, text: "*", log: "closed without a response"},
		{name: "said nothing", records: ended(0), status: 502, text: "*", log: "closed without a response"},
		{name: "shorter than its length", records: record(fcgiStdout, "Content-Length: 9\r\n\r\nhello") + ended(0), status: 200, text: "hello", broken: true, log: "response broke off"},
		{name: "overloaded", records: ended(2), status: 503, text: "*", log: "takes no more requests"},
		{name: "not FastCGI", records: "HTTP/1.1 400 Bad Request\r\n\r\n", status: 502, text: "*", log: "is this FastCGI?"},
		{name: "SCGI", scgi: true, records: "Status: 201 Made\r\n" + head + "\r\nhello", status: 201, text: "hello"},
		{name: "SCGI, garbage", scgi: true, records: "no head at all", status: 502, text: "*", log: "not an HTTP response"},
		{name: "SCGI, nothing", scgi: true, records: "", status: 502, text: "*", log: "closed without a response"},
		{name: "SCGI, shorter than its length", scgi: true, records: "Content-Length: 9\r\n\r\nhello", status: 200, text: "hello", broken: true, log: "response broke off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start, protocol := fastcgiVassal, "fastcgi"
			if test.scgi {
				start, protocol = scgiVassal, "scgi"
			}
			v := start(t, func(c *call) { c.say(test.records) })
			f := newFront(t, "route-run = vassal:v")
			f.vassals(link.Vassal{Name: "v", Generation: 1, State: link.Ready, Addresses: []link.Address{{Address: v.address, Protocol: protocol}}})
			visitor := f.visit()
			visitor.send(get("a"))
			r, _ := visitor.receive("GET")
			if r.StatusCode != test.status || test.text != "*" && r.text != test.text || (r.err != nil) != test.broken {
				t.Errorf("got %d %q (%v), want %d %q, broken: %v", r.StatusCode, r.text, r.err, test.status, test.text, test.broken)
			}
			if !test.broken {
				// The connection carries on.
				visitor.send(get("a"))
				if r, _ := visitor.receive("GET"); r.StatusCode != test.status {
					t.Errorf("the second time: %d", r.StatusCode)
				}
			}
			if !strings.Contains(f.log.String(), test.log) {
				t.Errorf("the log does not say %q", test.log)
			}
		})
	}
}

// TestEndOfFastCGI: a response ends with its record; the program need not close the
// connection.
func TestEndOfFastCGI(t *testing.T) {
	still := make(chan struct{})
	v := fastcgiVassal(t, func(c *call) {
		c.say(record(fcgiStdout, "X: 1\r\n\r\nhello") + ended(0))
		<-still
	})
	t.Cleanup(func() { close(still) })
	f := newFront(t, "route-run = fastcgi:"+v.address)
	visitor := f.visit()
	visitor.send(get("a"))
	visitor.want("GET", 200, "hello")
	visitor.send(get("a"))
	visitor.want("GET", 200, "hello")
}

// TestOverloadedProgram: a program that says it has not begun is as good as not
// asked: another address answers, whatever the method is, and the first one is not
// taken for broken.
func TestOverloadedProgram(t *testing.T) {
	busy := fastcgiVassal(t, func(c *call) { c.say(ended(2)) })
	free := fastcgiVassal(t, func(c *call) { c.say(record(fcgiStdout, "X: 1\r\n\r\n"+string(c.body)) + ended(0)) })
	f := newFront(t, "route-run = fastcgi:"+busy.address+"|"+free.address)
	visitor := f.visit()
	for range 4 {
		visitor.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
		visitor.want("POST", 200, "hello")
	}
	if asked := len(busy.calls()); asked != 2 {
		t.Errorf("the busy one was asked %d times, want 2: in its turns", asked)
	}
}

// TestStreamedToCGI: a large body arrives whole, also when the program answers
// while it reads.
func TestStreamedToCGI(t *testing.T) {
	echo := func(c *call) {
		c.say(record(fcgiStdout, "X: 1\r\n\r\n"))
		for b := c.body; len(b) > 0; b = b[min(len(b), 60000):] {
			c.say(record(fcgiStdout, string(b[:min(len(b), 60000)])))
		}
		c.say(ended(0))
	}
	fcgi := fastcgiVassal(t, echo)
	scgi := scgiVassal(t, func(c *call) {
		c.say("X: 1\r\n\r\n")
		_, _ = c.Write(c.body)
	})
	f := newFront(t, "route-host = ^f$ fastcgi:"+fcgi.address, "route-host = ^s$ scgi:"+scgi.address)
	text := string(pattern(3 << 20))
	for _, host := range []string{"f", "s"} {
		visitor := f.visit()
		visitor.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(text), text))
		visitor.want("POST", 200, text)
		visitor.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", host, len(text), text))
		visitor.want("POST", 200, text)
	}
}

// TestAnswerBeforeTheBody: a program that answers and ends without having read the
// request's body has answered.
func TestAnswerBeforeTheBody(t *testing.T) {
	hasty := func(answer string) *vassal {
		return newVassal(t, "raw", "unix", filepath.Join(t.TempDir(), "v.sock"), func(c *call) {
			_, _ = c.in.Discard(1000)
			c.say(answer)
		})
	}
	fcgi := hasty(record(fcgiStdout, "X: 1\r\n\r\nenough") + ended(0))
	scgi := hasty("X: 1\r\n\r\nenough")
	f := newFront(t, "route-host = ^f$ fastcgi:"+fcgi.address, "route-host = ^s$ scgi:"+scgi.address)
	for _, host := range []string{"f", "s"} {
		for _, size := range []int{5000, 60_000, 3 << 20} {
			visitor := f.visit()
			go func() { // ends with the connection
				_, _ = fmt.Fprintf(visitor.Conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, size, pattern(size))
			}()
			visitor.want("POST", 200, "enough")
		}
	}
	if log := f.log.String(); strings.Contains(log, "WARN") {
		t.Errorf("the log complains:\n%s", log)
	}
}
