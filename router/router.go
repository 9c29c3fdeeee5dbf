package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/balance"
	"emperor/router/check"
	"emperor/router/compress"
	"emperor/router/deadline"
	"emperor/router/limit"
	"emperor/router/password"
	"emperor/router/resolve"
	"emperor/router/sni"
	"emperor/router/socket"
	"emperor/router/subscription"
	"emperor/router/upstream"
)

// Router is the running front. New starts its helpers, Close ends everything.
type Router struct {
	log       *slog.Logger
	set       *config.Set
	sweeper   *deadline.Sweeper
	poller    *socket.Poller
	dialer    *upstream.Dialer
	pool      *upstream.Pool
	table     *table
	exchanges exchanges

	date         dateLine
	accessWriter accessWriter
	streamWriter accessWriter
	multiplexed  *multiplexed
	materials    materials
	certificates *sni.Certificates
	looked       chan struct{} // holds one: pairs were loaded, watchExpiry is to look
	covered      covered
	proofs       atomic.Pointer[proofs] // of challenges by HTTP; nil: none
	tickets      *sni.Ring
	compressors  *compress.Pool
	peers        *limit.Peers
	passwords    *password.Checker
	resolver     *resolve.Resolver
	book         *balance.Book // what is known of addresses
	checker      *check.Checker
	announced    *subscription.Table[*nodes]
	// announcedStreams are the nodes of sslrouter and rawrouter, by these names.
	announcedStreams map[string]*subscription.Table[*flowNodes]
	resubscriber     resubscriber
	hearsay          hearsay     // of log lines about announcements
	room             *limit.Room // of requests that wait for their turn, at all vassals

	settings   atomic.Pointer[Settings]
	complaints rationing
	leaving    atomic.Bool   // every response is its connection's last
	hurried    atomic.Bool   // and idle connections get little time
	stopped    chan struct{} // closed when waiting requests are to give up
	counters   counters
	// moved tells that a folder was replaced by one that we may not follow to: of a
	// vassal, or (without a name) of the configuration. Set before the first request.
	moved   func(vassal string, generation uint64)
	spooled atomic.Int64 // bytes of request bodies in temporary files

	mu        sync.Mutex
	listeners map[string]*listener // guarded by mu; by option and address
	clients   map[*client]struct{} // guarded by mu
	closed    bool                 // guarded by mu
	serving   sync.WaitGroup       // clients and listeners
	workers   clientWorkers        // those of the clients

	cancel  context.CancelFunc
	helpers sync.WaitGroup
}

type counters struct {
	requests    atomic.Uint64
	connections atomic.Int64
	inFlight    atomic.Int64
	tunnels     atomic.Int64

	streams                                     atomic.Int64 // at this moment
	streamsBegun, streamsFailed, streamsRefused atomic.Uint64
	streamsIn, streamsOut                       atomic.Uint64 // bytes of clients, and of what is behind

	handshakesFailed atomic.Uint64
}

// New makes a router that serves nothing yet. Close must follow.
func New(log *slog.Logger) (*Router, error) { return newRouter(log, time.Now) }

// newRouter is New with a clock by which connections to vassals grow old.
func newRouter(log *slog.Logger, now func() time.Time) (*Router, error) {
	set, err := config.NewSet(Options)
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	r := &Router{
		log: log, set: set,
		sweeper: deadline.NewSweeper(),
		table:   newTable(),
		stopped: make(chan struct{}),
		looked:  make(chan struct{}, 1),
		moved:   func(string, uint64) {},

		compressors: compress.NewPool(compressStreams),
		peers:       limit.NewPeers(0),
		book:        balance.NewBook(now),
		passwords:   password.NewChecker(0),
		room:        limit.NewRoom(0),
		listeners:   make(map[string]*listener),
		clients:     make(map[*client]struct{}),
	}
	r.announced = subscription.New(now, r.prepareAnnounced)
	r.announcedStreams = r.newAnnouncedStreams(now)
	if r.poller, err = socket.NewPoller(r.sweeper); err != nil {
		return nil, err
	}
	r.dialer = upstream.NewDialer(r.poller)
	r.pool = upstream.NewPool(r.dialer, now)
	r.resolver = resolve.New(resolve.Config{}, log)
	r.dialer.SetNames(r.resolver)
	r.checker = check.New(r.book, r.dialer, func(address string) bool { return r.table.named(address) != nil }, log)
	r.exchanges.router = r
	r.multiplexed = newMultiplexed(r)
	if r.tickets, err = sni.NewRing(sni.RingOptions{}); err != nil {
		return nil, err
	}
	r.certificates = sni.NewCertificates(sni.Options{Loader: &r.materials, Tickets: r.tickets, Also: r.announcedPair, Log: log})
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	r.helpers.Go(func() { r.sweeper.Run(ctx) })
	r.helpers.Go(func() { r.pool.Run(ctx) })
	r.helpers.Go(func() { r.exchanges.run(ctx) })
	r.helpers.Go(func() { r.resolver.Run(ctx) })
	r.helpers.Go(func() { r.checker.Run(ctx) })
	r.helpers.Go(func() { r.watchExpiry(ctx) })
	r.helpers.Go(func() { r.expire(ctx) })
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
	supply := &supply{given: c.Resources, passwords: r.passwords}
	if before := r.settings.Load(); before != nil {
		supply.before = &before.certificates
	}
	if len(descriptors) > len(c.Listeners) {
		descriptors, supply.descriptors = descriptors[:len(c.Listeners)], descriptors[len(c.Listeners):]
	}
	defer supply.drop()
	settings, problems := compile(options(r.set, c.Options), supply)
	err := problems.Err()
	for i, described := range c.Listeners {
		name := described.Option + " " + described.Address
		for n := 1; severalSockets(&described) && opened[name] != nil; n++ {
			name = fmt.Sprint(described.Option, " ", described.Address, " ", n)
		}
		l, openErr := r.openListener(described, descriptors[i]) // closes the descriptor also when we refuse
		if openErr == nil && opened[name] != nil {
			l.close()
			openErr = fmt.Errorf("%s:%d: %s = %s: the address is given twice", described.File, described.Line, described.Option, described.Address)
		}
		if openErr != nil {
			if err == nil {
				err = openErr
			}
			continue
		}
		opened[name] = l
	}
	if err == nil {
		err = r.exchangeListeners(opened, settings)
	}
	if err != nil {
		for _, l := range opened {
			l.close()
		}
	}
	return err
}

