package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// secureVisit is visit by HTTPS, in HTTP/1.1.
func secureVisit(address, host string) (*visitor, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	return &visitor{conn: conn, reader: bufio.NewReader(conn), host: host}, nil
}

// secureLoad are clients by HTTPS that ask without pause until end.
type secureLoad struct {
	address, host string
	running       sync.WaitGroup
	over          atomic.Bool
	requests      atomic.Int64
	connections   atomic.Int64

	mu       sync.Mutex
	failures []string
}

func (l *secureLoad) ended(what string, err error) {
	l.requests.Add(1)
	if err == nil || errors.Is(err, errLast) {
		return
	}
	l.mu.Lock()
	l.failures = append(l.failures, what+": "+err.Error())
	l.mu.Unlock()
}

// kept asks on one connection as long as that lasts, and never twice for one answer.
func (l *secureLoad) kept(posts bool) {
	body := bytes.Repeat([]byte("posted "), 500)
	for !l.over.Load() {
		v, err := secureVisit(l.address, l.host)
		l.connections.Add(1)
		for err == nil && !l.over.Load() {
			if posts {
				err = v.echo(body)
			} else {
				_, err = v.get("/")
			}
			l.ended(fmt.Sprintf("HTTP/1.1, request %d of its connection", v.requests), err)
		}
		if v == nil {
			l.ended("HTTP/1.1, connecting", err)
			continue
		}
		v.close()
	}
}

// multiplexed are streams of one connection of HTTP/2, or of its next. (Go asks again
// what a GOAWAY has left out, as every client of HTTP/2 does, and nothing else.)
func (l *secureLoad) multiplexed(streams int) {
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			l.connections.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", l.address)
		}}
	client := &http.Client{Transport: transport, Timeout: patience}
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			for !l.over.Load() {
				r, err := client.Get("https://" + l.host + "/")
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
					if err == nil && (r.StatusCode != 200 || r.ProtoMajor != 2) {
						err = fmt.Errorf("%s %s", r.Proto, r.Status)
					}
				}
				l.ended("HTTP/2", err)
			}
		})
	}
	all.Wait()
	transport.CloseIdleConnections()
}

// end stops them and returns what failed.
func (l *secureLoad) end() []string {
	l.over.Store(true)
	l.running.Wait()
	return l.failures
}

// TestNoSecureRequestFailsInUpgrades: clients of HTTPS who keep their connections, in both
// versions of HTTP, notice nothing of upgrades, be it of ones that fail.
func TestNoSecureRequestFailsInUpgrades(t *testing.T) {
	t.Parallel()
	faulty := emperorThatFails(t)
	m := newMachine(t)
	m.copyFile("testdata/apps/webapp.js", "webapp.js")
	m.write("RELEASE", "0")
	m.write("vassals.d/site.ini", "[uwsgi]\nchdir = DIR\ncommand = node webapp.js\n")
	m.certify("one", 1, "one.test")
	m.write("main.ini", "[uwsgi]\nemperor = DIR/vassals.d/*.ini\nhttps = 127.0.0.1:PORT,DIR/one.crt,DIR/one.key\nroute-run = vassal:site\n")
	m.start("main.ini")
	m.waitReady()
	pids := fmt.Sprint(m.known("site").PIDs)

	l := &secureLoad{address: m.address(), host: "one.test"}
	t.Cleanup(func() { l.end() })
	l.running.Go(func() { l.kept(false) })
	l.running.Go(func() { l.kept(true) })
	l.running.Go(func() { l.multiplexed(3) })
	for n := range 4 {
		before := l.requests.Load()
		m.eventually("clients are served", func() bool { return l.requests.Load() > before+50 })
		if n == 1 {
			m.refuses("on-purpose", "--binary", faulty)
			continue
		}
		m.upgrade()
	}
	connections := l.connections.Load()
	before := l.requests.Load()
	m.eventually("clients are served", func() bool { return l.requests.Load() > before+50 })
	failures := l.end()
	t.Logf("%d requests on %d connections", l.requests.Load(), connections)
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed: %q", len(failures), l.requests.Load(), failures[:min(10, len(failures))])
	}
	if connections < 6 {
		t.Errorf("%d connections in 3 upgrades: nobody was sent to the next router", connections)
	}
	if now := fmt.Sprint(m.known("site").PIDs); now != pids {
		t.Errorf("the site had the processes %s and has %s", pids, now)
	}
	m.stop()
}
