package router

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/link"
)

// drainLimit is how long a router that was told to go may work on requests that
// are under way when nobody waits for it any more. The emperor ends it earlier
// when it ends itself.
const drainLimit = 10 * time.Minute

// Main is the router process: it speaks with the emperor on the inherited
// descriptor fd, until it is told to quit, the emperor is gone, or ctx ends (a
// signal); then it drains. It returns when no connection is left.
func Main(ctx context.Context, fd int, log *slog.Logger) error {
	conn, err := link.Open(fd)
	if err != nil {
		return err
	}
	r, err := New(log)
	if err != nil {
		_ = conn.Close()
		return err
	}
	defer r.Close()
	child := &child{router: r, peer: link.NewPeer(conn), quit: make(chan struct{}), leave: make(chan struct{}), drains: map[uint64]chan struct{}{}}
	r.table.wake, r.table.loyal, r.table.silent = child.wake, child.loyal, child.silent
	r.materials.ask = func(id uint64, q link.PairRequest) error {
		return child.peer.Send(link.Message{Kind: link.Load, Sequence: id, Pair: &q})
	}
	r.moved = child.moved
	return child.run(ctx)
}

// child is the router's end of the conversation with the emperor.
type child struct {
	router *Router
	peer   *link.Peer

	once sync.Once
	quit chan struct{} // closed by the emperor's Quit

	onceLeave sync.Once
	leave     chan struct{} // closed by the emperor's Leave

	mu     sync.Mutex
	drains map[uint64]chan struct{} // guarded by mu; sequence of a Drained, Unused or Answered → its cancel
	waking waking

	tickets tickets

	working sync.WaitGroup // Drained, Unused, Answered and Hold that are being waited for
}

func (c *child) run(ctx context.Context) error {
	ended := make(chan error, 1)
	var conversation sync.WaitGroup
	conversation.Go(func() { ended <- c.peer.Run(c.handle) })
	counting, stopCounting := context.WithCancel(context.Background())
	conversation.Go(func() { c.count(counting) })

	limit := drainLimit
	var err error
	select {
	case err = <-ended:
		// The emperor is gone: its vassals end now too, so there is little to wait for.
		limit = 5 * time.Second
		c.router.Hurry()
	case <-c.quit:
	case <-c.leave:
		limit = math.MaxInt64 // everything goes on as it was, websockets too
	case <-ctx.Done():
		// A signal that reached us alone. The emperor learns it and can start our
		// successor on the same sockets while we finish.
		_ = c.peer.Send(link.Message{Kind: link.Leaving})
	}
	draining, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conversation.Go(func() { // ends with draining
		select {
		case <-c.quit:
			c.router.Hurry() // now, or after a signal
		case <-ended:
			cancel()
			return
		case <-draining.Done():
			return
		}
		select {
		case <-ended:
			cancel()
		case <-draining.Done():
		}
	})
	c.router.Drain(draining)
	cancel()
	stopCounting()
	_ = c.peer.Close()
	c.mu.Lock()
	for sequence, cancel := range c.drains {
		close(cancel)
		delete(c.drains, sequence)
	}
	c.mu.Unlock()
	conversation.Wait()
	c.working.Wait()
	return err
}

