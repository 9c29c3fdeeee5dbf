package router

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unread is how much of what a client has sent the front has not read yet.
func (f *front) unread(conn net.Conn) (n int, err error) {
	err = errors.New("the front does not know the connection yet")
	from := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.clients {
		if netip.AddrPortFrom(c.peer.remote, c.peer.port16) == from {
			c.socket.Control(func(fd int) { n, err = unix.IoctlGetInt(fd, unix.TIOCINQ) })
		}
	}
	return n, err
}

// inPieces is a connection of a client whose first write arrives in pieces, of which the
// front has read each before the next is sent: what it does with a part is seen, too.
type inPieces struct {
	net.Conn
	f     *front
	sizes []byte // a piece has one byte more; what is left is the last
	sent  bool
}

func (c *inPieces) Write(p []byte) (int, error) {
	if c.sent {
		return c.Conn.Write(p)
	}
	c.sent = true
	rest := p
	for _, size := range c.sizes {
		n := int(size) + 1
		if n >= len(rest) {
			break
		}
		if _, err := c.Conn.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
		for end := time.Now().Add(patience); ; time.Sleep(50 * time.Microsecond) {
			if left, err := c.f.unread(c.Conn); err == nil && left == 0 {
				break
			} else if time.Now().After(end) {
				return 0, errors.Join(err, errors.New("the front does not read what has come"))
			}
		}
	}
	if _, err := c.Conn.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// inRecords cuts the handshake message of a ClientHello into other records.
func inRecords(hello string, sizes []byte) string {
	message, cut := hello[5:], ""
	for _, size := range sizes {
		n := int(size) + 1
		if n >= len(message) {
			break
		}
		cut += hello[:3] + string([]byte{byte(n >> 8), byte(n)}) + message[:n]
		message = message[n:]
	}
	return cut + hello[:3] + string([]byte{byte(len(message) >> 8), byte(len(message))}) + message
}

// FuzzHelloInPieces: however a ClientHello is cut into records, and those into pieces that
// arrive one after the other, the connection goes where its name says: passed on byte for
// byte, as it was sent, and decrypted here after a handshake like any other.
func FuzzHelloInPieces(f *testing.F) {
	passed := serveBehind(f, nil, parrot("passed")) // sends back the very bytes
	plain := serveBehind(f, nil, parrot("plain"))
	other := serveBehind(f, nil, parrot("other"))
	front := newFront(f)
	front.secured("route-run = return:204",
		"route-sni = passed.test pass:"+passed.Addr().String(),
		"route-sni = plain.test tcp:"+plain.Addr().String(),
		"route-sni = default pass:"+other.Addr().String(), "stream-default = "+other.Addr().String())
	hello := clientHello(f, "passed.test")
	for at := range 80 { // every cut of a record's and a message's heads, and of the first fields
		f.Add([]byte{byte(at)}, []byte(nil))
	}
	for _, at := range []byte{0, 3, 30, 70, 255} {
		f.Add([]byte(nil), []byte{at})
		f.Add([]byte{4, 0, 0, 0, at}, []byte{at, at})
		f.Add([]byte{255, 255, 255, 255, 255, at}, []byte{at, 255, at})
	}
	f.Fuzz(func(t *testing.T, sizes, records []byte) {
		if len(sizes) > 50 {
			sizes = sizes[:50]
		}
		dial := func() *inPieces {
			conn, err := net.Dial("tcp", front.tcp.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			return &inPieces{Conn: conn, f: front, sizes: sizes}
		}
		conn := dial()
		defer func() { _ = conn.Close() }()
		sent := inRecords(hello, records)
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		if got := talk(t, conn.Conn, "and more"); got != "passed\n"+sent+"and more" {
			t.Errorf("%d bytes came back of %d: %.50q", len(got), len(sent), got)
		}
		conn = dial()
		defer func() { _ = conn.Close() }()
		if got := talk(t, tls.Client(&recut{conn, records}, &tls.Config{ServerName: "plain.test", InsecureSkipVerify: true}), "hello"); got != "plain\nhello" {
			t.Errorf("decrypted here: %q", got)
		}
	})
}

// recut cuts the first write of a client, its ClientHello, into other records.
type recut struct {
	*inPieces
	records []byte
}

func (r *recut) Write(p []byte) (int, error) {
	if r.sent {
		return r.inPieces.Write(p)
	}
	if _, err := r.inPieces.Write([]byte(inRecords(string(p), r.records))); err != nil {
		return 0, err
	}
	return len(p), nil
}
