package router

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"time"

	"emperor/router/http1"
	"emperor/router/sni"
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

// NetConn is the connection itself, as crypto/tls says it of its own.
func (p *prefixed) NetConn() net.Conn { return p.Conn }

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

// secured is what is known of a connection behind TLS.
type secured struct {
	state     tls.ConnectionState
	handshake sni.Handshake
	listener  *sni.Listener
	client    *sni.Client // who the client has proved to be; nil: nobody
	vars      []sni.Var   // for vassals
}

// secure does the TLS handshake of a connection that came in by an https
// listener. plain: what is decrypted goes on as it is. false: it failed, and has been
// said.
func (c *client) secure(s *Settings, plain bool) bool {
	l := s.certificates.byName[c.peer.listener]
	if l == nil {
		return false // a listener that has just been removed
	}
	known := &secured{listener: l, handshake: sni.Handshake{Context: context.Background()}}
	config := l.TLSConfig()
	if plain {
		config = l.PlainConfig()
	}
	conn := tls.Server(c.unread(), config)
	c.conn, c.tls = conn, conn
	c.socket.Reading.Set(handshakeTime)
	c.socket.Writing.Set(handshakeTime)
	err := conn.HandshakeContext(&known.handshake)
	c.socket.Reading.Clear()
	c.socket.Writing.Clear()
	if err != nil {
		c.refuseHandshake(known, err)
		return false
	}
	known.state = conn.ConnectionState()
	if known.state.NegotiatedProtocol == sni.ChallengeProtocol {
		return false // a certificate authority, which has seen what it came for
	}
	known.client = sni.NewClient(&known.state)
	known.vars = sni.AppendVars(nil, &known.state, known.client, s.certificates.vars)
	c.peer.scheme, c.peer.secured = "https", known
	return true
}

// refuseHandshake says why a handshake failed. Who speaks plain HTTP to this port
// is told so, in plain HTTP.
func (c *client) refuseHandshake(known *secured, err error) {
	h := &known.handshake
	c.router.counters.handshakesFailed.Add(1)
	c.router.complain(&c.peer, slog.LevelInfo, "TLS handshake failed", slog.Any("err", err),
		slog.String("sni", h.Asked), slog.String("certificate", h.String()))
	if sni.PlainHTTP(err) {
		c.socket.Reading.Set(lingerSilence)
		c.socket.Writing.Set(lingerSilence)
		_, _ = c.socket.Write(http1.AppendStatus(nil, 400, "this port speaks https; write https:// in front of the address", false, true, nil))
		// Closing with bytes unread would take the answer away from the client.
		if c.socket.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, c.socket)
		}
	}
}

// hostOfHandshake: a request of HTTP/1.0 may have no Host. Behind TLS it is for the
// name that its connection was made for.
func (x *exchange) hostOfHandshake() {
	if s := x.peer.secured; s != nil && len(x.request.Host.Name) == 0 {
		x.request.Host.Name = []byte(s.handshake.Name)
	}
}

// wrongConnection answers a request for a host that demands something of the
// client that was not asked for on this connection (RFC 9110 §15.5.20).
func (x *exchange) wrongConnection() bool {
	s := x.peer.secured
	if s == nil || !s.listener.Misdirected(&s.handshake, string(x.request.Host.Name)) && !x.isPassedOn() {
		return false
	}
	x.refuseRequest(421, "this host needs a connection of its own")
	return true
}

// preface begins an HTTP/2 connection (RFC 9113 §3.4).
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// speaksHTTP2 tells whether the client speaks HTTP/2: by ALPN, or on a plain
// connection by its first bytes.
func (c *client) speaksHTTP2() bool {
	if c.tls != nil {
		return c.peer.secured.state.NegotiatedProtocol == "h2"
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
