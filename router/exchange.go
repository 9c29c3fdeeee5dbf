package router

import (
	"context"
	"slices"
	"sync"
	"time"

	"emperor/router/http1"
	"emperor/router/rule"
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
	answer   []byte // to the client: head and what goes with it
	path     []byte // PATH_INFO
	hostPort []byte
	scratch  []byte

	request  http1.Request
	response http1.Response
	chunks   http1.Chunked // of the response
	decision rule.Decision
	query    rule.Query
	writer   uwsgi.Writer
	body     body
	own      *upstream.Conn // for vassals that take one request per connection
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

func newExchange(p *upstream.Poller) *exchange {
	return &exchange{
		in:  make([]byte, inSize),
		own: p.NewConn(),
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
	x.request.Reset()
	x.response.Reset()
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
	poller *upstream.Poller

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
	return newExchange(e.poller)
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
