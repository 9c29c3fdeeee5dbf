package router

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/router/accesslog"
	"emperor/router/balance"
	"emperor/router/fastcgi"
	"emperor/router/upstream"
)

// expectation acts on http-manage-expect; false when the request was refused.
func (x *exchange) expectation() bool {
	if x.settings.manageExpect == 0 || !x.request.Expect100 || !x.request.HasBody() {
		return true
	}
	if limit := x.settings.manageExpect; limit > 1 && x.request.ContentLength > limit {
		x.refuseExpectation()
		return false
	}
	return x.down.invite() == nil
}

// forward brings the request to its destination and the response back.
func (x *exchange) forward(d *destination) {
	if d.site != nil && d.site.current.Load().takesOnlyStreams(d.address) {
		x.answerNotAdmitted(d, errOnlyStreams) // and it need not wake for it
		return
	}
	if err := x.body.collect(); err != nil {
		x.refuseBody(err)
		return
	}
	if x.request.Chunked && x.needsLength(d) {
		// Before a vassal is picked: a slow upload must not hold up its hand-over.
		if _, err := x.body.measure(); err != nil {
			x.refuseBody(err)
			return
		}
	} else if x.settings.bufferBodies && !x.body.whole && !x.body.raw {
		if err := x.body.keep(); err != nil {
			x.refuseBody(err)
			return
		}
	}
	// A vassal in the table that can't be reached means that the emperor is about
	// to tell us something: it restarts, or has moved.
	patience := time.Now().Add(time.Second)
	repeated := false
	to, err := x.pick(d)
	for {
		if err != nil {
			x.answerNotAdmitted(d, err)
			return
		}
		o := x.attempt(d, to, repeated)
		g := x.pinned
		x.learned(resultOf(&o), o.err)
		x.letGo()
		switch {
		case o.err == nil:
			if d.site != nil {
				x.router.table.served(d.site, g)
			}
			return
		case o.answered:
			x.failed(d, to, o.err)
			return
		case x.down.aborted():
			x.entry.Ended = accesslog.ShutDown
			x.down.closeAfter()
			return
		case o.unreachable:
			if other, failure := x.elsewhere(d, g, patience); other != nil || failure != nil {
				to, err = other, failure
				continue
			}
		case o.sent && !repeated && x.mayRepeat(o.err):
			repeated = true
			x.entry.Retries++
			if to, err = x.pick(d); to == nil && err == nil {
				// The others could not be reached, or it is the only one.
				d.tried = balance.Tried{}
				to, err = x.pick(d)
			}
			continue
		}
		x.answerFailure(d, to, o)
		return
	}
}

// elsewhere picks where a request goes of which nothing was sent: the next of
// several addresses; or, once more, the vassal, when the emperor has had a moment
// to say what became of it. Both nil: nowhere.
func (x *exchange) elsewhere(d *destination, g *generation, until time.Time) (*target, error) {
	if d.nodes != nil {
		if to, err := x.pick(d); to != nil || err != nil {
			x.entry.Retries++
			return to, err
		}
	}
	if d.key != "" && d.site == nil {
		return x.announcedSince(d)
	}
	if d.site == nil || g == nil || !time.Now().Before(until) {
		return nil, nil
	}
	d.site.awaitChange(g)
	d.tried = balance.Tried{}
	return x.pick(d)
}

// pick chooses the socket; for a site it waits until one may be used, and pins
// the generation. Of several addresses it returns the next, nil when all were
// tried.
func (x *exchange) pick(d *destination) (*target, error) {
	switch {
	case d.nodes != nil:
		return x.pickNode(d)
	case d.site != nil:
		return x.enter(d.site, d.address)
	}
	return &d.fixed[0], nil
}

// enter waits until a request may be sent to the site, and returns the socket at
// that address, or its first.
func (x *exchange) enter(s *site, address []byte) (*target, error) {
	g, err := x.admit(s)
	if err != nil {
		return nil, err
	}
	for i := range g.targets {
		if g.targets[i].text == string(address) {
			return &g.targets[i], nil
		}
	}
	return g.forRequests(), nil
}