// handle acts on one message. What has to be waited for runs beside, so that a
// Release is not stuck behind a Drained.
func (c *child) handle(m *link.Message, descriptors []int) {
	switch m.Kind {
	case link.Configure:
		if m.Configuration == nil || len(descriptors) != m.Configuration.Descriptors() {
			closeAll(descriptors)
			c.acknowledge(m, errors.New("router: a configuration without its descriptors"))
			return
		}
		err := c.router.Configure(m.Configuration, descriptors)
		c.shareTickets() // before the first connection, so that no crash loses sessions
		c.acknowledge(m, err)
		return
	case link.Tabulate:
		c.waking.news(m.Table.Vassals)
		c.acknowledge(m, c.router.Table(m.Table, descriptors...))
		return
	case link.Try:
		c.acknowledge(m, c.router.Try(m.Table, descriptors...))
		return
	case link.Hold:
		settle := c.router.Hold(m.Vassal) // here, so that a Release that follows finds it done
		c.working.Go(func() {
			settle()
			c.acknowledge(m, nil)
		})
	case link.Announced:
		if err := c.router.takeAnnouncements(m.Announced); err != nil {
			c.router.log.Error("what nodes have announced to another router is lost until they announce it again", slog.Any("err", err))
		}
	case link.Tickets:
		c.takeTickets(m.Tickets)
	case link.Loaded:
		c.router.materials.answered(m)
	case link.Changed:
		for _, path := range m.Paths {
			c.router.certificates.Changed(path)
		}
	case link.Prove:
		c.acknowledge(m, c.router.Prove(m.Challenges))
	case link.Release:
		c.router.Release(m.Vassal)
	case link.Drained, link.Unused, link.Answered:
		var answered func(cancel <-chan struct{})
		if m.Kind == link.Answered {
			answered = c.router.Answered(m.Vassal, m.Generation) // here: what comes from now on counts
		}
		cancel := make(chan struct{})
		c.mu.Lock()
		c.drains[m.Sequence] = cancel
		c.mu.Unlock()
		c.working.Go(func() {
			var err error
			switch m.Kind {
			case link.Drained:
				c.router.Drained(m.Vassal, m.Generation, cancel)
			case link.Unused:
				err = c.router.Unused(m.Vassal, m.Quiet, cancel)
			default:
				answered(cancel)
			}
			c.mu.Lock()
			delete(c.drains, m.Sequence)
			c.mu.Unlock()
			c.acknowledge(m, err)
		})
	case link.Forget:
		c.mu.Lock()
		if cancel := c.drains[m.Sequence]; cancel != nil {
			close(cancel)
			delete(c.drains, m.Sequence)
		}
		c.mu.Unlock()
	case link.Quit:
		c.once.Do(func() { close(c.quit) })
	case link.Leave:
		c.router.Succeeded() // here: rows that follow may be the successor's only
		c.onceLeave.Do(func() { close(c.leave) })
	default:
		c.router.log.Error("unknown message from the emperor", slog.String("kind", string(m.Kind)))
	}
	closeAll(descriptors)
}

func (c *child) acknowledge(m *link.Message, err error) {
	if err := c.peer.Acknowledge(m.Sequence, err); err != nil && !errors.Is(err, net.ErrClosed) {
		c.router.log.Error("cannot answer the emperor", slog.Any("err", err))
	}
}

// moved reports that a folder is to be opened anew.
func (c *child) moved(vassal string, generation uint64) {
	_ = c.peer.Send(link.Message{Kind: link.Moved, Vassal: vassal, Generation: generation})
}

// count reports the counters, and what nodes have announced, when they changed, once
// a second.
func (c *child) count(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var last link.Counters
	var carried uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var news json.RawMessage
		if news, carried = c.router.announcements(carried); news != nil {
			if c.peer.Send(link.Message{Kind: link.Announced, Announced: news}) != nil {
				return
			}
		}
		c.shareTickets()
		now := c.router.Count()
		if now.Requests == last.Requests && now.Connections == last.Connections && now.InFlight == last.InFlight {
			continue
		}
		last = now
		if c.peer.Send(link.Message{Kind: link.Counted, Counters: &now}) != nil {
			return
		}
	}
}

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		_ = unix.Close(fd)
	}
}

// ReadConfiguration takes from the main file what the router is to be sent: its
// options as they are, and the listeners that are wanted. Everything is compiled
// here too, so that every mistake is found before the router is asked.
func ReadConfiguration(c *config.Config) (link.Configuration, config.Problems) {
	var out link.Configuration
	names := make([]string, 0, len(Options))
	for i := range Options {
		names = append(names, Options[i].Name)
	}
	c, numbers := withoutNumbers(c)
	for _, v := range c.All(names...) {
		text := v.Value
		if !v.HasValue {
			text = "1" // "http-keepalive" alone means on
		}
		out.Options = append(out.Options, link.Option{Key: v.Key, Value: text, File: v.Pos.File, Line: v.Pos.Line})
	}
	listeners, problems := readListeners(c)
	out.Listeners = listeners
	supply := &supply{checking: true}
	_, more := compile(c, supply)
	out.Resources = supply.wanted
	return out, slices.Concat(numbers, problems, more)
}

// CheckConfiguration finds the mistakes in the files that options name, once
// their content is in the configuration.
func CheckConfiguration(c *link.Configuration) config.Problems {
	set, err := config.NewSet(Options)
	if err != nil {
		return config.Problems{{Text: err.Error()}}
	}
	_, problems := compile(options(set, c.Options), &supply{checking: true, given: c.Resources})
	return problems
}
