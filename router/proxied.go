package router

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"emperor/router/proxyproto"
)

// proxyHeaderTime is how long a PROXY header may take. A proxy sends it with the
// first packet.
const proxyHeaderTime = 5 * time.Second

var (
	errNoProxyHeader   = errors.New("the connection ended before its PROXY header")
	errSlowProxyHeader = errors.New("its PROXY header did not come in time")
)

// wantsProxyHeader: connections of that peer begin with a header that names the
// visitor.
func (s *Settings) wantsProxyHeader(from *peer) bool {
	return s.proxyProtocol && s.proxiesFrom.includes(from.remote) || s.sendsStud(from)
}

// sendsStud: that header is stud's.
func (s *Settings) sendsStud(from *peer) bool {
	return s.studFrom.includes(from.remote)
}

// expectProxyHeader reads the PROXY header of a connection whose peer sends one,
// before its first request, and takes the visitor from it. false ends the
// connection.
func (c *client) expectProxyHeader() bool {
	s := c.router.current()
	stud := s.sendsStud(&c.peer)
	if c.counted || !s.wantsProxyHeader(&c.peer) {
		return true
	}
	c.socket.Reading.Set(s.proxyHeaderTime)
	defer c.socket.Reading.Clear()
	x := c.router.exchanges.borrow()
	c.x = x
	x.settings = s
	for {
		h, n, err := parseProxyHeader(x.in[x.start:x.end], stud)
		if err == nil && n > 0 {
			c.visitedBy(&h)
			if stud {
				c.peer.scheme = "https" // which is what stud is for
			}
			if x.start += n; x.start == x.end {
				x.start, x.end = 0, 0
				c.router.exchanges.giveBack(x)
				c.x = nil
			}
			return c.enter() // as whom the header names
		}
		var got int
		if err == nil {
			got, err = c.read(x.in[x.end:])
			x.end += got
			if got > 0 {
				continue
			}
			if err == nil || err == io.EOF {
				if x.end == 0 {
					return false // a port check
				}
				err = errNoProxyHeader
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errSlowProxyHeader
			}
		}
		c.router.complain(&c.peer, slog.LevelWarn, "connection closed: "+wantedHeader(stud)+" from this peer", slog.Any("err", err))
		return false
	}
}

func parseProxyHeader(b []byte, stud bool) (proxyproto.Header, int, error) {
	if stud {
		return proxyproto.ParseStud(b)
	}
	return proxyproto.Parse(b)
}

func wantedHeader(stud bool) string {
	if stud {
		return "http-stud-prefix wants a stud header"
	}
	return "http-enable-proxy-protocol wants a PROXY header"
}

// visitedBy takes the visitor from the header.
func (c *client) visitedBy(h *proxyproto.Header) {
	if h.Local {
		return // the proxy itself
	}
	if ssl, ok := h.SSL(); ok && ssl.TLS {
		c.peer.scheme = "https" // up to the proxy, which is where it matters
	}
	c.peer.local = h.Destination
	if h.Source.IsValid() {
		c.peer.remote = h.Source.Addr().Unmap()
		c.peer.remoteAddr = c.peer.remote.AppendTo(nil)
		c.peer.port16 = h.Source.Port()
		c.peer.remotePort = strconv.AppendUint(nil, uint64(h.Source.Port()), 10)
	}
}
