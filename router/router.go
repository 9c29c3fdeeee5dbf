package router

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/deadline"
	"emperor/router/upstream"
)

// Router is the running front. New starts its helpers, Close ends everything.
type Router struct {
	log       *slog.Logger
	set       *config.Set
	sweeper   *deadline.Sweeper
	poller    *upstream.Poller
	pool      *upstream.Pool
	table     *table
	exchanges exchanges

	settings   atomic.Pointer[Settings]
	complaints rationing
	turn       atomic.Uint32 // of http-to
	leaving    atomic.Bool   // every response is its connection's last
	stopped    chan struct{} // closed when waiting requests are to give up
	counters   counters

	mu        sync.Mutex
	listeners map[string]*listener // guarded by mu; by option and address
	clients   map[*client]struct{} // guarded by mu
	serving   sync.WaitGroup       // clients and listeners

	cancel  context.CancelFunc
	helpers sync.WaitGroup
}

type counters struct {
	requests    atomic.Uint64
	connections atomic.Int64
	inFlight    atomic.Int64
	tunnels     atomic.Int64
}

// New makes a router that serves nothing yet. Close must follow.
func New(log *slog.Logger) (*Router, error) {
	set, err := config.NewSet(Options)
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	r := &Router{
		log: log, set: set,
		sweeper:   deadline.NewSweeper(),
		table:     newTable(),
		stopped:   make(chan struct{}),
		listeners: make(map[string]*listener),
		clients:   make(map[*client]struct{}),
	}
	if r.poller, err = upstream.NewPoller(r.sweeper); err != nil {
		return nil, err
	}
	r.pool = upstream.NewPool(r.poller)
	r.exchanges.poller = r.poller
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	r.helpers.Go(func() { r.sweeper.Run(ctx) })
	r.helpers.Go(func() { r.pool.Run(ctx) })
	return r, nil
}

// current returns the settings in force. A request asks once.
func (r *Router) current() *Settings { return r.settings.Load() }

// Configure compiles the whole configuration and puts it in force, or returns
// an error that names every mistake and changes nothing. It owns the
// descriptors, one for each listener. Connections of a listener that is gone
// stay; only accepting ends.
func (r *Router) Configure(c *link.Configuration, descriptors []int) error {
	opened := make(map[string]*listener, len(c.Listeners))
	settings, problems := compile(options(r.set, c.Options))
	err := problems.Err()
	for i, described := range c.Listeners {
		l, openErr := openListener(described, descriptors[i]) // closes the descriptor also when we refuse
		if openErr != nil {
			if err == nil {
				err = openErr
			}
			continue
		}
		opened[described.Option+" "+described.Address] = l
	}
	if err != nil {
		for _, l := range opened {
			_ = l.socket.Close()
		}
		return err
	}
	r.table.limits.Store(&settings.hold)
	r.settings.Store(settings)
	r.exchangeListeners(opened)
	return nil
}

// exchangeListeners makes exactly these the ones that accept. A socket that was
// there before goes on under its new descriptor.
func (r *Router) exchangeListeners(opened map[string]*listener) {
	r.mu.Lock()
	old := r.listeners
	r.listeners = opened
	r.mu.Unlock()
	for _, l := range opened {
		r.serving.Go(func() { l.run(r) })
	}
	// The new ones accept before the old ones end: no moment without. What a
	// removed address has queued is still taken.
	for _, l := range old {
		l.drain()
	}
}

// serve starts the goroutine of an accepted connection.
func (r *Router) serve(conn net.Conn, l *listener) {
	c, err := newClient(r, l, conn)
	if err != nil {
		r.log.Error("connection", slog.Any("err", err))
		_ = conn.Close()
		return
	}
	r.mu.Lock()
	r.clients[c] = struct{}{}
	r.mu.Unlock()
	r.counters.connections.Add(1)
	r.serving.Go(func() {
		defer func() {
			r.counters.connections.Add(-1)
			r.mu.Lock()
			delete(r.clients, c)
			r.mu.Unlock()
		}()
		c.serve()
	})
}

// idleTime is how long a connection may wait for its next request now.
func (r *Router) idleTime() time.Duration {
	if r.leaving.Load() {
		return r.current().drainIdle
	}
	return r.current().clientIdle
}

// Table takes over a message of the emperor's about vassals.
func (r *Router) Table(m *link.Table) error { return r.table.apply(m) }

// holdPatience bounds how long a hold waits for requests that are being sent.
const holdPatience = 200 * time.Millisecond

// Hold keeps new requests for a vassal back; when it returns none is between
// connecting and its last byte.
func (r *Router) Hold(vassal string) {
	if s := r.table.vassal([]byte(vassal)); s != nil {
		s.hold(holdPatience)
	}
}

// Release lets held requests go.
func (r *Router) Release(vassal string) {
	if s := r.table.vassal([]byte(vassal)); s != nil {
		s.release()
	}
}

// Drained returns when no request to a generation of the vassal's older than
// that is under way, or cancel is closed. Idle connections to them are closed
// first.
func (r *Router) Drained(vassal string, number uint64, cancel <-chan struct{}) {
	s := r.table.vassal([]byte(vassal))
	if s == nil {
		return
	}
	s.mu.Lock()
	retired := append([]*generation{s.current.Load()}, s.retired...)
	s.mu.Unlock()
	for _, g := range retired {
		for i := range g.targets {
			r.pool.Retire(g.targets[i].text, number)
		}
	}
	s.drained(number, cancel)
}

// Count reports the totals.
func (r *Router) Count() link.Counters {
	count := link.Counters{
		Requests:    r.counters.requests.Load(),
		Connections: r.counters.connections.Load(),
		InFlight:    r.counters.inFlight.Load(),
		Vassals:     map[string]uint64{},
	}
	for _, s := range r.table.all() {
		if n := s.served.Load(); n > 0 {
			count.Vassals[s.name] = n
		}
	}
	return count
}

// Drain stops accepting, after taking what is queued, lets every request end
// and every idle connection speak once more, and returns when none is left or
// ctx ended.
func (r *Router) Drain(ctx context.Context) {
	r.mu.Lock()
	listeners := r.listeners
	r.listeners = map[string]*listener{}
	r.mu.Unlock()
	r.leaving.Store(true)
	for _, l := range listeners {
		l.drain()
	}
	r.mu.Lock()
	for c := range r.clients {
		if c.idle.Load() {
			c.limit.Set(r.idleTime())
		}
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the last connection; Close makes sure of that
		r.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Close ends every connection at once and everything New started.
func (r *Router) Close() {
	r.mu.Lock()
	listeners := r.listeners
	r.listeners = map[string]*listener{}
	r.mu.Unlock()
	for _, l := range listeners {
		_ = l.socket.Close()
	}
	close(r.stopped)
	r.mu.Lock()
	for c := range r.clients {
		c.abort()
	}
	r.mu.Unlock()
	r.serving.Wait()
	r.exchanges.close()
	r.cancel()
	r.helpers.Wait()
	_ = r.poller.Close()
}
