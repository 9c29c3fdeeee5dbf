package relay

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"emperor/router/socket"
	"emperor/router/upstream"
)

// LastWords is how long it may take to deliver what a client behind TLS has said, when
// it has left already.
const LastWords = time.Minute

// Side is one of the two connections: *socket.Conn, *tls.Conn on one, or
// *upstream.Conn. Others are to have a method Abort that ends what waits on them,
// for good.
type Side interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	// CloseWrite ends our direction (a half-close).
	CloseWrite() error
}

// Options say how a Relay goes about it.
type Options struct {
	// Header goes to the upstream before everything else, and is not counted: a
	// PROXY protocol header.
	Header []byte
	// Early is what has been read of the client's bytes already. It is not copied.
	Early []byte
	// Idle is how long both sides may be silent. 0: for ever.
	Idle time.Duration
	// Grace, if not 0, is how long both may be silent when the client has ended.
	Grace time.Duration
	// UpstreamDecides: when it ends, all is over, and what the client may still send
	// is not waited for.
	UpstreamDecides bool
	// Heard, if not nil, counts the pieces that came from the upstream.
	Heard *atomic.Uint64
	// Owner, if not nil, is told of what happens.
	Owner Owner
}

// Owner is whose Relay it is.
type Owner interface {
	// Lasts is called once when the Relay has gone on for a while, for what is not
	// worth doing for a short one. Meanwhile the connections stay open.
	Lasts()
	// Spawn runs carry in a goroutine, when there is much to carry and somebody has to
	// wait for it. Only a Relay that Start began needs that.
	Spawn(carry func())
	// Over is called once with what Run would return, perhaps before Start returns, and
	// perhaps by the poller: it must not block. Run does not call it.
	Over(Result)
}

// aWhile is what lasts.
const aWhile = 15 * time.Second

// Result is how a Relay ended.
type Result struct {
	// Bytes that were read from one side and written to the other.
	FromClient, FromUpstream int64
	// Reason says in words what ended it: one of the constants, or what Stop was
	// given.
	Reason string
	// Err is the error of the connection that broke, nil for any other end.
	Err error
}

// Reasons for an end. Both sides have ended where one "closed": it is the one that
// did so first.
const (
	ClientClosed   = "client closed"
	UpstreamClosed = "upstream closed"
	ClientReset    = "client reset"
	UpstreamReset  = "upstream reset"
	ClientFailed   = "client failed"
	UpstreamFailed = "upstream failed"
	Idle           = "idle"
)

// Relay carries the bytes of one pair of connections.
type Relay struct {
	client, upstream Side
	options          Options
	up, down         direction
	silence          silence
	ended            atomic.Bool           // there is a reason
	leaving          atomic.Pointer[error] // why nothing can be written to the client any more
	answering        sync.Mutex            // held while a piece is written to the client, until an error of it is known
	pump             pump                  // of two plain sockets

	mu     sync.Mutex
	first  string  // guarded by mu; who closed first, "" before
	reason string  // guarded by mu; why it is over, "" before
	err    error   // guarded by mu
	by     carrier // guarded by mu; who carries the bytes; nil before and after
}

// carrier can be made to see that it is over.
type carrier interface{ stop() }

// direction is what goes one way.
type direction struct {
	carried atomic.Int64
	heard   *atomic.Uint64 // nil: nobody counts its pieces
	ended   bool           // guarded by Relay.mu; the source has sent its last byte, and it was delivered
}

// New returns a Relay, which does nothing before Run.
func New(client, upstream Side, o Options) *Relay {
	r := &Relay{client: client, upstream: upstream, options: o}
	r.down.heard = o.Heard
	return r
}

// came counts a piece.
func (d *direction) came() {
	if d.heard != nil {
		d.heard.Add(1)
	}
}

// FromClient and FromUpstream tell how many bytes were carried so far. Any
// goroutine may ask.
func (r *Relay) FromClient() int64   { return r.up.carried.Load() }
func (r *Relay) FromUpstream() int64 { return r.down.carried.Load() }

// Stop ends the Relay, before Run or in it, for a reason. Any goroutine may call
// it; the first reason counts.
func (r *Relay) Stop(reason string) { r.end(reason, nil) }