// severalSockets: one line may stand for several sockets that somebody hands over.
func severalSockets(l *link.Listener) bool {
	return l.Zerg || strings.HasPrefix(l.Address, "fd://")
}

var errLeaving = errors.New("router: going away, no new configuration is taken")

// exchangeListeners puts the settings in force and makes exactly these listeners
// the ones that accept. A socket that was there before goes on under its new
// descriptor.
func (r *Router) exchangeListeners(opened map[string]*listener, settings *Settings) error {
	r.mu.Lock()
	if r.leaving.Load() || r.closed {
		r.mu.Unlock()
		return errLeaving
	}
	r.use(settings)
	old := r.listeners
	r.listeners = opened
	r.listensForNodes(opened)
	for _, l := range opened {
		r.serving.Go(func() { l.run(r) })
	}
	r.mu.Unlock()
	// The new ones accept before the old ones end: no moment without. What a
	// removed address has queued is still taken.
	for _, l := range old {
		l.drain()
	}
	return nil
}

// use puts settings in force, and gives what outlives them its new limits.
func (r *Router) use(settings *Settings) {
	before := r.settings.Load()
	if before == nil {
		before = &Settings{}
	}
	settings.protection.inherit(&before.protection)
	r.accessWriter.use(&settings.accessLog, r.log)
	r.streamWriter.use(&settings.streams.log, r.log)
	settings.balancing.prepare(r.book, settings.rules.Rules())
	settings.defaults.prepare(r.book, settings.balancing.options, &before.defaults)
	r.resolver.Configure(settings.resolver)
	r.preload(settings.certificates.listen(r.certificates, &before.certificates, r.log), settings.certificates.cacheSize, &settings.streams)
	r.peers.SetLimit(settings.protection.peers)
	r.room.SetLimit(int(settings.hold.together))
	r.settings.Store(settings)
	r.checker.Set(settings.streams.checked())
	r.useSubscriptions(settings)
	for _, s := range r.table.all() {
		s.setCaps(settings.protection.caps)
	}
}

// serve starts the goroutine of an accepted connection.
func (r *Router) serve(conn *socket.Conn, l *listener) (here bool) {
	if l.described.Option == optionStats {
		r.serving.Go(func() { r.serveStats(conn) })
		return false
	}
	return r.serveClient(newClient(r, l, conn), l.mayServe())
}

// serveClient has a client served: by the caller, if he may and nothing has to be waited
// for, which it tells; otherwise by a worker.
func (r *Router) serveClient(c *client, mayServe bool) (here bool) {
	if !r.current().wantsProxyHeader(&c.peer) && !c.enter() {
		c.discard()
		return false
	}
	r.mu.Lock()
	r.clients[c] = struct{}{}
	if r.closed {
		c.abort() // accepted while Close went through the clients
	}
	r.mu.Unlock()
	r.counters.connections.Add(1)
	if mayServe && c.serveNow() {
		return true
	}
	r.workers.serve(r, c)
	return false
}

