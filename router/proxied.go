package router

import (
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"emperor/router/proxyproto"
)

// proxyHeaderTime is how long a PROXY header may take. A proxy sends it with the
// first packet.
const proxyHeaderTime = 5 * time.Second

var errNoProxyHeader = errors.New("the connection ended before its PROXY header")

// expectProxyHeader reads the PROXY header of a connection whose peer sends one,
// before its first request, and takes the visitor from it. false ends the
// connection.
func (c *client) expectProxyHeader() bool {
	s := c.router.current()
	if !s.proxyProtocol || !s.proxiesFrom.includes(c.peer.remote) {
		return true
	}
	c.reading.Set(proxyHeaderTime)
	defer c.reading.Clear()
	x := c.router.exchanges.borrow()
	c.x = x
	x.settings = s
	for {
		h, n, err := proxyproto.Parse(x.in[x.start:x.end])
		if err == nil && n > 0 {
			x.start += n
			if !h.Local && h.Source.IsValid() {
				c.peer.remote = h.Source.Addr().Unmap()
				c.peer.remoteAddr = c.peer.remote.AppendTo(nil)
				c.peer.port16 = h.Source.Port()
				c.peer.remotePort = strconv.AppendUint(nil, uint64(h.Source.Port()), 10)
			}
			if x.start == x.end {
				x.start, x.end = 0, 0
				c.router.exchanges.giveBack(x)
				c.x = nil
			}
			return true
		}
		var got int
		if err == nil {
			got, err = c.read(x.in[x.end:])
			x.end += got
			if got > 0 {
				continue
			}
			if err == nil || err == io.EOF {
				err = errNoProxyHeader
				if x.end == 0 {
					return false // a port check: nothing was ever said
				}
			}
		}
		c.router.complain(&c.peer, slog.LevelWarn, "connection closed: http-enable-proxy-protocol wants a PROXY header from this peer", slog.Any("err", err))
		return false
	}
}
