package router

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"emperor/router/upstream"
)

// serveRequest reads one request and answers it. It returns whether the
// connection can carry another.
func (c *client) serveRequest() bool {
	x := c.x
	c.settings = c.router.current()
	if err := c.readHead(); err != nil {
		c.refuseHead(err)
		return false
	}
	x.headEnd = x.start
	c.router.counters.requests.Add(1)
	c.router.counters.inFlight.Add(1)
	defer c.router.counters.inFlight.Add(-1)
	if x.request.Close || x.request.Minor == 0 || !c.settings.keepAlive || c.router.leaving.Load() {
		c.closeAfterThis = true
	}
	x.body.expect(c)
	defer x.body.discard()

	var d destination
	if c.expectation() && c.decide(&d) {
		c.forward(&d)
	}
	if !x.body.whole {
		// Nobody wanted the rest of the body: the connection can't be used again,
		// and the client should still get to read the answer.
		c.closeAfter()
		c.linger()
	}
	return !c.closeAfterThis
}

// expectation acts on http-manage-expect; false when the request was refused.
func (c *client) expectation() bool {
	x := c.x
	if !x.body.invite || c.settings.manageExpect == 0 {
		return true
	}
	if limit := c.settings.manageExpect; limit > 1 && x.request.ContentLength > limit {
		c.refuseExpectation()
		return false
	}
	x.body.invite = false
	return c.write(continueBytes) == nil
}

// forward brings the request to its destination and the response back.
func (c *client) forward(d *destination) {
	x := c.x
	if err := x.body.collect(); err != nil {
		c.refuseBody(err)
		return
	}
	// The connect errors of a vassal in the table mean that the emperor is about
	// to tell us something: it restarts, or has moved.
	patience := time.Now().Add(time.Second)
	retried := false
	for turn := 0; ; turn++ {
		g, to, err := c.pick(d, turn)
		if err != nil {
			c.answerNotAdmitted(d, err)
			return
		}
		outcome := c.attempt(d, g, to)
		if g != nil {
			d.site.end(g)
		}
		switch {
		case outcome.err == nil:
			if d.site != nil {
				d.site.served.Add(1)
			}
			return
		case outcome.answered:
			c.failed(d, to, outcome.err)
			return
		case !outcome.sent && len(d.defaults) > turn+1:
			continue // the next of http-to
		case !outcome.sent && d.site != nil && time.Now().Before(patience):
			c.awaitChange(d.site, g)
			continue
		case outcome.sent && !retried && c.mayRepeat(outcome.err):
			retried = true
			continue
		}
		c.answerFailure(d, to, outcome)
		return
	}
}

// pick chooses the socket; for a site it waits until one may be used, and pins
// the generation.
func (c *client) pick(d *destination, turn int) (*generation, *target, error) {
	switch {
	case d.site != nil:
		g, err := c.admit(d.site)
		if err != nil {
			return nil, nil, err
		}
		for i := range g.targets {
			if d.address != nil && g.targets[i].text == string(d.address) {
				return g, &g.targets[i], nil
			}
		}
		return g, &g.targets[0], nil
	case len(d.defaults) > 0:
		n := c.router.turn.Add(1)
		return nil, &d.defaults[int(n)%len(d.defaults)], nil
	}
	return nil, &d.fixed[0], nil
}

// awaitChange gives the emperor a moment to say what has become of s.
func (c *client) awaitChange(s *site, g *generation) {
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
	err      error
	sent     bool // bytes may have reached the vassal
	answered bool // the client got bytes of a response: nothing can be repeated or said any more
	reused   bool // on a connection that was idle before
}

// mayRepeat: a second attempt is allowed when the method is idempotent, or when
// there was no body and the vassal closed without reading (DESIGN §3), and the
// whole body is still there to be sent again.
func (c *client) mayRepeat(err error) bool {
	x := c.x
	if x.body.err != nil || x.body.rest() != nil && x.body.spool == nil {
		return false
	}
	if errors.Is(err, upstream.ErrTimeout) || errors.Is(err, errGarbage) {
		return false
	}
	if x.body.spool != nil {
		if _, err := x.body.spool.Seek(0, io.SeekStart); err != nil {
			return false
		}
	}
	if idempotent(x.request.Method) {
		return true
	}
	return !x.request.HasBody() && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET))
}

