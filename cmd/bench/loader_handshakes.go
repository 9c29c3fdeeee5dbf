package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What loadPlan.Handshakes takes: every request has a connection of its own.
const (
	handshakesFull    = "full"
	handshakesResumed = "resumed"
	// A ClientHello that is passed through, and a plain request right behind it.
	handshakesPassed = "passed"
)

// handshaker keeps a number of new connections under way: connect, TLS handshake,
// one request, its answer, and the end of the connection, which the front is asked
// for. A request is part of it because nobody shakes hands for nothing, and because
// the answer shows that the handshake was good.
type handshaker struct {
	plan     loadPlan
	poll     poller
	buffer   []byte
	private  *ecdh.PrivateKey
	request  []byte
	hello    []byte        // sent before the request, where bytes are passed through
	sessions []*tlsSession // one for each connection at a time, where they are resumed
	conns    map[int]*handshakeConn

	began     time.Time
	latencies []time.Duration
	answered  int64
	errors    int64
	first     error
}

// handshakeConn is one connection.
type handshakeConn struct {
	fd    int
	slot  int // which of the sessions is its
	began time.Time
	tls   *tlsClient
}

func newHandshaker(plan loadPlan) (*handshaker, error) {
	h := &handshaker{plan: plan, buffer: make([]byte, 64<<10), conns: make(map[int]*handshakeConn),
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", plan.Path, plan.Host)}
	var err error
	if h.private, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if h.poll, err = newPoller(); err != nil {
		return nil, err
	}
	if plan.Handshakes == handshakesPassed {
		h.hello = clientHello(plan.Host)
	}
	h.sessions = make([]*tlsSession, plan.Connections)
	return h, nil
}

func (h *handshaker) run() (loadResult, error) {
	if h.plan.Handshakes == handshakesResumed {
		if err := h.collectSessions(); err != nil {
			return loadResult{}, err
		}
	}
	h.began = time.Now()
	for slot := range h.plan.Connections {
		h.open(slot)
	}
	if err := h.until(func() bool { return time.Since(h.began) >= h.plan.Duration }); err != nil {
		return loadResult{}, err
	}
	result := loadResult{Answered: h.answered, Errors: h.errors, Elapsed: time.Since(h.began)}
	slices.Sort(h.latencies)
	result.Median, result.P99 = quantile(h.latencies, 0.5), quantile(h.latencies, 0.99)
	return result, nil
}

// collectSessions makes a full handshake for each of the sessions to resume.
func (h *handshaker) collectSessions() error {
	for slot := range h.sessions {
		h.open(slot)
	}
	began := time.Now()
	err := h.until(func() bool { return !slices.Contains(h.sessions, nil) || time.Since(began) > 10*time.Second })
	for fd := range h.conns {
		rawClose(fd)
	}
	clear(h.conns)
	if err == nil && slices.Contains(h.sessions, nil) {
		err = errors.Join(errors.New("the front gives no session to resume"), h.first)
	}
	h.answered, h.errors, h.latencies, h.first = 0, 0, h.latencies[:0], nil
	return err
}

// until goes on with what is reported until done says so.
func (h *handshaker) until(done func() bool) error {
	var events [64]syscall.EpollEvent
	for !done() {
		n, err := h.poll.wait(events[:], 100*time.Millisecond)
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			if c := h.conns[int(event.Fd)]; c != nil {
				h.readable(c)
			}
		}
		if len(h.conns) == 0 && !done() {
			return fmt.Errorf("no connection is left after %d handshakes and %d errors; the first: %w", h.answered, h.errors, h.first)
		}
	}
	return nil
}

func (h *handshaker) open(slot int) {
	c := &handshakeConn{slot: slot, began: time.Now()}
	var err error
	if c.fd, err = dialRaw(h.plan.Address); err != nil {
		h.failed(slot, err)
		return
	}
	h.conns[c.fd] = c
	if h.plan.Handshakes == handshakesPassed {
		c.tls = &tlsClient{established: true, plain: true}
		first := append(append(make([]byte, 0, 512), h.hello...), h.request...)
		if err := errors.Join(syscall.SetNonblock(c.fd, true), h.poll.watch(c.fd, 0, forReading), h.send(c, first)); err != nil {
			h.end(c, err)
		}
		return
	}
	c.tls = newTLSClient(h.plan.Host, h.private, h.sessions[slot], h.request)
	if err := errors.Join(syscall.SetNonblock(c.fd, true), h.poll.watch(c.fd, 0, forReading), h.send(c, c.tls.start())); err != nil {
		h.end(c, err)
	}
}

func (h *handshaker) send(c *handshakeConn, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	// The buffers of a new connection have room for it.
	if n, errno := rawWrite(c.fd, b); errno != 0 || n < len(b) {
		return fmt.Errorf("%d of %d bytes sent: %w", n, len(b), errno)
	}
	return nil
}

func (h *handshaker) readable(c *handshakeConn) {
	n, errno := rawRead(c.fd, h.buffer)
	resumed := h.sessions[c.slot] != nil
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return
	case errno != 0:
		h.end(c, errno)
		return
	case n == 0:
		h.end(c, c.tls.complete(resumed))
		return
	}
	out, err := c.tls.take(h.buffer[:n])
	if err == nil {
		err = h.send(c, out)
	}
	if err != nil || c.tls.ended {
		if err == nil {
			err = c.tls.complete(resumed)
		}
		h.end(c, err)
	}
}

// complete tells what is missing when the connection has ended.
func (c *tlsClient) complete(resumed bool) error {
	switch {
	case !c.established:
		return errors.New("TLS: the front ends the connection in the handshake")
	case !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 ")) || !strings.HasSuffix(string(c.answer), backendBody):
		return fmt.Errorf("the answer is %.200q", c.answer)
	case resumed && !c.resumed:
		return errors.New("TLS: the front has not resumed the session")
	}
	return nil
}

// end counts a connection and replaces it.
func (h *handshaker) end(c *handshakeConn, err error) {
	rawClose(c.fd)
	delete(h.conns, c.fd)
	if err != nil {
		h.failed(c.slot, err)
		return
	}
	if h.sessions[c.slot] == nil && h.plan.Handshakes == handshakesResumed {
		h.sessions[c.slot] = c.tls.session
		if c.tls.session != nil {
			return // collected
		}
	}
	h.answered++
	h.latencies = append(h.latencies, time.Since(c.began))
	h.open(c.slot)
}

func (h *handshaker) failed(slot int, err error) {
	if h.first == nil {
		h.first = err
	}
	if h.errors++; h.errors < errorsBorne/10 {
		h.open(slot)
	}
}
