package router

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// TestClientThatTakesNothing: by every protocol a client that asks for much and reads
// none of it is cut after http-timeout, and its vassal is free again. One that reads
// gets the whole.
func TestClientThatTakesNothing(t *testing.T) {
	const size = 64 << 20
	all := append([]struct {
		name, scheme string
		major        int
		protocols    func(*http.Protocols)
	}{{"HTTP/1.1", "http", 1, func(p *http.Protocols) { p.SetHTTP1(true) }}}, ways...)
	for _, way := range all {
		t.Run(way.name, func(t *testing.T) {
			ended := make(chan error, 2)
			v := uwsgiVassal(t, func(c *call) {
				_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
				for sent := 0; sent < size && err == nil; sent += 1 << 20 {
					_, err = c.Write(make([]byte, 1<<20))
				}
				ended <- err
			})
			f := newFront(t, "http-to = "+v.address)
			if way.scheme == "https" {
				f.secured("http-to = " + v.address)
			}
			client := secureClient(f, way.protocols)
			r, err := client.Get(way.scheme + "://a/")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
				t.Errorf("who reads gets %d bytes, %v", n, err)
			}
			_ = r.Body.Close()
			if err := <-ended; err != nil {
				t.Errorf("the vassal of who reads: %v", err)
			}
			f.adjust(func(s *Settings) { s.responseTimeout = time.Second })
			if r, err = client.Get(way.scheme + "://a/"); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Body.Close() }()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the vassal could send all of it")
				}
			case <-time.After(patience):
				t.Error("the vassal still waits")
			}
			eventually(t, "the request to end", func() bool { return f.Count().InFlight == 0 })
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				t.Error("the answer looks whole")
			}
		})
	}
}