// awaitChange gives the emperor a moment to say what has become of s.
func (s *site) awaitChange(g *generation) {
	s.mu.Lock()
	changed := s.changed
	same := s.current.Load() == g
	s.mu.Unlock()
	if !same {
		return
	}
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// outcome is how an attempt ended.
type outcome struct {
	err         error
	unreachable bool // no connection was made, or it was as good as none: nothing came of the request
	sent        bool // bytes may have reached the vassal
	answered    bool // the client got bytes of a response: nothing can be repeated or said any more
}

// mayRepeat: a second attempt is allowed when the method is idempotent, or when
// there was no body and the vassal closed without reading (DESIGN §3), and the
// whole body is still there to be sent again.
func (x *exchange) mayRepeat(err error) bool {
	if x.body.err != nil || x.body.streamed {
		return false
	}
	if errors.Is(err, upstream.ErrTimeout) || errors.Is(err, errGarbage) {
		return false
	}
	if x.body.rewind() != nil {
		return false
	}
	if idempotent(x.request.Method) {
		return true
	}
	return !x.request.HasBody() && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET))
}

// attempt sends the request to one socket and relays the response. What it
// holds, letGo gives back.
func (x *exchange) attempt(d *destination, to *target, repeated bool) (o outcome) {
	if to.invalid != nil {
		return outcome{err: to.invalid, unreachable: d.nodes != nil}
	}
	x.noteAttempt(d, to)
	x.attempted = time.Now()
	switch to.protocol {
	case protocolUwsgi:
		o = x.attemptUwsgi(d, to)
	case protocolHTTP, protocolHTTPS:
		o = x.attemptHTTP(d, to, repeated)
	case protocolFastCGI:
		o = x.attemptFastCGI(d, to)
	case protocolSCGI:
		o = x.attemptSCGI(d, to)
	case protocolStatic:
		o = x.attemptFiles(d)
	case protocolTCP:
		o = outcome{err: errOnlyStreams}
	}
	x.entry.Exchange = time.Since(x.attempted)
	return o
}

// noteAttempt notes for the access log where the request goes.
func (x *exchange) noteAttempt(d *destination, to *target) {
	if x.settings.accessLog.format == nil {
		return
	}
	x.entry.Connect, x.entry.FirstByte = 0, 0
	if x.entry.Upstream = to.text; to.text == "" {
		x.entry.Upstream = string(d.address)
	}
	if d.site != nil {
		x.entry.Vassal = d.site.name
		if x.pinned != nil {
			x.entry.Generation = x.pinned.number
		}
	}
}

// noteConnected and noteFirstByte note how long that took, and that an address of
// several can be reached.
func (x *exchange) noteConnected() {
	if x.hasNode {
		x.noteChange(x.node.Connected(), nil)
	}
	if x.settings.accessLog.format != nil {
		x.entry.Connect = time.Since(x.attempted)
	}
}

func (x *exchange) noteFirstByte() {
	if x.settings.accessLog.format != nil && x.entry.FirstByte == 0 {
		x.entry.FirstByte = time.Since(x.attempted)
	}
}

// attemptUwsgi: one connection, one packet, the response up to its end.
func (x *exchange) attemptUwsgi(d *destination, to *target) outcome {
	inChunks := x.request.Chunked && x.settings.chunkedInput
	packet, err := x.uwsgiPacket(d, inChunks)
	if err != nil {
		return outcome{err: err}
	}
	packet = x.body.appendCollected(packet, inChunks)
	framing := plainBody
	if inChunks {
		framing = chunkedBody
		if x.body.whole {
			packet = append(packet, lastChunk...)
		}
	}
	x.out = packet[:0]
	return x.attemptOnce(to, packet, httpHead, framing)
}

// attemptOnce is for protocols that take one request per connection.
func (x *exchange) attemptOnce(to *target, ready []byte, answer answerKind, framing bodyFraming) outcome {
	conn := x.own
	defer conn.Close()
	conn.Deadline.Set(x.settings.connectTimeout)
	if err := x.dial(conn, &to.address); err != nil {
		return outcome{err: err, unreachable: true}
	}
	x.noteConnected()
	return x.converse(conn, ready, answer, framing)
}

// answerKind is how a vassal's answer is written.
type answerKind uint8

const (
	httpHead    answerKind = iota // an HTTP response, or what passes for one in uwsgi
	cgiHead                       // a CGI response up to the end of the connection (SCGI)
	cgiInFrames                   // the same inside of FastCGI records
)

// bodyFraming is how the streamed part of a request's body is written.
type bodyFraming uint8

const (
	plainBody   bodyFraming = iota
	chunkedBody             // HTTP's chunks
	framedBody              // FastCGI's records
)

// frame writes the framing around the n bytes that stand in buffer behind
// bodyRoom bytes and before as many.
func (f bodyFraming) frame(buffer []byte, n int) []byte {
	switch f {
	case chunkedBody:
		return frameChunk(buffer, bodyRoom, bodyRoom+n)
	case framedBody:
		start := fastcgi.PutStdinHeader(buffer[:bodyRoom], n)
		return buffer[start : bodyRoom+n]
	}
	return buffer[bodyRoom : bodyRoom+n]
}

