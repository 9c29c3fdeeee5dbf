package router

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"emperor/internal/link"
)

// secured makes the TCP listener of f one for TLS, with these options beside those
// that f has.
func (f *front) secured(options ...string) {
	f.t.Helper()
	dir := f.t.TempDir()
	certificate, key := pairUntil(f.t, time.Now().Add(time.Hour), "a")
	write(f.t, dir+"/a.crt", certificate)
	write(f.t, dir+"/a.key", key)
	f.option = optionHTTPS
	if err := f.configure(append(options, "https = "+f.tcp.Addr().String()+","+dir+"/a.crt,"+dir+"/a.key")...); err != nil {
		f.t.Fatal(err)
	}
}

// secureClient speaks HTTP/2, or HTTP/1.1, with f over TLS, or plainly.
func secureClient(f *front, protocols func(*http.Protocols)) *http.Client {
	p := new(http.Protocols)
	protocols(p)
	transport := &http.Transport{
		Protocols:          p,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", f.tcp.Addr().String())
		},
	}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var ways = []struct {
	name, scheme string
	major        int
	protocols    func(*http.Protocols)
}{
	{"HTTP/1.1 over TLS", "https", 1, func(p *http.Protocols) { p.SetHTTP1(true) }},
	{"HTTP/2", "https", 2, func(p *http.Protocols) { p.SetHTTP2(true) }},
	{"HTTP/2 in clear", "http", 2, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
}

// TestOneWay: whatever protocol a request comes by, it goes the same way: rules,
// both protocols of vassals, bodies, waiting, limits, answers of our own.
func TestOneWay(t *testing.T) {
	for _, way := range ways {
		for _, protocol := range []string{"uwsgi", "http"} {
			t.Run(way.name+"/"+protocol, func(t *testing.T) {
				v := newVassal(t, protocol, "unix", t.TempDir()+"/v.sock", func(c *call) {
					c.readBody()
					body := fmt.Sprintf("%d bytes, %s", len(c.body), c.vars["SERVER_PROTOCOL"]+c.vars["HTTPS"])
					version := "HTTP/1.1"
					if protocol == "uwsgi" {
						version = c.vars["SERVER_PROTOCOL"] // uWSGI repeats what it was told
					}
					c.say(version + " 200 OK\r\nX-A: 1\r\nContent-Type: text/x\r\n\r\n" + body)
					c.hangUp = true
				})
				options := []string{"route-host = ^a$ vassal:v", "route-host = ^r$ redirect:https://x/", "add-header = X-B: 2", "http-body-limit = 3m"}
				f := newFront(t, options...)
				f.vassals(row("v", 1, link.Starting, v))
				if way.scheme == "https" {
					f.secured(options...)
				}
				client := secureClient(f, way.protocols)
				ask := func(method, host string, body io.Reader) (*http.Response, string) {
					t.Helper()
					r, err := http.NewRequest(method, way.scheme+"://"+host+"/x?y=1", body)
					if err != nil {
						t.Fatal(err)
					}
					response, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					text, err := io.ReadAll(response.Body)
					_ = response.Body.Close()
					if err != nil {
						t.Fatal(err)
					}
					if response.ProtoMajor != way.major {
						t.Errorf("the answer came by %s", response.Proto)
					}
					return response, string(text)
				}
				// Held until the vassal is ready.
				var first sync.WaitGroup
				first.Go(func() {
					if r, text := ask("GET", "a", nil); r.StatusCode != 200 || !strings.HasPrefix(text, "0 bytes") || r.Header.Get("X-A") != "1" || r.Header.Get("X-B") != "2" {
						t.Errorf("held: %d %q %v", r.StatusCode, text, r.Header)
					}
				})
				eventually(t, "a request that waits", func() bool { return f.table.held.Load() == 1 })
				f.vassals(row("v", 1, link.Ready, v))
				first.Wait()
				for _, n := range []int{1, 70_000, 2_000_000} {
					if r, text := ask("POST", "a", bytes.NewReader(make([]byte, n))); r.StatusCode != 200 || !strings.HasPrefix(text, fmt.Sprintf("%d bytes", n)) {
						t.Errorf("POST of %d: %d %q", n, r.StatusCode, text)
					}
				}
				if r, text := ask("POST", "a", io.MultiReader(strings.NewReader("ab"), strings.NewReader("c"))); r.StatusCode != 200 || !strings.HasPrefix(text, "3 bytes") {
					t.Errorf("a body of unknown length: %d %q", r.StatusCode, text)
				}
				if r, _ := ask("POST", "a", bytes.NewReader(make([]byte, 4<<20))); r.StatusCode != 413 {
					t.Errorf("too large a body: %d", r.StatusCode)
				}
				if r, text := ask("HEAD", "a", nil); r.StatusCode != 200 || text != "" {
					t.Errorf("HEAD: %d %q", r.StatusCode, text)
				}
				if r, _ := ask("GET", "r", nil); r.StatusCode != 302 || r.Header.Get("Location") != "https://x/" {
					t.Errorf("a rule's answer: %d %v", r.StatusCode, r.Header)
				}
				if r, text := ask("GET", "nobody", nil); r.StatusCode != 404 || text != "no site of this name is served here\n" {
					t.Errorf("an answer of our own: %d %q", r.StatusCode, text)
				}
				if protocol == "uwsgi" {
					want := map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0"}[way.major]
					if way.scheme == "https" {
						want += "on"
					}
					if _, text := ask("GET", "a", nil); text != "0 bytes, "+want {
						t.Errorf("the vassal was told %q, want %q", text, want)
					}
				}
				eventually(t, "no request to be counted as under way", func() bool { return f.Count().InFlight == 0 })
			})
		}
	}
}

// TestBrokenResponseIsSeen: a response that breaks off does not look whole,
// whatever the protocol.
func TestBrokenResponseIsSeen(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			v := uwsgiVassal(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
			f := newFront(t, "http-to = "+v.address)
			if way.scheme == "https" {
				f.secured("http-to = " + v.address)
			}
			r, err := secureClient(f, way.protocols).Get(way.scheme + "://a/")
			if err != nil {
				return // it broke before the head was sent: seen as well
			}
			text, err := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if err == nil {
				t.Errorf("%q looks whole", text)
			}
		})
	}
}

