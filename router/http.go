package router

import (
	"time"

	"emperor/router/http1"
)

// attemptHTTP sends the request to a vassal that speaks HTTP/1.1, on a
// connection that was kept if there is one.
func (x *exchange) attemptHTTP(d *destination, to *target, repeated bool) outcome {
	head := http1.RequestHead{
		Target: d.uri, Host: d.host, ContentLength: x.request.ContentLength, Chunked: x.request.Chunked,
		Skip: forwardedKinds,
	}
	rest := x.body.rest()
	if x.request.Chunked && rest == nil {
		// The whole body is here, so its length is known: simpler for the vassal.
		head.Chunked, head.ContentLength = false, int64(len(x.body.collected))
	}
	head.Upgrade = x.upgrade()
	x.scratch = x.appendForwarded(x.scratch[:0], x.trusted)
	if x.ownID {
		x.scratch = append(append(append(x.scratch, "X-Request-ID: "...), x.requestID...), "\r\n"...)
	}
	head.Extra = x.scratch
	x.out = head.Append(x.out[:0], &x.request)
	x.out = x.body.appendCollected(x.out, head.Chunked)
	if err := x.connect(d, to, repeated); err != nil {
		return outcome{err: err, unreachable: true}
	}
	x.noteConnected()
	framing := plainBody
	if head.Chunked {
		framing = chunkedBody
	}
	o := x.converse(x.pooled.Conn, x.out, httpHead, framing)
	if o.err == nil && !to.single && x.reusable() {
		x.down.sends(nil)
		x.router.pool.Put(x.pooled, x.idleFor())
		x.pooled = nil
	}
	return o
}

// connect takes a kept connection or makes one, as x.pooled. A repeated request
// gets a new one: what happened to the first may have happened to all.
func (x *exchange) connect(d *destination, to *target, repeated bool) error {
	var generation uint64
	if x.pinned != nil {
		generation = x.pinned.number
	}
	repeatable := idempotent(x.request.Method) && !x.body.streamed
	fresh := x.settings.upstreamIdle
	if !repeatable {
		fresh = min(quick, fresh)
	}
	if repeated {
		fresh = 0
	}
	text := d.address
	if to.text != "" {
		text = nil
	}
	if to.protocol == protocolHTTPS {
		return x.connectTLS(d, to, text, fresh)
	}
	x.pooled = x.router.pool.Take(to.text, text, generation, fresh, !repeatable)
	conn := x.pooled.Conn
	if conn.Open() {
		x.down.sends(conn)
		return nil
	}
	conn.Deadline.Set(x.settings.connectTimeout)
	return x.dial(conn, &to.address)
}

// connectTLS is connect for vassals behind TLS. The certificate has to be for the
// host that the rule names, or else for the address's own.
func (x *exchange) connectTLS(d *destination, to *target, text []byte, fresh time.Duration) error {
	name := serverNameOf(d.host)
	if name == "" {
		name = serverNameOf([]byte(to.text + string(text)))
	}
	tls, err := x.settings.upstreamTLS.to(name)
	if err != nil {
		return err
	}
	x.pooled = x.router.pool.TakeTLS(tls, to.text, text, 0, fresh, true)
	conn := x.pooled.Conn
	if conn.Open() {
		x.down.sends(conn)
		return nil
	}
	conn.Deadline.Set(x.settings.connectTimeout)
	if err := x.dial(conn, &to.address); err != nil {
		return err
	}
	return conn.StartTLS(tls)
}

// quick is how long a kept connection may have been idle for a request that must not
// be executed twice, or whose body is not kept: the vassal may be closing it just now,
// and then the request could not be repeated.
const quick = time.Second

// reusable: the response was read to its end, nobody wants to close, and the
// emperor has not named another generation meanwhile (Drained closes what is
// idle; what comes back later must not stay).
func (x *exchange) reusable() bool {
	r := &x.response
	return (x.pinned == nil || x.site.current.Load().number == x.pinned.number) && !r.Close && r.Framing != http1.UntilClose && r.Framing != http1.Tunnel &&
		x.first == x.last && x.body.whole && !x.body.raw // such bytes may be another request to the vassal
}

// idleFor is how long the vassal lets the connection wait, a little less than
// it says itself.
func (x *exchange) idleFor() time.Duration {
	if said := x.response.IdleTimeout; said >= 0 {
		return min(time.Duration(said)*time.Second-500*time.Millisecond, x.settings.upstreamIdle)
	}
	return x.settings.upstreamIdle
}