// last is what ends the body.
func (f bodyFraming) last() []byte {
	switch f {
	case chunkedBody:
		return lastChunk
	case framedBody:
		return lastRecord
	}
	return nil
}

var lastRecord = fastcgi.AppendStdinEnd(nil)

// converse sends what is ready to be sent and then the rest of the body, if
// there is any, and relays the response.
func (x *exchange) converse(conn *upstream.Conn, ready []byte, answer answerKind, framing bodyFraming) outcome {
	rest := x.body.rest()
	x.answerKind = answer
	conn.Deadline.Set(x.patience())
	_, err := conn.Write(ready)
	x.leave()
	if err == nil && rest != nil {
		return x.relayBoth(conn, rest, framing)
	}
	// After an error too: it may have answered without reading everything. If it
	// has not, the error stands.
	o := x.relay(conn)
	o.err = x.byHarakiri(o.err)
	if err != nil && o.err != nil && !o.answered {
		o.err = err
	}
	return o
}

// relayBoth sends the rest of the body while the response is read: a vassal may
// answer before it has read everything.
func (x *exchange) relayBoth(conn *upstream.Conn, rest io.Reader, framing bodyFraming) outcome {
	if err := conn.Share(); err != nil {
		return outcome{err: err, sent: true}
	}
	s := &sender{x: x, conn: conn, from: rest, framing: framing}
	if x.pinned != nil {
		s.harakiri = x.pinned.harakiri
	}
	x.upload = s
	s.running.Go(s.run)
	defer s.stop() // also when relaying panics: the sender must not outlive the request
	o := x.relay(conn)
	o.err = x.byHarakiri(o.err)
	// The response is complete, or there will be none: whatever the client still
	// sends, the vassal does not want it.
	s.stop()
	if s.failure != nil && !o.answered {
		return outcome{err: s.failure, sent: true}
	}
	if !s.complete && o.err == nil {
		x.response.Close = true // the connection still waits for the rest
	}
	return o
}

// unread tells whether the client has something of its body left to send.
func (x *exchange) unread() bool {
	if x.upload != nil {
		return !x.upload.read.Load() // body is the sender's now
	}
	return !x.body.whole
}

// sender copies the rest of a request body to a vassal.
type sender struct {
	x        *exchange
	conn     *upstream.Conn
	from     io.Reader
	framing  bodyFraming
	running  sync.WaitGroup
	read     atomic.Bool // the body has been read to its end: the client has nothing more to say
	failure  error       // of the client's side; the vassal's shows in its response
	complete bool        // the vassal has been sent everything
	harakiri time.Duration
	sent     atomic.Pointer[time.Time] // when; nil: not yet

	mu      sync.Mutex
	stopped bool // guarded by mu
	done    bool // guarded by mu
}

func (s *sender) run() {
	defer s.x.guard(s.conn)
	err := s.copy(make([]byte, 32<<10))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	s.complete = err == nil
	if err != nil && !s.stopped && s.x.body.err != nil {
		s.failure = s.x.body.err
		s.conn.Abort()
	}
}

func (s *sender) copy(buffer []byte) error {
	wait := s.x.settings.responseTimeout
	for {
		n, err := s.from.Read(buffer[bodyRoom : len(buffer)-bodyRoom])
		if s.x.body.whole {
			s.read.Store(true)
		}
		s.conn.Deadline.Set(wait)
		if n > 0 {
			if _, err := s.conn.Write(s.framing.frame(buffer, n)); err != nil {
				return err
			}
		}
		if err == io.EOF && s.x.body.raw {
			return s.conn.CloseWrite() // which is all that tells where it ends
		}
		if err == io.EOF {
			_, err = s.conn.Write(s.framing.last())
			now := time.Now()
			s.sent.Store(&now)
			if limit := s.harakiri; limit > 0 {
				s.conn.Deadline.Set(min(wait, limit))
			}
			return err
		}
		if err != nil {
			return err
		}
		// What comes next is the client's slowness, which has a limit of its own;
		// the vassal can't answer what it has not been sent.
		s.conn.Deadline.Set(2 * wait)
	}
}

// stop ends a copy under way and waits for it. Harmless when it has ended.
func (s *sender) stop() {
	s.mu.Lock()
	running := !s.done && !s.stopped
	s.stopped = true
	s.mu.Unlock()
	if running {
		s.conn.Abort()
		s.x.down.stopReading()
	}
	s.running.Wait()
	s.x.upload = nil
	if running {
		s.x.down.revive()
		if s.complete {
			// It was just about to end by itself, so nothing is wrong with the connection.
			s.conn.Resume()
		}
	}
}