// attempt sends the request to one socket and relays the response.
func (c *client) attempt(d *destination, g *generation, to *target) outcome {
	leave := func() {
		if g != nil {
			d.site.gate.leave()
		}
	}
	if to.invalid != nil {
		leave()
		return outcome{err: to.invalid}
	}
	switch to.protocol {
	case protocolUwsgi:
		return c.attemptUwsgi(d, to, leave)
	case protocolHTTP:
		return c.attemptHTTP(d, g, to, leave)
	}
	leave()
	return outcome{err: errProtocol}
}

var errProtocol = errors.New("this protocol is not spoken yet")

// attemptUwsgi: one connection, one packet, the response up to its end.
func (c *client) attemptUwsgi(d *destination, to *target, leave func()) outcome {
	x := c.x
	packet, err := c.uwsgiPacket(d)
	if err != nil {
		leave()
		return outcome{err: err}
	}
	conn := x.own
	defer conn.Close()
	conn.Deadline.Set(c.settings.connectTimeout)
	if err := c.dial(conn, &to.address); err != nil {
		leave()
		return outcome{err: err}
	}
	conn.Deadline.Set(c.settings.responseTimeout)
	rest := x.body.rest()
	_, err = conn.Write(packet)
	leave()
	if err != nil && rest == nil {
		// It may have answered without reading; if it has not, the error stands.
		if o := c.relay(conn, nil); o.answered {
			return o
		}
		return outcome{err: err, sent: true}
	}
	if rest == nil {
		return c.relay(conn, nil)
	}
	return c.relayBoth(conn, rest, false)
}

// relayBoth sends the rest of the body while the response is read: a vassal may
// answer before it has read everything.
func (c *client) relayBoth(conn *upstream.Conn, rest io.Reader, chunked bool) outcome {
	if err := conn.Share(); err != nil {
		return outcome{err: err, sent: true}
	}
	var sending sync.WaitGroup
	sender := &sender{client: c, conn: conn, from: rest, chunked: chunked}
	sending.Go(sender.run)
	o := c.relay(conn, sender)
	// The response is complete, or there will be none: whatever the client still
	// sends, the vassal does not want it.
	sender.stop()
	sending.Wait()
	c.revive()
	if sender.failure != nil && !o.answered {
		return outcome{err: sender.failure, sent: true}
	}
	return o
}

// sender copies the rest of a request body to a vassal.
type sender struct {
	client  *client
	conn    *upstream.Conn
	from    io.Reader
	chunked bool
	failure error // of the client's side; the vassal's shows in its response

	mu      sync.Mutex
	stopped bool // guarded by mu
	done    bool // guarded by mu
}

func (s *sender) run() {
	buffer := make([]byte, 32<<10)
	err := s.copy(buffer)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	if err != nil && !s.stopped {
		if s.client.x.body.err != nil {
			s.failure = s.client.x.body.err
			s.conn.Abort()
		}
	}
}

func (s *sender) copy(buffer []byte) error {
	for {
		n, err := s.from.Read(buffer[chunkRoom : len(buffer)-2])
		if n > 0 {
			piece := buffer[chunkRoom : chunkRoom+n]
			if s.chunked {
				piece = frameChunk(buffer, n)
			}
			s.conn.Deadline.Set(s.client.settings.responseTimeout)
			if _, err := s.conn.Write(piece); err != nil {
				return err
			}
		}
		if err == io.EOF {
			if s.chunked {
				_, err = s.conn.Write(lastChunk)
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// stop ends a copy under way. Harmless when it has ended.
func (s *sender) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.done {
		return
	}
	s.conn.Abort()
	s.client.interrupted.Store(true)
	s.client.interrupt()
}
