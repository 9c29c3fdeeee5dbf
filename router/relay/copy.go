package relay

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"syscall"

	"emperor/router/socket"
	"emperor/router/upstream"
)

// copyBothWays carries bytes with a goroutine for each direction: what works for
// every kind of Side.
func (r *Relay) copyBothWays() {
	if c, ok := r.upstream.(*upstream.Conn); ok {
		if err := c.Share(); err != nil {
			r.upstreamBroke(err)
			return
		}
	}
	if !r.carriedBy((*copier)(r)) {
		return
	}
	if fault := r.carryBoth(); fault != nil {
		panic(fault)
	}
	r.carriedBy(nil)
	revive(r.client)
}

// carryBoth returns what the second goroutine panicked with, for the first to do so:
// there it costs one connection.
func (r *Relay) carryBoth() (fault any) {
	var running sync.WaitGroup
	var beside any
	running.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				beside = fmt.Sprintf("%v\n%s", v, debug.Stack())
				r.end(faulty, nil)
			}
		}()
		r.carry(&r.up)
	})
	whole := false
	defer func() {
		if !whole {
			r.end(faulty, nil)
		}
		running.Wait()
		fault = beside
	}()
	r.carry(&r.down)
	whole = true
	if c, ok := connection(r.client).(*socket.Conn); ok && r.over() {
		c.StopReading() // who watches
	}
	return nil
}

// faulty is the reason when there is a mistake in here, or in crypto/tls.
const faulty = "internal error"

// copier is a Relay whose bytes are copied by two goroutines, which wait.
type copier Relay

func (c *copier) stop() {
	abort(c.client)
	abort(c.upstream)
}

// recordSize is the most that TLS has in one piece.
const recordSize = 16 << 10

// carry copies one direction to its end. What is waited for without a buffer is the
// next word of a plain socket; of TLS it is in a small one, and what does not fit into
// that is fetched with a large one.
func (r *Relay) carry(d *direction) {
	from, to := r.upstream, r.client
	fromFailed, toFailed := r.upstreamBroke, r.clientBroke
	if d == &r.up {
		from, to = to, from
		fromFailed, toFailed = toFailed, fromFailed
		if first, free := r.opening(); len(first) > 0 {
			if _, err := to.Write(first); err != nil {
				toFailed(err)
				return
			}
			d.carried.Add(int64(len(first) - free))
		}
	}
	small, waiter := make([]byte, 2<<10), waits(from)
	unwanted := false // by a client that has left
	for full, wait := false, false; ; {
		room, large := small, (*buffer)(nil)
		if wait {
			if err := waiter.AwaitReadable(); err != nil {
				fromFailed(err)
				return
			}
		}
		if wait || full {
			large = borrow(recordSize)
			room = large.bytes
		}
		n, err := from.Read(room)
		if n > 0 && !unwanted {
			d.came()
			r.silence.broken()
			var failed error
			if unwanted, failed = r.deliver(d, to, room[:n]); failed != nil {
				toFailed(failed)
				return
			}
		}
		full = n == len(room)
		wait = waiter != nil && !full
		if large != nil {
			large.giveBack()
		}
		switch {
		case err == nil:
		case err == io.EOF:
			if d == &r.up {
				if reset := r.hiddenReset(); reset != nil {
					fromFailed(reset)
					return
				}
			}
			if r.pass(d, to) && d == &r.up {
				r.watch(from)
			}
			return
		default:
			fromFailed(err)
			return
		}
	}
}

// deliver writes a piece. unwanted: by a client that has left, who may have said all
// before.
func (r *Relay) deliver(d *direction, to Side, piece []byte) (unwanted bool, err error) {
	if d == &r.down {
		r.answering.Lock()
		defer r.answering.Unlock()
	}
	if _, err = to.Write(piece); err == nil {
		d.carried.Add(int64(len(piece)))
		r.silence.broken()
		return false, nil
	}
	if d == &r.down && r.left(err) {
		return true, nil
	}
	return false, err
}

// left tells whether a client behind TLS whom something cannot be written to may have
// said all before it left. What it has said is delivered then, whatever the upstream
// answers meanwhile: that it has said all is what its goodbye says, which its own
// direction comes to, or not.
func (r *Relay) left(err error) bool {
	if !isTLS(r.client) || !isReset(err) {
		return false
	}
	r.leaving.Store(&err)
	r.silence.shorten(LastWords)
	return true
}

// hiddenReset returns the reset of which a client's end is all that is left to read,
// because the kernel tells of a reset once, and has told whoever wrote. Without it what
// was cut off would look complete.
func (r *Relay) hiddenReset() error {
	c, ok := connection(r.client).(*socket.Conn)
	if !ok || !c.SawEnd() || !isClosed(c) {
		return nil // it has said goodbye, or nothing but that it has ended
	}
	r.answering.Lock() // until who was told has said so
	defer r.answering.Unlock()
	// After an end it would be EPIPE.
	if err := r.leaving.Load(); err != nil && errors.Is(*err, syscall.ECONNRESET) {
		return *err
	}
	return nil
}

// mostIgnored is how much is read that a client sends after its goodbye: nothing is to
// come, and who sends without end keeps only himself busy.
const mostIgnored = 16 << 10

// watch reads a client behind TLS on after its goodbye, though not for what it says:
// one that has broken waits for nothing, however long the upstream takes.
func (r *Relay) watch(client Side) {
	c, ok := connection(client).(*socket.Conn)
	if !ok || !isTLS(client) {
		return
	}
	ignored := make([]byte, 512)
	for left := mostIgnored; left > 0; {
		n, err := c.Read(ignored)
		if left -= n; err == io.EOF {
			return
		} else if err != nil {
			r.clientBroke(err)
			return
		}
	}
}

// pass tells the receiver that no more comes. It tells whether the other direction
// goes on.
func (r *Relay) pass(d *direction, to Side) (goesOn bool) {
	if !r.finish(d) {
		return false
	}
	// An error is the receiver's, which its own direction will notice.
	_ = to.CloseWrite()
	return true
}
