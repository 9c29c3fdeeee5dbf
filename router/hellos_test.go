package router

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"
)

// inTwo writes what it is given first in two pieces, or each byte by itself.
type inTwo struct {
	net.Conn
	at   int // where the first write is cut; 0: everywhere
	done bool
}

func (c *inTwo) Write(p []byte) (n int, err error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.done = true
	for rest := p; len(rest) > 0 && err == nil; rest = rest[n:] {
		size := 1
		if c.at > 0 && len(rest) == len(p) {
			size = min(c.at, len(p))
		} else if c.at > 0 {
			size = len(rest)
		}
		n, err = c.Conn.Write(rest[:size])
	}
	return len(p), err
}

// TestHelloInPieces: a ClientHello that arrives in pieces is read like any other by the
// front's own sockets, too. (At every byte: router/sni.)
func TestHelloInPieces(t *testing.T) {
	f := newFront(t)
	f.secured("route-run = return:200")
	for _, at := range []int{0, 1, 2, 3, 4, 5, 6, 9, 43, 44, 100, 500, 1000, 1400} {
		conn, err := net.Dial("tcp", f.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		secure := tls.Client(&inTwo{Conn: conn, at: at}, &tls.Config{ServerName: "a", InsecureSkipVerify: true})
		if err := secure.Handshake(); err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
		visitor := newVisitor(t, secure)
		visitor.send(get("a"))
		if r, _ := visitor.receive("GET"); r.StatusCode != 200 {
			t.Errorf("cut at %d: %d", at, r.StatusCode)
		}
		_ = conn.Close()
	}
}

// TestHTTPS2Line: a listener of https2 serves as one of https does, beside it; spdy=1
// means HTTP/2 there, whatever holds for others.
func TestHTTPS2Line(t *testing.T) {
	dir, later := t.TempDir(), time.Now().Add(100*24*time.Hour)
	pairFiles(t, dir, "a", later, "a.test")
	pairFiles(t, dir, "b", later, "b.test")
	f := newFront(t)
	f.option = optionHTTPS
	keyed := []net.Addr{f.listen(optionHTTPS2, "127.0.0.1:0"), f.listen(optionHTTPS2, "127.0.0.1:0")}
	if err := f.configure("https-http2 = false", "route-run = return:200", "sni = b.test "+dir+"/b.crt,"+dir+"/b.key",
		fmt.Sprintf("https = %s,%s/a.crt,%[2]s/a.key", f.tcp.Addr(), dir),
		fmt.Sprintf("https2 = addr=%s,cert=%s/a.crt,key=%[2]s/a.key,ciphers=HIGH,spdy=1", keyed[0], dir),
		fmt.Sprintf("https2 = addr=%s,crt=%s/a.crt,key=%[2]s/a.key", keyed[1], dir)); err != nil {
		t.Fatal(err)
	}
	for address, protocol := range map[net.Addr]string{f.tcp.Addr(): "http/1.1", keyed[0]: "h2", keyed[1]: "http/1.1"} {
		for name, shown := range map[string]string{"a.test": "a.test", "other.test": "a.test", "b.test": "b.test"} {
			for _, offered := range [][]string{{"h2", "http/1.1"}, {"http/1.1"}} {
				conn, err := tls.Dial("tcp", address.String(), &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: offered})
				if err != nil {
					t.Fatal(err)
				}
				state := conn.ConnectionState()
				want := protocol
				if len(offered) == 1 {
					want = "http/1.1"
				}
				if state.NegotiatedProtocol != want || state.PeerCertificates[0].DNSNames[0] != shown {
					t.Errorf("%s, %s: %s with the certificate of %s", address, name, state.NegotiatedProtocol, state.PeerCertificates[0].DNSNames[0])
				}
				if want == "http/1.1" {
					visitor := newVisitor(t, conn)
					visitor.send(get(name))
					if r, _ := visitor.receive("GET"); r.StatusCode != 200 {
						t.Errorf("%s, %s: %d", address, name, r.StatusCode)
					}
				}
				_ = conn.Close()
			}
		}
	}
}

// TestCacheOption: sni-cache pairs of a folder stay loaded, and all of its names are
// served.
func TestCacheOption(t *testing.T) {
	const names, most = 20, 16
	dir := t.TempDir()
	for i := range names {
		pairFiles(t, dir, fmt.Sprintf("n%d.test", i), time.Now().Add(100*24*time.Hour), fmt.Sprintf("n%d.test", i))
	}
	f := newFront(t)
	f.option = optionHTTPS
	if err := f.configure("https = "+f.tcp.Addr().String(), "sni-dir = "+dir, fmt.Sprint("sni-cache = ", most)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * names {
		name := fmt.Sprintf("n%d.test", i%names)
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if shown := conn.ConnectionState().PeerCertificates[0].DNSNames[0]; shown != name {
			t.Errorf("%s: the certificate of %s", name, shown)
		}
		_ = conn.Close()
	}
	figures := f.certificateFigures(time.Now())
	if figures["loaded"] != most || figures["loads"] != uint64(2*names) || figures["evicted"] != uint64(2*names-most) {
		t.Errorf("figures %v", figures)
	}
}
