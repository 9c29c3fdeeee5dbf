package router

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// The numbers are those of the conformance table of the reference (router.md §9);
// want is its last column.

// TestRequestsAsConformed: one request to a uwsgi vassal behind http-to.
func TestRequestsAsConformed(t *testing.T) {
	host255 := strings.Repeat("h", 255)
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		row     string
		options []string
		request string
		status  int               // what the client gets
		vars    map[string]string // what the vassal gets; "-" for absent
		body    string
	}{
		{row: "1", request: "GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", status: 200, vars: map[string]string{
			"REQUEST_METHOD": "GET", "PATH_INFO": "/a b", "REQUEST_URI": "/a%20b?x=1", "QUERY_STRING": "x=1",
			"SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": "", "SERVER_NAME": hostname, "UWSGI_ROUTER": "http",
			"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "h", "HTTPS": "-", "CONTENT_LENGTH": "-"}},
		{row: "2", request: "GET / HTTP/1.1\r\n\r\n", status: 400},
		{row: "2, HTTP/1.0", request: "GET / HTTP/1.0\r\n\r\n", status: 200, vars: map[string]string{"HTTP_HOST": "-", "SERVER_NAME": hostname, "SERVER_PROTOCOL": "HTTP/1.0"}},
		{row: "3", request: "GET / HTTP/1.1\r\nHost:\r\n\r\n", status: 400},
		{row: "4", request: get(host255), status: 200, vars: map[string]string{"HTTP_HOST": host255}},
		{row: "4, one more", request: get(host255 + "h"), status: 400},
		{row: "5", request: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", status: 400},
		{row: "6", request: "GET / HTTP/1.1\nHost: a\n\n", status: 400},
		{row: "7", request: "GET /\r\nHost: a\r\n\r\n", status: 400},
		{row: "8", request: "GET / FOO/9\r\nHost: a\r\n\r\n", status: 400},
		{row: "8, HTTP/2.0", request: "GET / HTTP/2.0\r\nHost: a\r\n\r\n", status: 505},
		{row: "9", request: "get / HTTP/1.1\r\nHost: a\r\n\r\n", status: 200, vars: map[string]string{"REQUEST_METHOD": "get"}},
		{row: "10", request: "GET / HTTP/1.1\r\nHost: a\r\nX-Foo: 1\r\nx-foo: 2\r\nX_Foo: 3\r\n\r\n", status: 200, vars: map[string]string{"HTTP_X_FOO": "1, 2"}},
		{row: "11", request: "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n", status: 200, vars: map[string]string{"HTTP_COOKIE": "a=1; b=2"}},
		// Our own rule (X-Forwarded-For is appended for peers we trust) is what the
		// row calls an option.
		{row: "12", request: "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n", status: 200, vars: map[string]string{"HTTP_X_FORWARDED_FOR": "9.9.9.9, 127.0.0.1"}},
		{row: "13", request: "GET / HTTP/1.1\r\nHost: a\r\nProxy: x\r\n\r\n", status: 200, vars: map[string]string{"HTTP_PROXY": "-"}},
		{row: "14", request: "GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", status: 400},
		{row: "15", request: "GET / HTTP/1.1\r\nHost : h\r\n\r\n", status: 400},
		{row: "16", request: "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n  b\r\n\r\n", status: 400},
		{row: "17", request: "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 62<<10) + "\r\n\r\n", status: 431},
		{row: "19", request: "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", status: 200, vars: map[string]string{"PATH_INFO": "/etc/passwd"}},
		{row: "20", request: "GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", status: 200, vars: map[string]string{"PATH_INFO": "/x"}},
		{row: "21", request: "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", status: 400},
		{row: "21, escape", request: "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", status: 400},
		{row: "22", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /", status: 200, vars: map[string]string{"CONTENT_LENGTH": "5"}, body: "hello"},
		{row: "23", request: "POST / HTTP/1.1\r\nHost: a\r\n\r\n", status: 200, vars: map[string]string{"CONTENT_LENGTH": "-"}},
		{row: "24", request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrail: er\r\n\r\n", status: 200,
			vars: map[string]string{"CONTENT_LENGTH": "5", "HTTP_TRANSFER_ENCODING": "-", "HTTP_TRAIL": "-"}, body: "abcde"},
		{row: "26", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", status: 400},
		{row: "27", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", status: 400},
		{row: "28", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", status: 200, vars: map[string]string{"CONTENT_LENGTH": "3"}, body: "abc"},
		{row: "29", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", status: 400},
		{row: "29, +3", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", status: 400},
		{row: "29, 0x3", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", status: 400},
		{row: "29, 23 digits", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12345678901234567890123\r\n\r\n", status: 400},
		{row: "32", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", status: 200, vars: map[string]string{"HTTP_EXPECT": "100-continue"}, body: "abc"},
		{row: "34", options: []string{"http-modifier1 = 5", "http-modifier2 = 7"}, request: get("a"), status: 200, vars: map[string]string{"modifiers": "5 7"}},
		{row: "34, of a listener called http-socket", options: []string{"http-socket-modifier1 = 14"}, request: get("a"), status: 200, vars: map[string]string{"modifiers": "14 0"}},
		{row: "35", options: []string{"http-var = FOO=bar"}, request: get("a"), status: 200, vars: map[string]string{"FOO": "bar", "last": "FOO"}},
		{row: "35, repeated", options: []string{"http-var = A=1", "http-var = B=1", "http-var = A=2", "route-run = addvar:B=2", "route-run = addvar:C=1", "route-run = addvar:C=2"}, request: get("a"), status: 200,
			vars: map[string]string{"A": "2", "B": "2", "C": "2"}},
		{row: "35, of the request", options: []string{"http-var = WHO=${REMOTE_ADDR}-${cookie[id]}", "http-var = RULE=${WHO}", "http-var = TWICE=${WHO}", "http-var = TWICE=2", "http-var = PRICE=5$", "http-var = HTTP_X_WHO=${QUERY_STRING}",
			"route-run = goto:2", "route-run = return:500", "route-run = addvar:RULE=beats ${RULE}"},
			request: "GET /?${HTTP_X_A} HTTP/1.1\r\nHost: a\r\nCookie: id=7\r\nX-A: 1\r\nX-Who: theirs\r\n\r\n", status: 200,
			vars: map[string]string{"WHO": "127.0.0.1-7", "RULE": "beats 127.0.0.1-7", "TWICE": "2", "PRICE": "5$", "HTTP_X_WHO": "${HTTP_X_A}"}},
		{row: "35, built-in", options: []string{"http-var = REMOTE_ADDR=6.6.6.6", "http-var = PATH_INFO=/one", "http-var = PATH_INFO=/two", "http-var = HTTP_X_Y=ours"},
			request: "GET /zero HTTP/1.1\r\nHost: a\r\nX-Y: theirs\r\n\r\n", status: 200,
			vars: map[string]string{"REMOTE_ADDR": "6.6.6.6", "PATH_INFO": "/two", "REQUEST_URI": "/zero", "HTTP_X_Y": "ours"}},
		{row: "hop-by-hop", request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-gone, keep-alive\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: websocket\r\nX-Gone: 1\r\nX-Stays: 2\r\n\r\n", status: 200, vars: map[string]string{
			"HTTP_CONNECTION": "-", "HTTP_KEEP_ALIVE": "-", "HTTP_TE": "-", "HTTP_UPGRADE": "-", "HTTP_X_GONE": "-", "HTTP_X_STAYS": "2"}},
		{row: "Via", request: "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 theirs\r\n\r\n", status: 200, vars: map[string]string{"HTTP_VIA": "1.1 theirs"}},
		{row: "no Via", request: get("a"), status: 200, vars: map[string]string{"HTTP_VIA": "-"}},
		{row: "absolute", request: "GET http://Other:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", status: 200, vars: map[string]string{"HTTP_HOST": "Other:81", "PATH_INFO": "/x", "REQUEST_URI": "http://Other:81/x?y"}},
		{row: "server name", options: []string{"http-server-name-as-http-host = true"}, request: get("a:81"), status: 200, vars: map[string]string{"SERVER_NAME": "a:81"}},
	} {
		t.Run(test.row, func(t *testing.T) {
			v := uwsgiVassal(t, answering(okResponse))
			f := newFront(t, append(test.options, "http-to = "+v.address)...)
			reply := f.ask(test.request)
			if reply.StatusCode != test.status {
				t.Fatalf("got %d %q, want %d", reply.StatusCode, reply.text, test.status)
			}
			if test.status != 200 {
				if seen := v.calls(); len(seen) > 0 {
					t.Errorf("the vassal got %v", seen[0].vars)
				}
				if reply.text == "" || strings.Count(reply.text, "\n") != 1 {
					t.Errorf("the answer's text is %q, want one line", reply.text)
				}
				return
			}
			c := v.only(t)
			c.vars["modifiers"] = fmt.Sprint(c.modifier1, c.modifier2)
			c.vars["last"] = c.names[len(c.names)-1]
			for name, want := range test.vars {
				if got, there := c.vars[name]; want == "-" && there || want != "-" && got != want {
					t.Errorf("%s is %q (there: %v), want %q", name, got, there, want)
				}
			}
			if string(c.body) != test.body || c.err != nil {
				t.Errorf("body %q (%v), want %q", c.body, c.err, test.body)
			}
		})
	}
}

// TestVarsInOrder: the order in which uWSGI's router sends them.
func TestVarsInOrder(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address, "http-var = A=1", "http-var = B=2")
	visitor := f.visit()
	visitor.send("GET /x?q HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nX-A: 2\r\n\r\n")
	visitor.want("GET", 200, "ok")
	c := v.only(t)
	want := "REQUEST_METHOD PATH_INFO REQUEST_URI QUERY_STRING SERVER_PROTOCOL SCRIPT_NAME SERVER_NAME SERVER_PORT UWSGI_ROUTER REMOTE_ADDR REMOTE_PORT HTTP_HOST HTTP_X_B HTTP_X_A A B"
	if got := strings.Join(c.names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	_, port, _ := strings.Cut(visitor.LocalAddr().String(), ":")
	_, frontPort, _ := strings.Cut(f.tcp.Addr().String(), ":")
	if c.vars["REMOTE_PORT"] != port || c.vars["SERVER_PORT"] != frontPort {
		t.Errorf("ports %s → %s, want %s → %s", c.vars["REMOTE_PORT"], c.vars["SERVER_PORT"], port, frontPort)
	}
	other := visit(t, f.unix.Addr())
	other.send(get("h"))
	other.want("GET", 200, "ok")
	c = v.calls()[1]
	for name, want := range map[string]string{"REMOTE_ADDR": "0.0.0.0", "REMOTE_PORT": "0", "SERVER_PORT": ""} {
		if c.vars[name] != want {
			t.Errorf("on a unix socket %s is %q, want %q", name, c.vars[name], want)
		}
	}
}

// TestExpect: rows 30 to 32, and that nobody waits for an invitation he does not
// need.
func TestExpect(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: "
	for _, test := range []struct {
		name, option, request string
		later                 string // sent after the 100
		interim               int
		status                int
	}{
		{"30", "http-manage-expect = 1", head + "3\r\n\r\nabc", "", 1, 200},
		{"31", "http-manage-expect = 10", head + "30\r\n\r\n", "", 0, 413},
		{"31, small enough", "http-manage-expect = 10", head + "10\r\n\r\n", "0123456789", 1, 200},
		{"32", "http-manage-expect = 0", head + "3\r\n\r\nabc", "", 0, 200},
		{"off, but the body waits", "http-manage-expect = 0", head + "3\r\n\r\n", "abc", 1, 200},
		{"no body", "http-manage-expect = 1", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "", 0, 200},
		{"HTTP/1.0", "http-manage-expect = 1", "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "", 0, 200},
		{"chunked", "http-manage-expect = 0", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", 1, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := uwsgiVassal(t, answering(okResponse))
			f := newFront(t, test.option, "http-to = "+v.address)
			visitor := f.visit()
			visitor.send(test.request)
			if test.later != "" {
				line, err := visitor.in.ReadString('\n')
				empty, _ := visitor.in.ReadString('\n')
				if line != "HTTP/1.1 100 Continue\r\n" || empty != "\r\n" {
					t.Fatalf("got %q %q (%v), want the invitation", line, empty, err)
				}
				test.interim--
				visitor.send(test.later)
			}
			r, interim := visitor.receive("POST")
			if r.StatusCode != test.status || len(interim) != test.interim {
				t.Errorf("got %v, %d, want %d interim answers and %d", interim, r.StatusCode, test.interim, test.status)
			}
			if test.status == 413 {
				if r.text != "" || r.ContentLength != 0 || !r.Close {
					t.Errorf("got %q, length %d, close %v; want an empty answer that closes", r.text, r.ContentLength, r.Close)
				}
				visitor.wantEnd()
			}
		})
	}
}

// TestFailuresAsConformed: rows 43, 44, 48 to 51, 54, 60 and 61.
func TestFailuresAsConformed(t *testing.T) {
	for _, test := range []struct {
		row    string
		script func(*call)
		status int
		text   string
		broken bool   // the response must not look complete
		log    string // that the log says
	}{
		{row: "48", script: func(c *call) {}, status: 502, log: "closed without a response"},
		{row: "49", script: func(c *call) { _, _ = c.in.ReadByte() }, status: 504, log: "no answer within http-timeout"},
		{row: "50", script: func(c *call) {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			_, _ = c.in.ReadByte()
		}, status: 200, text: "half", broken: true, log: "response broke off"},
		{row: "50, without length", script: func(c *call) {
			c.say("HTTP/1.1 200 OK\r\n\r\nhalf")
			_, _ = c.in.ReadByte()
		}, status: 200, text: "half", broken: true, log: "response broke off"},
		{row: "51", script: func(c *call) {
			for _, b := range []byte(okResponse) {
				c.say(string(b))
				time.Sleep(30 * time.Millisecond) // the vassal's slowness is the point: 1.4 s in all
			}
		}, status: 200, text: "ok"},
		{row: "54", script: func(c *call) { c.say("this is not http") }, status: 502, log: "not an HTTP response"},
		{row: "54, with an empty line", script: func(c *call) { c.say("GARBAGE\r\n\r\nbody") }, status: 502, log: "not an HTTP response"},
		{row: "54, half a head", script: func(c *call) { c.say("HTTP/1.1 200 OK\r\nContent-") }, status: 502, log: "ends in the middle of its head"},
		{row: "54, two lengths", script: func(c *call) {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")
		}, status: 502, log: "not an HTTP response"},
		{row: "54, a huge head", script: func(c *call) {
			c.say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n")
		}, status: 502, log: "too big"},
		{row: "54, only interim answers", script: func(c *call) { c.say(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000)) }, status: 502, log: "interim"},
		{row: "61", script: func(c *call) { c.say("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort") }, status: 200, text: "short", broken: true, log: "response ended before"},
	} {
		for _, protocol := range []string{"uwsgi", "http"} {
			t.Run(test.row+" "+protocol, func(t *testing.T) {
				t.Parallel()
				script := func(c *call) { c.hangUp = true; test.script(c) }
				start := uwsgiVassal
				if protocol == "http" {
					start = httpVassal
				}
				v := start(t, script)
				f := newFront(t, "route-run = vassal:v")
				f.adjust(func(s *Settings) { s.responseTimeout = time.Second })
				f.vassals(row("v", 1, link.Ready, v))
				visitor := f.visit()
				visitor.send(get("a"))
				r, _ := visitor.receive("GET")
				if r.StatusCode != test.status || test.text != "" && r.text != test.text {
					t.Errorf("got %d %q, want %d %q", r.StatusCode, r.text, test.status, test.text)
				}
				if (r.err != nil) != test.broken {
					t.Errorf("the end of the response: %v, want broken: %v", r.err, test.broken)
				}
				if test.broken {
					_, _ = io.Copy(io.Discard, visitor.in)
				} else if test.status == 502 || test.status == 504 {
					// The connection survives, and what comes next is its own answer.
					visitor.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
					if r, _ := visitor.receive("GET"); r.StatusCode != test.status {
						t.Errorf("the second answer is %d %q", r.StatusCode, r.text)
					}
				}
				if test.log != "" && !strings.Contains(f.log.String(), test.log) {
					t.Errorf("the log does not say %q", test.log)
				}
			})
		}
	}
}

// TestNothingListens: rows 43, 44 and 96.
func TestNothingListens(t *testing.T) {
	missing := t.TempDir() + "/missing.sock"
	refused := uwsgiVassal(t, nil)
	refused.stop()
	long := "/" + strings.Repeat("long", 30)
	f := newFront(t,
		"route-host = ^missing$ uwsgi:"+missing+",0,0",
		"route-host = ^refused$ uwsgi:"+refused.address+",0,0",
		"route-host = ^http$ http:"+refused.address,
		"route-host = ^long(.*)$ uwsgi:"+long+"$1,0,0",
		"route-host = ^name$ http:localhost:1",
	)
	visitor := f.visit()
	for _, test := range []struct{ host, log string }{
		{"missing", "uwsgi:" + missing},
		{"refused", "nothing listens there"},
		{"http", "http:" + refused.address},
		{"longish", "unix socket path of 124 bytes, the limit is 107"},
	} {
		visitor.send(get(test.host))
		visitor.want("GET", 502, "this site does not answer\n")
		if !strings.Contains(f.log.String(), test.log) {
			t.Errorf("%s: the log does not say %q", test.host, test.log)
		}
	}
	if !strings.Contains(f.log.String(), "uwsgi.ini:3") {
		t.Error("the log does not name the rule")
	}
}

// TestRuleAnswers: rows 101, 102 and 104, and that connections stay usable.
func TestRuleAnswers(t *testing.T) {
	f := newFront(t,
		"route-host = ^break$ break:403 No",
		"route-host = ^gone$ break:",
		"route-host = ^return$ return:404",
		"route-host = ^empty$ return:204",
		"route-host = ^redirect$ redirect:http://x/",
		"route-host = ^permanent$ redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}",
	)
	visitor := f.visit()
	visitor.send(get("return"))
	if r := visitor.want("GET", 404, "Not Found"); r.ContentLength != 9 {
		t.Errorf("return: length %d, want 9", r.ContentLength)
	}
	visitor.send("HEAD / HTTP/1.1\r\nHost: return\r\n\r\n")
	if r := visitor.want("HEAD", 404, ""); r.ContentLength != 9 {
		t.Errorf("HEAD: length %d, want 9", r.ContentLength)
	}
	visitor.send(get("empty"))
	if r := visitor.want("GET", 204, ""); r.Header.Get("Content-Length") != "" {
		t.Error("204 has a Content-Length")
	}
	visitor.send(get("redirect"))
	if r := visitor.want("GET", 302, "Moved"); r.Header.Get("Location") != "http://x/" {
		t.Errorf("Location: %s", r.Header.Get("Location"))
	}
	visitor.send("GET /a?b HTTP/1.1\r\nHost: Permanent\r\n\r\n")
	if r := visitor.want("GET", 301, "*"); r.Header.Get("Location") != "https://Permanent/a?b" {
		t.Errorf("Location: %s", r.Header.Get("Location"))
	}
	visitor.send(get("break"))
	if r := visitor.want("GET", 403, ""); !r.Close || r.Status != "403 No" {
		t.Errorf("break: %q, close %v", r.Status, r.Close)
	}
	visitor.wantEnd()
	visitor = f.visit()
	visitor.send(get("gone"))
	visitor.wantEnd()
	visitor = f.visit()
	visitor.send(get("nobody"))
	visitor.want("GET", 404, "no site of this name is served here\n")
	if !strings.Contains(f.log.String(), "host=nobody") {
		t.Error("the log does not name the host that no rule knows")
	}
}
