package router

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// TestToHTTPS: rows 71 and 72: a listener that sends everybody to https, who asks
// for a host that is served.
func TestToHTTPS(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t)
	addresses := map[string]net.Addr{"": f.listen("http-to-https", "127.0.0.1:0"), ":8443": f.listen("http-to-https", "127.0.0.1:0")}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.html"), "secret")
	write(t, filepath.Join(dir, "token"), "proof")
	write(t, filepath.Join(dir, "users"), "u:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
	if err := f.configure(
		"http-to-https = "+addresses[""].String(), "http-to-https = "+addresses[":8443"].String()+",8443",
		`route = ^/\.well-known/acme-challenge/(\w+)$ static:`+dir+"/$1",
		"route-host = ^static$ static:"+dir+"/index.html",
		"route-host = ^password$ basicauth:realm,"+dir+"/users",
		"route-host = ^(site|password|\\[::1\\]|192\\.0\\.2\\.1)$ vassal:v",
		"route-host = ^old$ redirect-permanent:https://new/",
		"route-host = ^closed$ return:403",
		"route-host = ^http$ http:"+v.address,
	); err != nil {
		t.Fatal(err)
	}
	f.vassals(row("v", 1, link.Starting, v)) // nobody waits for it
	for _, test := range []struct {
		request  string
		status   int
		location string // PORT stands for the port of https
	}{
		{"GET /a%20b?c=d HTTP/1.1\r\nHost: Site:80\r\n\r\n", 301, "https://sitePORT/a%20b?c=d"},
		{"HEAD / HTTP/1.1\r\nHost: site\r\n\r\n", 301, "https://sitePORT/"},
		{"GET /? HTTP/1.0\r\nHost: site\r\n\r\n", 301, "https://sitePORT/?"},
		{"POST /form HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\n\r\nabc", 308, "https://sitePORT/form"},
		{"PUT /form HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 308, "https://sitePORT/form"},
		{"OPTIONS * HTTP/1.1\r\nHost: site\r\n\r\n", 308, "https://sitePORT"},
		{"GET //evil.test/x HTTP/1.1\r\nHost: site\r\n\r\n", 301, "https://sitePORT//evil.test/x"},
		{"GET http://Site/x HTTP/1.1\r\nHost: other\r\n\r\n", 301, "https://sitePORT/x"},
		{"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 301, "https://[::1]PORT/"},
		{"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 301, "https://192.0.2.1PORT/"},
		{"GET / HTTP/1.1\r\nHost: http\r\n\r\n", 301, "https://httpPORT/"},
		{"GET / HTTP/1.1\r\nHost: static\r\n\r\n", 301, "https://staticPORT/"},
		{"GET / HTTP/1.1\r\nHost: password\r\n\r\n", 301, "https://passwordPORT/"},
		{"GET / HTTP/1.1\r\nHost: old\r\n\r\n", 301, "https://new/"},
		{"GET / HTTP/1.1\r\nHost: closed\r\n\r\n", 403, ""},
		{"GET / HTTP/1.1\r\nHost: unknown\r\n\r\n", 404, ""},
		{"GET / HTTP/1.0\r\n\r\n", 404, ""},
		{"GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: site\r\n\r\n", 200, ""},
	} {
		for port, address := range addresses {
			visitor := visit(t, address)
			visitor.send(test.request)
			method, _, _ := strings.Cut(test.request, " ")
			r, _ := visitor.receive(method)
			if location := strings.ReplaceAll(test.location, "PORT", port); r.StatusCode != test.status || r.Header.Get("Location") != location {
				t.Errorf("%q: %d, Location %q, want %d, %q", test.request, r.StatusCode, r.Header.Get("Location"), test.status, location)
			}
		}
	}
	if n := len(v.calls()); n > 0 {
		t.Errorf("the vassal got %d requests", n)
	}
	if r := f.ask(get("static")); r.text != "secret" {
		t.Errorf("by another listener: %d %q", r.StatusCode, r.text)
	}
}

// TestToHTTPSByDefault: where every host is served (http-to), every host is sent
// to https.
func TestToHTTPSByDefault(t *testing.T) {
	f := newFront(t)
	address := f.listen("http-to-https", "127.0.0.1:0")
	if err := f.configure("http-to-https = "+address.String(), "http-to = /nowhere.sock"); err != nil {
		t.Fatal(err)
	}
	visitor := visit(t, address)
	visitor.send(get("any"))
	if r, _ := visitor.receive("GET"); r.StatusCode != 301 || r.Header.Get("Location") != "https://any/" {
		t.Errorf("%d %q", r.StatusCode, r.Header.Get("Location"))
	}
}

// figure is a number or more among the figures of http-stats.
func figure(t *testing.T, all any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := all.(map[string]any)
			value, ok := m[step]
			if !ok {
				t.Fatalf("the figures have no %v", path)
			}
			all = value
		case int:
			list, _ := all.([]any)
			if step >= len(list) {
				t.Fatalf("the figures have no %v", path)
			}
			all = list[step]
		}
	}
	return all
}

// TestStats: uWSGI's keys with its meanings, for whoever connects; stats-http for
// browsers; hits outlive a reload, and a failed address shows since when.
func TestStats(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t)
	stats := f.listen("http-stats", "127.0.0.1:0")
	two := []string{"http-stats = " + stats.String(), "http-to = /nowhere.sock", "http-to = " + v.address + " weight=3", "route-host = ^v$ vassal:v"}
	if err := f.configure(two...); err != nil {
		t.Fatal(err)
	}
	f.vassals(row("v", 7, link.Ready, v))
	f.ask(get("v"))
	for range 3 {
		f.ask(get("a"))
	}
	read := func() (all any) {
		t.Helper()
		visitor := visit(t, stats)
		if err := json.Unmarshal([]byte(visitor.rest()), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	check := func(all any, want map[string]any) {
		t.Helper()
		for path, value := range want {
			var steps []any
			for _, word := range strings.Fields(path) {
				switch word {
				case "0":
					steps = append(steps, 0)
				case "1":
					steps = append(steps, 1)
				default:
					steps = append(steps, word)
				}
			}
			if got := figure(t, all, steps...); got != value {
				t.Errorf("%s is %v, want %v", path, got, value)
			}
		}
	}
	// A request is counted when it has ended, which its client may be told before.
	eventually(t, "the requests to be counted", func() bool { return f.table.site("v").served.Load() == 4 })
	all := read()
	check(all, map[string]any{
		"cheap": 0.0, "requests": 4.0, "http 0": f.unix.Addr().String(), "http 1": f.tcp.Addr().String(),
		"static_nodes 0 name": "/nowhere.sock", "static_nodes 0 hits": 1.0,
		"static_nodes 1 name": v.address, "static_nodes 1 hits": 3.0, "static_nodes 1 grace": 0.0, "static_nodes 1 weight": 3.0,
		"vassals 0 name": "v", "vassals 0 generation": 7.0, "vassals 0 requests": 4.0, "vassals 0 state": "ready",
	})
	for _, key := range []string{"version", "pid", "uid", "gid", "cwd", "active_sessions", "subscriptions"} {
		figure(t, all, key)
	}
	if failed, _ := figure(t, all, "static_nodes", 0, "grace").(float64); failed == 0 {
		t.Error("the address that failed looks as if it worked")
	}
	if err := f.configure(append(two, "http-timeout = 7")...); err != nil {
		t.Fatal(err)
	}
	check(read(), map[string]any{"static_nodes 1 hits": 3.0})

	// One address only; and as HTTP.
	one := []string{"http-stats = " + stats.String(), "http-to = " + v.address, "stats-http = true"}
	for range 2 {
		if err := f.configure(one...); err != nil {
			t.Fatal(err)
		}
		f.ask(get("a"))
	}
	visitor := visit(t, stats)
	visitor.send("GET / HTTP/1.1\r\nHost: stats\r\n\r\n")
	r, err := http.ReadResponse(visitor.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/json" || r.ContentLength != int64(len(text)) {
		t.Errorf("%v: %v", err, r.Header)
	}
	check(all, map[string]any{"static_nodes 0 name": v.address, "static_nodes 0 hits": 2.0, "static_nodes 0 grace": 0.0})
}

// TestTCPKeepAlive: what so-keepalive asks for is always on: a client whose machine
// is gone does not hold its connection for ever.
func TestTCPKeepAlive(t *testing.T) {
	f := newFront(t)
	f.visit()
	eventually(t, "the connection", func() bool { return f.Count().Connections == 1 })
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.clients {
		var on int
		var err error
		if c.socket.Control(func(fd int) { on, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE) }); on == 0 || err != nil {
			t.Errorf("SO_KEEPALIVE is %d (%v)", on, err)
		}
	}
}