// Run carries bytes until both directions have ended, either side breaks, both are
// silent for too long, or Stop is called. It closes neither side: that is left to do,
// and after an end that was no closing it is all that is left. Meanwhile nobody else
// may use them, and limits that were set on them before are lifted.
func (r *Relay) Run() Result {
	r.begin()
	if p, ok := r.plain(); ok {
		if p != nil {
			p.run()
		}
	} else {
		r.copyBothWays()
	}
	return r.result()
}

// Start is Run for a Relay of two plain sockets that nobody waits for: the Owner, whom it
// must have, is told when it is over. It does not block. A stream on which little happens keeps no
// goroutine.
//
// false: the sides are not plain sockets, and nothing has been done.
func (r *Relay) Start() bool {
	p, ok := r.plain()
	if !ok {
		return false
	}
	r.begin()
	if p == nil {
		r.options.Owner.Over(r.result())
		return true
	}
	p.start()
	return true
}

func (r *Relay) begin() {
	r.silence.begin(r)
	r.lift()
}

// result is called when nothing is carried any more.
func (r *Relay) result() Result {
	r.silence.end()
	r.mu.Lock() // also for what Lasts may be doing
	defer r.mu.Unlock()
	return Result{FromClient: r.FromClient(), FromUpstream: r.FromUpstream(), Reason: r.reason, Err: r.err}
}

// plain is a pump for two sides that are plain sockets. ok is false where they are
// not; without a pump it is over already.
func (r *Relay) plain() (p *pump, ok bool) {
	conn, ok := r.client.(*socket.Conn)
	if !ok {
		return nil, false
	}
	to, ok := r.upstream.(*upstream.Conn)
	if !ok || to.Socket() == nil {
		return nil, false
	}
	from, unread := conn.Lend()
	if from == nil {
		r.clientBroke(net.ErrClosed)
		return nil, true
	}
	p = &r.pump
	p.prepare(r, conn, from, to.Socket())
	p.up.readable = unread
	p.begin(r.opening())
	if !r.carriedBy(p) {
		conn.GiveBack()
		return nil, true
	}
	return p, true
}

// carriedBy says who is to be told when it is over. false: it is over already.
func (r *Relay) carriedBy(c carrier) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by = c
	return r.reason == ""
}

// opening is what is sent to the upstream first, and how much of it is not counted.
func (r *Relay) opening() (bytes []byte, free int) {
	o := &r.options
	if free = len(o.Header); free == 0 {
		return o.Early, 0
	}
	return append(o.Header[:free:free], o.Early...), free
}

// lift takes limits away that somebody set before.
func (r *Relay) lift() {
	if c, ok := connection(r.client).(*socket.Conn); ok {
		c.Reading.Clear()
		c.Writing.Clear()
	}
	if c, ok := r.upstream.(*upstream.Conn); ok {
		c.Deadline.Clear()
	}
}

// lasts tells who wanted to know that it has gone on for a while.
func (r *Relay) lasts() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == "" {
		r.options.Owner.Lasts()
	}
}

// over tells that there is nothing more to be done.
func (r *Relay) over() bool { return r.ended.Load() }

// end ends it at once, with whatever waits. The first reason counts.
func (r *Relay) end(reason string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason != "" {
		return
	}
	r.reason, r.err = reason, err
	r.ended.Store(true)
	if r.by != nil {
		r.by.stop()
	}
}

// finish notes that a direction has been carried to its end. It tells whether the
// receiver is still to be told: after the second end both are closed anyway.
func (r *Relay) finish(d *direction) (tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silence.broken()
	d.ended = true
	if r.first == "" {
		r.first = ClientClosed
		if d == &r.down {
			r.first = UpstreamClosed
		}
	}
	decided := r.options.UpstreamDecides && d == &r.down
	if (r.up.ended && r.down.ended || decided) && r.reason == "" {
		r.reason = r.first
		r.ended.Store(true)
		if decided && r.by != nil {
			r.by.stop()
		}
	}
	if d == &r.up && r.options.Grace > 0 && r.reason == "" {
		r.silence.shorten(r.options.Grace)
	}
	return r.reason == ""
}

func (r *Relay) clientBroke(err error) {
	if isReset(err) {
		r.end(ClientReset, err)
	} else {
		r.end(ClientFailed, err)
	}
}

func (r *Relay) upstreamBroke(err error) {
	if isReset(err) {
		r.end(UpstreamReset, err)
	} else {
		r.end(UpstreamFailed, err)
	}
}
