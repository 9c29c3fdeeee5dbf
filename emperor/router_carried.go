package emperor

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"emperor/internal/link"
	"emperor/internal/pause"
	"emperor/internal/proc"
)

// routerStandstill asks the goroutine of routers to stand still, so that they can be
// described, until goOn is closed.
type routerStandstill struct {
	reply chan CarriedRouter
	goOn  chan struct{}
}

// answersTime is how long answers to routers may take that are under way when the
// emperor is about to be replaced: a TLS handshake waits for each.
const answersTime = 5 * time.Second

// StandStill stops every conversation with routers, between two messages, and
// describes them. What routers say waits in the kernel. resume must be called.
func (r *routerChild) StandStill(ctx context.Context) (c CarriedRouter, resume func(), err error) {
	q := routerStandstill{reply: make(chan CarriedRouter, 1), goOn: make(chan struct{})}
	select {
	case r.standstills <- q:
	case <-ctx.Done():
		return c, func() {}, context.Cause(ctx)
	}
	return <-q.reply, func() { close(q.goOn) }, nil
}

// standStill is StandStill in Run's goroutine.
func (r *routerChild) standStill(q routerStandstill) {
	r.forgetDrained()
	c := CarriedRouter{Generation: r.generation, MayRead: r.mayRead, Restarts: r.restarts}
	all := append([]*routerProcess{}, r.draining...)
	if r.live != nil {
		all = append(all, r.live)
	}
	for _, p := range all {
		p.peer.Quiet()
	}
	// Questions that have been heard are answered.
	for end := time.Now().Add(answersTime); r.answering.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for _, p := range all {
		one := CarriedRouterProcess{Process: p.process.Carry(), Peer: p.peer.Pause(), Started: p.started, MayRead: p.mayRead}
		one.Output, one.Rest = p.output.pause()
		switch {
		case one.Peer.FD < 0 || one.Output < 0:
			// It has just ended. If it was the one that accepts another is started.
		case p == r.live:
			c.Live = &one
		default:
			c.Draining = append(c.Draining, one)
		}
	}
	if m := r.announced.Load(); m != nil {
		c.Announced = m.Announced
	}
	if m := r.tickets.Load(); m != nil {
		c.Tickets = m.Tickets
	}
	q.reply <- c
	<-q.goOn
	for _, p := range all {
		p.output.resume()
		p.peer.Resume()
	}
}

// adopt takes over the routers that were described. Nothing is read or told before
// carryOn.
func (r *routerChild) adopt(c CarriedRouter, q *routerRequest) error {
	r.generation, r.mayRead, r.restarts, r.current = c.Generation, c.MayRead, c.Restarts, q
	if q != nil {
		r.certificates.use(&q.configuration)
	}
	if c.Announced != nil {
		r.announced.Store(&link.Message{Kind: link.Announced, Announced: c.Announced})
	}
	if c.Tickets != nil {
		r.tickets.Store(&link.Message{Kind: link.Tickets, Tickets: c.Tickets})
	}
	for _, one := range c.processes() {
		process, err := proc.Adopt(one.Process)
		if err != nil {
			return fmt.Errorf("the router: %w", err)
		}
		peer, err := link.AdoptPeer(one.Peer)
		if err != nil {
			return fmt.Errorf("the router: %w", err)
		}
		if err := syscall.SetNonblock(one.Output, true); err != nil {
			return fmt.Errorf("the router's output: %w", err)
		}
		p := &routerProcess{
			process: process, peer: peer, started: one.Started, mayRead: one.MayRead, leaving: make(chan struct{}), ended: make(chan struct{}),
			output: &relayed{file: os.NewFile(uintptr(one.Output), "router output"), rest: one.Rest},
		}
		if one == c.Live {
			r.live = p
		} else {
			r.draining = append(r.draining, p)
		}
	}
	return nil
}

// carryOn goes on with what was adopted: routers are told the whole table, as it is
// now, before anything else. Call it before Run.
func (r *routerChild) carryOn(ctx context.Context) {
	all := append([]*routerProcess{}, r.draining...)
	if r.live != nil {
		all = append(all, r.live)
	}
	for _, p := range all {
		r.accompany(p)
		if err := r.front.connect(ctx, p.peer); err != nil {
			r.log.Warn("the router did not take over the table", "pid", p.process.PID(), "err", err)
		}
	}
	if r.live != nil {
		r.publish("running", "")
	}
}

// Renew replaces the router by one of our own binary, as any router is replaced: both
// accept until the earlier one is told to leave.
func (r *routerChild) Renew(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case r.renewals <- reply:
		return <-reply
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *routerChild) renew(ctx context.Context) error {
	r.renewing = false
	if r.live == nil {
		return nil
	}
	if len(r.draining) >= mostDraining {
		// Another one would cut what the oldest has.
		r.renewing = true
		r.log.Info("earlier routers still finish requests; the present one is replaced by that of the new version when one of them has ended", "routers", len(r.draining))
		return nil
	}
	return r.succeed(ctx, *r.current, "the router is replaced by that of the new version")
}

// renewLater does what renew had to put off.
func (r *routerChild) renewLater(ctx context.Context) {
	if !r.renewing || len(r.draining) >= mostDraining {
		return
	}
	if err := r.renew(ctx); err != nil {
		r.log.Error("the router of the new version does not start; the one before goes on", "err", err)
	}
}

// relayed is what a router writes, on its way into our log.
type relayed struct {
	file    *os.File
	rest    []byte // what was read of a line that has not ended, when reading stands still
	reading pause.Reader
}

// pause stops reading and returns the descriptor and what was read of a line.
func (r *relayed) pause() (fd int, rest []byte) {
	r.reading.Stop(r.file)
	fd = -1
	if raw, err := r.file.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd, r.rest
}

func (r *relayed) resume() { r.reading.Go(r.file) }
