package router

import (
	"net"
	"net/http"
	"testing"

	"emperor/internal/link"
)

// eachClient tells whether the ends of every connection are as is holds.
func (f *front) eachClient(is func(over, ended bool) bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.clients {
		if !is(c.hungUp()) {
			return false
		}
	}
	return true
}

// TestHalfClosedClientIsServed: a client that ends its direction when it has sent
// its request, as nc -N does, waits for the answer like any other, also while its
// site starts or is handed over.
func TestHalfClosedClientIsServed(t *testing.T) {
	requests := map[string]string{
		"GET":  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
		"1.0":  "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
	}
	both(t, answering(okResponse), func(t *testing.T, f *front, v *vassal) {
		for name, request := range requests {
			for _, to := range []net.Addr{f.tcp.Addr(), f.unix.Addr()} {
				t.Run(name+" "+to.Network(), func(t *testing.T) {
					half := func() *visitor {
						visitor := visit(t, to)
						visitor.send(request)
						if err := visitor.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
							t.Fatal(err)
						}
						return visitor
					}
					ended := func() bool {
						return f.Count().InFlight == 1 && f.eachClient(func(_, ended bool) bool { return ended })
					}

					half().want("GET", 200, "ok")

					eventually(t, "the request before to end", func() bool { return f.Count().Connections == 0 })
					f.Hold("v")()
					visitor := half()
					eventually(t, "the request to wait at the gate", ended)
					f.Release("v")
					visitor.want("GET", 200, "ok")

					eventually(t, "the request before to end", func() bool { return f.Count().Connections == 0 })
					f.vassals(row("v", 1, link.Starting, v))
					visitor = half()
					eventually(t, "the request to wait", ended)
					if name != "1.0" {
						// The front asks whether somebody is still there.
						interim, err := http.ReadResponse(visitor.in, nil)
						if err != nil || interim.StatusCode != 100 {
							t.Fatalf("got %v, %v; want 100 Continue", interim, err)
						}
					}
					f.vassals(row("v", 1, link.Ready, v))
					visitor.want("GET", 200, "ok")
					visitor.wantEnd()
				})
			}
		}
	})
}
