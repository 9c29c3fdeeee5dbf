package router

import (
	"context"
	"slices"
	"sync"
	"time"

	"emperor/router/accesslog"
	"emperor/router/hello"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/upstream"
	"emperor/router/uwsgi"
)

// exchange is the working set of one request at a time: buffers, parsed heads,
// the decision, an upstream connection. A connection borrows one when bytes
// arrive and gives it back when it is idle, so that ten thousand idle
// connections hold none.
//
// What belongs to one request is grouped by what it is for, beside the code that
// works with it; each group forgets by its own reset. Nothing of a request is left
// when it has ended, but for the memory of buffers.
type exchange struct {
	router *Router
	own    *upstream.Conn // for vassals that take one request per connection
	buffers

	down               downstream // the client's side of the request
	peer               *peer
	settings           *Settings // of the request
	started, attempted time.Time // the request, and sending it to a vassal
	request            http1.Request
	body               body
	upload             *sender // what sends the rest of the body while the response is relayed; nil: nothing does

	identity
	routing
	holding
	scripting
	outgoing
	compressing
	serving

	entry accesslog.Entry
}

// buffers are what is reused for the next request as it is.
type buffers struct {
	in      []byte // from the client: in[start:end] is not consumed yet
	start   int
	end     int
	headEnd int         // where the head of the request under way ends in in
	out     []byte      // to the vassal: packet or head, and the collected body
	hello   hello.Hello // that a stream begins with, in in
	writer  uwsgi.Writer
	back    []byte // from the vassal: back[first:last] is not consumed yet
	first   int
	last    int
	unsent  []byte // to the client: a head and what goes with it
	scratch []byte // for a moment: nothing in it lives across a call
}

// serve has the request that stands in x answered: the way of every request,
// whatever protocol it came by. whole says whether the client has sent everything.
func (x *exchange) serve(down downstream, from *peer) (whole bool) {
	x.begun(down, from)
	defer x.ended()
	var d destination
	if x.admitted() && x.expectation() && x.decide(&d) {
		x.forward(&d)
	}
	if !x.body.whole {
		x.down.closeAfter()
	}
	return x.body.whole
}

// begun prepares x for the request that was parsed into it.
func (x *exchange) begun(down downstream, from *peer) {
	x.down, x.peer = down, from
	x.router.counters.requests.Add(1)
	x.router.counters.inFlight.Add(1)
	x.started = time.Now()
	x.askedHead = isHead(x.request.Method)
	if x.trusted = x.settings.trusted.includes(from.remote); !x.trusted {
		x.dropForeignForwarded()
	}
	x.identify()
	x.body.expect(x)
	if x.settings.takesRaw(&x.request) && x.upgrade() == nil {
		x.body.raw, x.body.whole = true, false
		down.closeAfter()
	}
}

// ended does what follows every request, and forgets it.
func (x *exchange) ended() {
	x.letGo()
	x.body.discard()
	x.endStream()
	x.router.counters.inFlight.Add(-1)
	if x.matched && x.settings.rules.Has(rule.FinalChain) {
		x.query.Status = x.status
		_, x.query.Sent = x.down.sent()
		x.settings.rules.MatchFinal(&x.query, &x.decision)
		x.notes()
	}
	x.logRequest()
	x.reset()
}

// reset forgets what the groups know of the request.
func (x *exchange) reset() {
	x.body.reset()
	x.identity.reset()
	x.routing.reset()
	x.scripting.reset()
	x.outgoing.reset()
	x.serving.reset()
	x.started, x.attempted, x.entry = time.Time{}, time.Time{}, accesslog.Entry{}
}

// admitted asks what holds for a request whatever the rules say; false when it
// has been answered.
func (x *exchange) admitted() bool {
	x.hostOfHandshake()
	return !x.wrongConnection() && !x.answerHealth() && !x.answerChallenge() && x.withinRate() && !x.answerMaintenance() && x.smallEnough()
}

// smallEnough refuses a body that is announced to be larger than is allowed. One
// in chunks is found out while it is read.
func (x *exchange) smallEnough() bool {
	if limit := x.settings.bodyLimit; limit > 0 && x.request.ContentLength > limit {
		x.refuseRequest(413, errBodyTooLarge.Reason)
		return false
	}
	return true
}

