package router

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"time"
)

// handshakeTime is how long a TLS handshake may take.
const handshakeTime = 10 * time.Second

// prefixed is a connection of which some bytes have been read already.
type prefixed struct {
	net.Conn
	before []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.before) > 0 {
		n := copy(b, p.before)
		p.before = p.before[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// unread is the connection with what was read of it and is not consumed before
// it, and gives the exchange back.
func (c *client) unread() net.Conn {
	if c.x == nil {
		return c.conn
	}
	x := c.x
	before := bytes.Clone(x.in[x.start:x.end])
	c.x = nil
	c.router.exchanges.giveBack(x)
	if len(before) == 0 {
		return c.conn
	}
	return &prefixed{Conn: c.conn, before: before}
}

// secure does the TLS handshake of a connection that came in by an https
// listener. false: it failed, and has been said.
func (c *client) secure(config *tls.Config) bool {
	conn := tls.Server(c.unread(), config)
	c.conn, c.tls = conn, conn
	c.reading.Set(handshakeTime)
	c.writing.Set(handshakeTime)
	err := conn.Handshake()
	for err != nil && c.spuriousRead(err) {
		err = conn.Handshake()
	}
	c.reading.Clear()
	c.writing.Clear()
	if err != nil {
		c.router.complain(&c.peer, slog.LevelInfo, "TLS handshake failed", slog.Any("err", err), slog.String("sni", conn.ConnectionState().ServerName))
		return false
	}
	state := conn.ConnectionState()
	c.peer.scheme, c.peer.secured = "https", &state
	return true
}

// preface begins an HTTP/2 connection (RFC 9113 §3.4).
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// speaksHTTP2 tells whether the client speaks HTTP/2: by ALPN, or on a plain
// connection by its first bytes.
func (c *client) speaksHTTP2() bool {
	if c.tls != nil {
		return c.peer.secured.NegotiatedProtocol == "h2"
	}
	if c.x == nil || c.served {
		return false
	}
	c.served = true
	first := c.x.in[c.x.start:c.x.end]
	return len(first) >= 16 && bytes.HasPrefix(first, preface[:16])
}

// serveHTTP2 hands the connection over until it ends.
func (c *client) serveHTTP2() {
	conn := net.Conn(c.tls)
	if c.tls == nil {
		conn = c.unread()
	}
	c.shared.Store(true)
	if c.aborting.Load() {
		_ = c.socket.Close()
	}
	c.router.multiplexed.serve(conn, c)
}

// awaitSecured waits for the first byte of a request on a TLS connection.
func (c *client) awaitSecured() bool {
	n, err := c.read(c.first[:])
	if n == 0 || err != nil {
		return false
	}
	c.x = c.router.exchanges.borrow()
	c.x.in[0], c.x.end = c.first[0], 1
	return true
}

// tlsOf is how connections of that listener are secured; nil: not at all.
func (s *Settings) tlsOf(p *peer) *tls.Config { return s.tls[p.listener] }