// TestClientGoes: a client that resets its stream ends the vassal's work.
func TestClientGoes(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	v := uwsgiVassal(t, func(c *call) {
		c.say("HTTP/1.1 200 OK\r\n\r\nfirst")
		close(began)
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	f := newFront(t, "http-to = "+v.address)
	f.secured("http-to = " + v.address)
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", "https://a/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := secureClient(f, func(p *http.Protocols) { p.SetHTTP2(true) }).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	_ = r.Body.Close()
	if err := <-ended; !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the vassal's connection: %v", err)
	}
}

// TestDrainOfHTTP2: a draining router tells HTTP/2 clients to go (GOAWAY) and
// finishes what is under way.
func TestDrainOfHTTP2(t *testing.T) {
	release := make(chan struct{})
	v := uwsgiVassal(t, func(c *call) {
		<-release
		c.say(okResponse)
	})
	f := newFront(t, "http-to = "+v.address)
	f.secured("http-to = " + v.address)
	client := secureClient(f, func(p *http.Protocols) { p.SetHTTP2(true) })
	answered := make(chan int, 1)
	go func() {
		r, err := client.Get("https://a/")
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		_ = r.Body.Close()
		answered <- r.StatusCode
	}()
	eventually(t, "the request", func() bool { return len(v.calls()) == 1 })
	drained := make(chan struct{})
	go func() { f.Drain(context.Background()); close(drained) }()
	eventually(t, "the drain", f.leaving.Load)
	close(release)
	if s := <-answered; s != 200 {
		t.Errorf("under way: %d", s)
	}
	select {
	case <-drained:
	case <-time.After(patience):
		t.Error("the drain does not end")
	}
}

// TestCloseWaitsForHTTP2: when Close returns, no request of HTTP/2 is under way any
// more, and all are in the access log.
func TestCloseWaitsForHTTP2(t *testing.T) {
	const many = 20
	file := t.TempDir() + "/log"
	v := uwsgiVassal(t, func(c *call) { _, _ = io.Copy(io.Discard, c.Conn) })
	f := newFront(t, "http-to = "+v.address, "http-log = "+file)
	client := secureClient(f, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	var asking sync.WaitGroup
	for range many {
		asking.Go(func() {
			if r, err := client.Get("http://a/"); err == nil {
				_ = r.Body.Close()
				t.Errorf("answered %d", r.StatusCode)
			}
		})
	}
	eventually(t, "the requests", func() bool { return len(v.calls()) == many })
	f.Close()
	if n := f.Count().InFlight; n != 0 {
		t.Errorf("%d requests are under way", n)
	}
	if text, err := os.ReadFile(file); strings.Count(string(text), "\n") != many || err != nil {
		t.Errorf("%d lines in the log, want %d (%v)", strings.Count(string(text), "\n"), many, err)
	}
	asking.Wait()
}
