package router

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// TestBusyClientsAreNoFlood: what clients in good faith do a lot of does not end their
// connection: large answers read in small pieces, uploads in small pieces, pages left
// while they load, many requests.
func TestBusyClientsAreNoFlood(t *testing.T) {
	const large = 12 << 20
	v := httpVassal(t, func(c *call) {
		switch {
		case strings.HasPrefix(c.head, "GET /large"):
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 12582912\r\n\r\n")
			_, _ = io.Copy(c, io.LimitReader(zeros{}, large))
		case strings.HasPrefix(c.head, "GET /never"):
			_, _ = io.Copy(io.Discard, c.Conn)
		default:
			echo(c)
		}
	})
	options := []string{"route-run = http:" + v.address}
	f := newFront(t, options...)
	f.secured(options...)
	client := secureClient(f, func(p *http.Protocols) { p.SetHTTP2(true) })
	ask := func(method, path string, body io.Reader, want int) {
		r, err := http.NewRequest(method, "https://a"+path, body)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		got := 0
		for in, b := bufio.NewReaderSize(response.Body, 4096), make([]byte, 1000); err == nil; {
			var n int
			n, err = in.Read(b)
			got += n
		}
		if err != io.EOF || got != want || response.StatusCode != 200 {
			t.Errorf("%s %s: %d, %d bytes, %v", method, path, response.StatusCode, got, err)
		}
	}
	ask("GET", "/", nil, 0)
	var busy sync.WaitGroup
	for range 3 {
		busy.Go(func() { ask("GET", "/large", nil, large) })
		busy.Go(func() {
			pieces, w := io.Pipe()
			busy.Go(func() {
				for range 5000 {
					_, _ = w.Write([]byte("xyz"))
				}
				_ = w.Close()
			})
			ask("POST", "/", pieces, 15_000)
		})
		busy.Go(func() {
			for range 500 {
				ask("GET", "/", nil, 0)
			}
		})
	}
	busy.Wait()
	for range 4 {
		ctx, cancel := context.WithCancel(context.Background())
		before := len(v.calls())
		var page sync.WaitGroup
		for range 100 {
			page.Go(func() {
				r, _ := http.NewRequestWithContext(ctx, "GET", "https://a/never", nil)
				if response, err := client.Do(r); err == nil {
					t.Errorf("answered %d", response.StatusCode)
					_ = response.Body.Close()
				}
			})
		}
		eventually(t, "the page's requests", func() bool { return len(v.calls()) == before+100 })
		cancel()
		page.Wait()
	}
	ask("GET", "/", nil, 0)
	if strings.Contains(f.log.String(), "floods") {
		t.Error("its connection was closed")
	}

	// One that opens both windows for each kilobyte, only when it has everything.
	c := f.frames(http2.Setting{ID: http2.SettingInitialWindowSize, Val: large})
	_ = c.WriteWindowUpdate(0, large)
	_ = c.request(1, true, append(asking[:3:3], field{":path", "/large"})...)
	if o := c.outcome(1); len(o.body) != large {
		t.Fatalf("%d bytes", len(o.body))
	}
	for range large >> 10 {
		_ = c.WriteWindowUpdate(0, 1<<10)
		_ = c.WriteWindowUpdate(1, 1<<10)
	}
	_ = c.request(3, true, asking...)
	if o := c.outcome(3); o.status != "200" {
		t.Errorf("after many windows: %+v", o)
	}
}
