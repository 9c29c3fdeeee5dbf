package router

import (
	"time"

	"emperor/router/http1"
	"emperor/router/upstream"
)

// attemptHTTP sends the request to a vassal that speaks HTTP/1.1, on a
// connection that was kept if there is one.
func (c *client) attemptHTTP(d *destination, g *generation, to *target, leave func()) outcome {
	x := c.x
	head := http1.RequestHead{
		Target: d.uri, ContentLength: x.request.ContentLength, Chunked: x.request.Chunked,
		Skip: forwardedKinds,
	}
	if d.host != nil {
		head.Skip |= http1.KindsOf(http1.Host)
	}
	rest := x.body.rest()
	if x.request.Chunked && rest == nil {
		// The whole body is here, so its length is known: simpler for the vassal.
		head.Chunked, head.ContentLength = false, int64(len(x.body.collected))
	}
	if c.settings.websockets {
		head.Upgrade = x.request.Upgrade
	}
	x.scratch = x.scratch[:0]
	if d.host != nil {
		x.scratch = append(append(append(x.scratch, "Host: "...), d.host...), "\r\n"...)
	}
	x.scratch = c.appendForwarded(x.scratch, c.settings.trusted.includes(c.remote))
	head.Extra = x.scratch
	x.out = head.Append(x.out[:0], &x.request)
	if n := len(x.body.collected); n > 0 {
		if head.Chunked {
			x.out = http1.AppendChunkHeader(x.out, n)
		}
		x.out = append(x.out, x.body.collected...)
		if head.Chunked {
			x.out = append(x.out, '\r', '\n')
		}
	}

	var number uint64
	if g != nil {
		number = g.number
	}
	conn, err := c.connection(d, to, number)
	if err != nil {
		leave()
		return outcome{err: err}
	}
	reused := conn.Reused
	conn.Deadline.Set(c.settings.responseTimeout)
	_, err = conn.Write(x.out)
	leave()
	var o outcome
	switch {
	case err != nil && rest == nil:
		if o = c.relay(conn.Conn, nil); !o.answered {
			o.err = err
		}
	case rest == nil:
		o = c.relay(conn.Conn, nil)
	default:
		o = c.relayBoth(conn.Conn, rest, head.Chunked)
	}
	o.reused = reused
	c.sending.Store(nil)
	if o.err == nil && c.reusable() {
		c.router.pool.Put(conn, c.idleFor())
	} else {
		c.router.pool.Discard(conn)
	}
	return o
}

// connection takes a kept connection or makes one.
func (c *client) connection(d *destination, to *target, generation uint64) (*upstream.Pooled, error) {
	text := d.address
	if to.text != "" {
		text = nil
	}
	conn := c.router.pool.Take(to.text, text, generation, c.quickOnly())
	if conn.Open() {
		c.sending.Store(conn.Conn)
		return conn, nil
	}
	conn.Deadline.Set(c.settings.connectTimeout)
	if err := c.dial(conn.Conn, &to.address); err != nil {
		c.router.pool.Discard(conn)
		return nil, err
	}
	return conn, nil
}

// quickOnly bounds how long a kept connection may have been idle: a vassal may
// be closing one just now, and a request that must not be executed twice can't be
// repeated when that happens.
func (c *client) quickOnly() time.Duration {
	if idempotent(c.x.request.Method) {
		return c.settings.upstreamIdle
	}
	return time.Second
}

// reusable: the response was read to its end and nobody wants to close.
func (c *client) reusable() bool {
	r := &c.x.response
	return !r.Close && r.Framing != http1.UntilClose && r.Framing != http1.Tunnel &&
		c.x.first == c.x.last && c.x.body.whole
}

// idleFor is how long the vassal lets the connection wait, a little less than
// it says itself.
func (c *client) idleFor() time.Duration {
	if said := c.x.response.IdleTimeout; said >= 0 {
		return min(time.Duration(said)*time.Second-500*time.Millisecond, c.settings.upstreamIdle)
	}
	return c.settings.upstreamIdle
}
