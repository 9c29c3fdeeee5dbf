package router

import (
	"time"

	"emperor/router/http1"
)

// attemptHTTP sends the request to a vassal that speaks HTTP/1.1, on a
// connection that was kept if there is one.
func (c *client) attemptHTTP(d *destination, to *target, repeated bool) outcome {
	x := c.x
	head := http1.RequestHead{
		Target: d.uri, Host: d.host, ContentLength: x.request.ContentLength, Chunked: x.request.Chunked,
		Skip: forwardedKinds,
	}
	rest := x.body.rest()
	if x.request.Chunked && rest == nil {
		// The whole body is here, so its length is known: simpler for the vassal.
		head.Chunked, head.ContentLength = false, int64(len(x.body.collected))
	}
	head.Upgrade = c.upgrade()
	x.scratch = c.appendForwarded(x.scratch[:0], c.settings.trusted.includes(c.remote))
	head.Extra = x.scratch
	x.out = head.Append(x.out[:0], &x.request)
	x.out = x.body.appendCollected(x.out, head.Chunked)
	if err := c.connect(d, to, repeated); err != nil {
		return outcome{err: err, unreachable: true}
	}
	o := c.converse(c.pooled.Conn, x.out, head.Chunked)
	if o.err == nil && c.reusable() {
		c.sending.Store(nil)
		c.router.pool.Put(c.pooled, c.idleFor())
		c.pooled = nil
	}
	return o
}

// connect takes a kept connection or makes one, as c.pooled. A repeated request
// gets a new one: what happened to the first may have happened to all.
func (c *client) connect(d *destination, to *target, repeated bool) error {
	var generation uint64
	if c.pinned != nil {
		generation = c.pinned.number
	}
	fresh := c.quickOnly()
	if repeated {
		fresh = 0
	}
	text := d.address
	if to.text != "" {
		text = nil
	}
	c.pooled = c.router.pool.Take(to.text, text, generation, fresh)
	conn := c.pooled.Conn
	if conn.Open() {
		c.sending.Store(conn)
		return nil
	}
	conn.Deadline.Set(c.settings.connectTimeout)
	return c.dial(conn, &to.address)
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

// reusable: the response was read to its end, nobody wants to close, and the
// emperor has not named another generation meanwhile (Drained closes what is
// idle; what comes back later must not stay).
func (c *client) reusable() bool {
	r := &c.x.response
	return (c.pinned == nil || c.site.current.Load().number == c.pinned.number) && !r.Close && r.Framing != http1.UntilClose && r.Framing != http1.Tunnel &&
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