// guard is deferred by the second goroutine of a request: a fault there ends
// both.
func (x *exchange) guard(conn *upstream.Conn) {
	if v := recover(); v != nil {
		x.router.logPanic(v, x.peer)
		conn.Abort()
	}
}

// dial connects to a vassal, so that closing the client's connection reaches it.
func (x *exchange) dial(conn *upstream.Conn, to *upstream.Address) error {
	x.down.sends(conn)
	err := conn.Dial(to)
	x.down.sends(conn) // Dial forgets an abort that came before it
	return err
}

// roomBehindHead is the part of in behind the head of the request under way,
// made large enough to read into. in must be consumed.
func (x *exchange) roomBehindHead() []byte {
	if len(x.in)-x.headEnd < 4<<10 {
		// The parsed head keeps pointing into the old array.
		grown := make([]byte, x.headEnd+inSize)
		copy(grown, x.in[:x.headEnd])
		x.in = grown
	}
	return x.in[x.headEnd:]
}

const (
	inSize   = 8 << 10
	backSize = 32 << 10

	// Buffers that a request made larger than this go to the collector with it.
	keptSize = 128 << 10

	keptExchanges = 512 // after a burst,
	keptAlways    = 16  // and when it is over
)

func newExchange(r *Router) *exchange {
	return &exchange{router: r, own: r.dialer.NewConn(), buffers: buffers{in: make([]byte, inSize)}}
}

// prepareBack makes the buffer for responses. A connection that only drips a
// head needs none.
func (x *exchange) prepareBack() {
	if x.back == nil {
		x.back = make([]byte, backSize)
	}
	x.first, x.last = 0, 0
}

// forget prepares x for being kept: it holds on to nothing but its buffers, and to
// none that one request made large.
func (x *exchange) forget() {
	x.start, x.end = 0, 0
	x.down, x.peer, x.settings = nil, nil, nil
	x.request.Reset()
	x.response.Reset()
	for _, b := range [...]*[]byte{&x.out, &x.unsent, &x.scratch, &x.framed, &x.compressed} {
		if cap(*b) > keptSize {
			*b = nil
		}
	}
	if len(x.in) > keptSize {
		x.in = make([]byte, inSize)
	}
}

// exchanges keeps what is not borrowed. (Not a sync.Pool: an exchange has an
// upstream connection registered elsewhere, which has to be released.)
type exchanges struct {
	router *Router

	mu     sync.Mutex
	kept   []*exchange // guarded by mu; most recently used last
	unused int         // guarded by mu; least length of kept since the last shrink
	closed bool        // guarded by mu
}

// run gives memory back, until ctx ends.
func (e *exchanges) run(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			e.shrink()
		case <-ctx.Done():
			return
		}
	}
}

// shrink drops half of what nobody needed since it was last called.
func (e *exchanges) shrink() {
	e.mu.Lock()
	n := max(0, min(e.unused, len(e.kept))-keptAlways+1) / 2
	dropped := slices.Clone(e.kept[:n])
	e.kept = slices.Delete(e.kept, 0, n)
	e.unused = len(e.kept)
	e.mu.Unlock()
	for _, x := range dropped {
		x.own.Release()
	}
}

func (e *exchanges) borrow() *exchange {
	e.mu.Lock()
	if n := len(e.kept); n > 0 {
		x := e.kept[n-1]
		e.kept = e.kept[:n-1]
		e.unused = min(e.unused, n-1)
		e.mu.Unlock()
		return x
	}
	e.mu.Unlock()
	return newExchange(e.router)
}

func (e *exchanges) giveBack(x *exchange) {
	x.forget()
	e.mu.Lock()
	if !e.closed && len(e.kept) < keptExchanges {
		e.kept = append(e.kept, x)
		x = nil
	}
	e.mu.Unlock()
	if x != nil {
		x.own.Release()
	}
}

// close releases what is kept and everything that is given back later.
func (e *exchanges) close() {
	e.mu.Lock()
	kept := e.kept
	e.kept, e.closed = nil, true
	e.mu.Unlock()
	for _, x := range kept {
		x.own.Release()
	}
}
