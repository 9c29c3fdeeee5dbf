package router

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emperor/internal/link"
)

// TestReloadOfEverything: no request fails while the configuration changes again and
// again, in all its options at once, and the vassals too.
func TestReloadOfEverything(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "page.html"), "static")
	write(t, filepath.Join(dir, "404.html"), "<p>none</p>")
	write(t, filepath.Join(dir, "users"), "joe:{SHA}C+7Hteo/D9vJXQ3UfzxbwnXaijM=\n")
	upload := string(pattern(200_000))
	page := strings.Repeat("<p>page</p>", 1000)
	answer := func(c *call) {
		body := c.readBody()
		text := page + string(body)
		c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
	}
	u, h := uwsgiVassal(t, answer), httpVassal(t, answer)
	v, w := uwsgiVassal(t, answer), httpVassal(t, answer)
	rules := []string{"route-host = ^v$ vassal:v", "route-host = ^w$ vassal:w", "route-host = ^u$ uwsgi:" + u.address + ",0,0", "route-host = ^h$ http:" + h.address + "|" + w.address,
		"route-host = ^static$ static:" + filepath.Join(dir, "page.html")}
	extra := [][]string{
		{"http-timeout = 7"}, {"http-headers-timeout = 9"}, {"http-connect-timeout = 4"}, {"http-keepalive = 50"}, {"http-keepalive-timeout = 20"}, {"http-websocket-timeout = 5"},
		{"http-auto-chunked = false"}, {"http-websockets = false"}, {"http-manage-expect = 1"}, {"http-chunked-input = true"}, {"http-server-name-as-http-host = true"}, {"http-modifier1 = 5"}, {"http-var = A=b"},
		{"http-trusted-proxies = 10.0.0.0/8"}, {"http-head-size = 4096"}, {"http-head-fields = 50"}, {"http-hold = 500"}, {"http-hold-vassal = 50"}, {"http-hold-timeout = 20"},
		{"http-body-limit = 1m"}, {"http-to = " + u.address}, {"http-to = " + u.address, "http-fallback = " + v.address}, {"http-balance = iphash"}, {"http-balance = wlrc"}, {"http-gracetime = 1"}, {"resolver = 127.0.0.1"},
		{"add-header = X-A: b"}, {"rem-header = X-A"}, {"http-request-id = true"}, {"http-log = " + filepath.Join(dir, "a.log")}, {"http-log = " + filepath.Join(dir, "b.log"), "http-log-format = json"},
		{"error-page = 404 " + filepath.Join(dir, "404.html")}, {"maintenance = elsewhere"}, {"http-health = /_up"}, {"http-limit-peer = 100"}, {"http-limit-rate = 100000/s"}, {"http-limit-vassal = 4", "http-limit-vassal-queue = 100"}, {"http-limit-vassal = 20"},
		{"http-body-rate = 1k"}, {"http-read-rate = 1k"}, {"http-compress = gzip"}, {"http-compress = zstd,gzip", "http-compress-min = 10", "http-compress-level = 1"}, {"http-auto-gzip = true"},
		{"http-use-base = /run/"}, {"http-post-buffering = 1m"}, {"http-vassal-keepalive = 3"}, {"http-manage-source = true"}, {"http-stud-prefix = 192.0.2.1"}, {"http-enable-proxy-protocol = true", "http-proxy-protocol-from = 192.0.2.1"},
		{"route-host = ^static$ basicauth:x,joe:secret"}, {"response-route-run = addheader:X-Response: 1"}, {"error-route-run = addheader:X-Error: 1"}, {"final-route-run = logvar:A=b"}, {"route-host = ^other$ basicauth:x," + filepath.Join(dir, "users")},
	}
	f := newFront(t, rules...)
	f.vassals(row("v", 1, link.Ready, v), row("w", 1, link.Ready, w))
	var stop atomic.Bool
	var asked atomic.Int64
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 0))
			var visitor *visitor
			for !stop.Load() {
				if visitor == nil {
					visitor = f.visit()
				}
				host := []string{"u", "h", "v", "w", "static"}[random.IntN(5)]
				request, body := "GET / HTTP/1.1\r\nHost: "+host+"\r\nAccept-Encoding: gzip\r\nAuthorization: Basic am9lOnNlY3JldA==\r\n\r\n", ""
				if host != "static" && random.IntN(3) == 0 {
					body = upload[:random.IntN(len(upload))]
					request = "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body
				}
				got := visitor.exchange(request, "GET")
				asked.Add(1)
				want := page + body
				if host == "static" {
					want = "static"
				}
				if head, text, _ := strings.Cut(got.text, "\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 200 ") || text != want || got.err != "" {
					t.Errorf("request to %s: %q … %d bytes (%s)", host, cut(got.text), len(text), got.err)
					return
				}
				if got.ended {
					_ = visitor.Close()
					visitor = nil
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for generation := uint64(2); generation < 14; generation++ {
		options := []string{}
		for _, one := range extra {
			if random.IntN(3) == 0 {
				options = append(options, one...)
			}
		}
		if err := f.configure(append(options, rules...)...); err != nil {
			t.Fatalf("%v: %q", err, options)
		}
		f.Hold("v")()
		f.vassals(row("v", generation, link.Ready, v), row("w", generation, link.Ready, w))
		f.Release("v")
		cancel := make(chan struct{})
		f.Drained("v", generation, cancel)
		f.Drained("w", generation, cancel)
		before := asked.Load()
		eventually(t, "requests in between", func() bool { return asked.Load() > before+8 || t.Failed() })
	}
	stop.Store(true)
	clients.Wait()
	f.wantIdle(t)
}