// forget is the end of a client, which serveClient has made known.
func (r *Router) forget(c *client) {
	r.counters.connections.Add(-1)
	if c.counted {
		r.peers.Leave(c.countedAs)
	}
	r.mu.Lock()
	delete(r.clients, c)
	r.mu.Unlock()
	if c.alone {
		r.serving.Done()
	}
}

// logPanic: a fault of ours costs one connection, not the front.
func (r *Router) logPanic(v any, from *peer) {
	r.log.Error("internal error while serving a request", slog.Any("panic", v), slog.String("client", string(from.remoteAddr)), slog.String("stack", string(debug.Stack())))
}

// idleTime is how long a connection may wait for its next request now.
func (r *Router) idleTime() time.Duration {
	if r.hurried.Load() {
		return r.current().drainIdle
	}
	return r.current().clientIdle
}

// Table takes over a message of the emperor's about vassals. It owns the
// descriptors, those of their folders.
func (r *Router) Table(m *link.Table, descriptors ...int) error {
	return r.table.apply(m, descriptors)
}

// Try tells why a vassal of static files, the table's only row, could not be served.
// Nothing is changed. It owns the descriptors.
func (r *Router) Try(m *link.Table, descriptors ...int) error {
	if len(m.Vassals) != 1 || m.Vassals[0].Files == nil || len(descriptors) != m.Descriptors() {
		closeAll(descriptors)
		return errors.New("router: nothing to try")
	}
	f, err := openFolder(m.Vassals[0].Files, descriptors)
	f.close()
	return err
}

// Succeeded is told that another router has the listeners too; Drain follows.
func (r *Router) Succeeded() { r.table.leaving.Store(true) }

// holdPatience bounds how long a hold waits for requests that are being sent.
const holdPatience = 200 * time.Millisecond

// Hold keeps new requests for a vassal back from now on. What it returns waits
// until none is between connecting and its last byte.
func (r *Router) Hold(vassal string) (settle func()) {
	s := r.table.site(vassal)
	if s == nil {
		return func() {}
	}
	sent := s.gate.close()
	return func() {
		timer := time.NewTimer(holdPatience)
		defer timer.Stop()
		select {
		case <-sent:
		case <-timer.C: // a vassal with a full backlog must not stop its own deploy
		}
	}
}

// Release lets held requests go.
func (r *Router) Release(vassal string) {
	if s := r.table.site(vassal); s != nil {
		s.release()
	}
}

// Drained returns when no request to a generation of the vassal's older than
// that is under way, or cancel is closed. Idle connections to them are closed.
// A vassal that was removed from the table is known until its last request has
// ended.
func (r *Router) Drained(vassal string, number uint64, cancel <-chan struct{}) {
	s := r.table.site(vassal)
	if s == nil {
		return
	}
	addresses := s.addresses()
	retire := func() {
		for _, address := range addresses {
			r.pool.Retire(address, number)
		}
	}
	retire()
	s.drained(number, cancel)
	retire() // what was being given back during the switch
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

// Drain stops accepting, after taking what is queued, and lets every request end
// and every idle connection speak once more or reach its idle time: none is
// closed under a client. It returns when none is left or ctx ended.
func (r *Router) Drain(ctx context.Context) {
	r.mu.Lock()
	listeners := r.listeners
	r.listeners = map[string]*listener{}
	r.leaving.Store(true)
	r.mu.Unlock()
	for _, l := range listeners {
		l.drain()
	}
	for _, t := range r.announcedTables {
		t.Rest()
	}
	r.checker.Set(nil, check.Plan{}) // nobody comes any more who would be sent there
	if patience := r.current().streams.drain; patience > 0 {
		defer time.AfterFunc(patience, r.cutFlows).Stop()
	}
	r.serving.Go(func() { r.multiplexed.leave(ctx) })
	r.workers.close()
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

// cutFlows ends what goes on as it is and has not ended by itself.
func (r *Router) cutFlows() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.clients {
		if running := c.flowing.Load(); running != nil {
			running.Stop(endDrained)
		}
	}
}

// Hurry leaves idle connections only a little time to speak once more, because
// the whole front goes.
func (r *Router) Hurry() {
	r.hurried.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.clients {
		if c.idle.Load() {
			c.socket.Reading.Set(r.idleTime())
		}
	}
}

// Close ends every connection at once and everything New started. Closing twice
// is fine.
func (r *Router) Close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	listeners := r.listeners
	r.listeners = map[string]*listener{}
	r.closed = true
	for c := range r.clients {
		c.abort()
	}
	r.mu.Unlock()
	for _, l := range listeners {
		l.close()
	}
	close(r.stopped)
	r.workers.close()
	r.serving.Wait()
	r.multiplexed.close()
	r.certificates.Close()
	r.accessWriter.close(r.log)
	r.streamWriter.close(r.log)
	r.exchanges.close()
	r.cancel()
	r.helpers.Wait()
	r.resubscriber.close()
	_ = r.poller.Close()
}
