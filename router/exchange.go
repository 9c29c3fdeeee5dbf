package router

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"emperor/router/accesslog"
	"emperor/router/balance"
	"emperor/router/compress"
	"emperor/router/fastcgi"
	"emperor/router/http1"
	"emperor/router/limit"
	"emperor/router/rule"
	"emperor/router/scgi"
	"emperor/router/static"
	"emperor/router/upstream"
	"emperor/router/uwsgi"
)

// exchange is the working set of one request at a time: buffers, parsed heads,
// the decision, an upstream connection. A connection borrows one when bytes
// arrive and gives it back when it is idle, so that ten thousand idle
// connections hold none.
type exchange struct {
	in       []byte // from the client: in[start:end] is not consumed yet
	start    int
	end      int
	headEnd  int    // where the head of the request under way ends in in
	out      []byte // to the vassal: packet or head, and the collected body
	back     []byte // from the vassal: back[first:last] is not consumed yet
	first    int
	last     int
	unsent   []byte // to the client: a head and what goes with it
	path     []byte // PATH_INFO
	hostPort []byte
	scratch  []byte

	router   *Router
	down     downstream // the client's side of the request
	peer     *peer
	settings *Settings // of the request

	request  http1.Request
	response http1.Response
	mine     http1.Response // an answer of our own
	head     answerHead
	lines    []byte        // header lines added to the response
	reason   []byte        // reason phrase or media type of an answer of our own
	chunks   http1.Chunked // of the response
	decision rule.Decision
	query    rule.Query
	writer   uwsgi.Writer
	body     body
	upload   *sender // what sends the rest of the body while the response is relayed; nil: nothing does
	own      *upstream.Conn // for vassals that take one request per connection

	started      time.Time
	entry        accesslog.Entry
	status       int // of the answer
	requestID    []byte
	ownID        bool // requestID was made here
	visitorAddr  netip.Addr
	visitorKnown bool
	askedHead    bool // the client's own method is HEAD
	answerKind   answerKind
	records      fastcgi.Response // of a FastCGI vassal
	fastcgi      fastcgi.Writer
	scgi         scgi.Writer
	framed       []byte         // a request in one of these
	script       []rule.Var     // and what names the script
	node         balance.Choice // the address in use, while hasNode
	hasNode      bool
	uri          []byte // a target made by rules
	mapped       []byte // an address made of the host
	files        static.Request
	file         static.Answer
	filePath     []byte
	matched      bool // the rules have seen the request
	erred        bool // the error chain has run
	responded    bool // and the response chain

	accepted   compress.Accepted
	choice     compress.Choice
	stream     *compress.Stream // compresses the answer under way
	compressed []byte

	// What the request holds, and what must be given back however it ends (letGo).
	site   *site
	pinned *generation
	inside bool // of site's gate
	pooled *upstream.Pooled
	turn   *limit.InFlight // of a vassal, while it has one
}

// serve has the request that stands in x answered: the way of every request,
// whatever protocol it came by. When it returns, body.whole says whether the
// client has sent everything.
func (x *exchange) serve(down downstream, from *peer) {
	x.begun(down, from)
	defer x.ended()
	var d destination
	if x.admitted() && x.expectation() && x.decide(&d) {
		x.forward(&d)
	}
	if !x.body.whole {
		x.down.closeAfter()
	}
}

// begun prepares x for the request that was parsed into it.
func (x *exchange) begun(down downstream, from *peer) {
	x.down, x.peer = down, from
	x.router.counters.requests.Add(1)
	x.router.counters.inFlight.Add(1)
	x.started = time.Now()
	x.entry = accesslog.Entry{}
	x.askedHead = isHead(x.request.Method)
	x.status, x.visitorKnown, x.matched, x.erred, x.responded = 0, false, false, false, false
	x.decision.Response = rule.ResponseEdits{Headers: x.decision.Response.Headers[:0]}
	x.decision.Rule, x.decision.Unlogged, x.decision.Vars = nil, false, x.decision.Vars[:0]
	trusted := x.settings.trusted.includes(from.remote)
	if !trusted {
		x.dropForeignForwarded()
	}
	x.identify(trusted)
	x.body.expect(x)
	if x.settings.rawBody && !x.request.HasBody() && x.upgrade() == nil {
		x.body.raw, x.body.whole = true, false
		down.closeAfter()
	}
}

// ended does what follows every request.
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
}

// admitted asks what holds for a request whatever the rules say; false when it
// has been answered.
func (x *exchange) admitted() bool {
	return !x.answerHealth() && x.withinRate() && !x.answerMaintenance() && x.smallEnough()
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

// leave says that the request has been sent: what holds the site back need not
// wait for it any more.
func (x *exchange) leave() {
	if x.inside {
		x.inside = false
		x.site.gate.leave()
	}
}

// letGo gives back what an attempt holds.
func (x *exchange) letGo() {
	x.leave()
	if x.pinned != nil {
		x.site.end(x.pinned)
		x.pinned = nil
	}
	if x.down != nil {
		x.down.sends(nil)
	}
	if x.pooled != nil {
		x.router.pool.Discard(x.pooled)
		x.pooled = nil
	}
	x.learned(balance.Unknown, nil)
	x.endTurn()
}

// dial connects to a vassal, so that closing the client's connection reaches it.
func (x *exchange) dial(conn *upstream.Conn, to *upstream.Address) error {
	x.down.sends(conn)
	return conn.Dial(to)
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
	return &exchange{
		router: r,
		in:     make([]byte, inSize),
		own:    r.poller.NewConn(),
	}
}

// prepareBack makes the buffer for responses. A connection that only drips a
// head needs none.
func (x *exchange) prepareBack() {
	if x.back == nil {
		x.back = make([]byte, backSize)
	}
	x.first, x.last = 0, 0
}

// forget drops what refers to the request that was.
func (x *exchange) forget() {
	x.start, x.end = 0, 0
	x.down, x.peer, x.settings, x.site = nil, nil, nil, nil
	x.head = answerHead{}
	x.entry = accesslog.Entry{}
	x.request.Reset()
	x.response.Reset()
	if cap(x.unsent) > keptSize {
		x.unsent = nil
	}
	if cap(x.compressed) > keptSize {
		x.compressed = nil
	}
	if cap(x.out) > keptSize {
		x.out = nil
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
