package emperor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/emperor/control"
	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/internal/resource"
	"emperor/internal/sysd"
)

// linkDescriptor is the router's end of the link in the child.
const linkDescriptor = 3

const (
	// steady is how long a router must have lived for its crash to be taken as a
	// single one: it is then started again at once.
	steady = 10 * time.Second
	// Otherwise the wait doubles between these.
	shortestWait = 100 * time.Millisecond
	longestWait  = 5 * time.Second
)

// routerChild keeps one router running: the same binary, another process. It is
// started when there is a listener for it, started again when it ends, and told
// everything each time. Nothing it does closes a listening socket: those are the
// emperor's, and clients who come while there is no router wait in the kernel.
type routerChild struct {
	log     *slog.Logger
	starter *proc.Starter
	front   *front
	// certificates are read for the router.
	certificates *certificates
	program      string // the binary
	user         *proc.Credential

	requests chan routerRequest
	readings chan routerReading
	// See router_carried.go.
	standstills chan routerStandstill
	renewals    chan chan error
	answering   atomic.Int64  // questions of routers that are being answered
	reopens     chan struct{} // holds one: a folder of the configuration was replaced
	quits       chan routerQuit
	status      atomic.Pointer[control.RouterStatus]
	counted     atomic.Pointer[link.Counters]
	// announced is what routers were told by nodes that announce themselves: a router
	// that begins has not heard it.
	announced atomic.Pointer[link.Message]
	// tickets is what TLS sessions of routers are sealed with: those of one are resumed
	// by the next, also if the first has crashed.
	tickets atomic.Pointer[link.Message]
	// moved is called when the folder of a vassal's files was replaced by one that
	// only the emperor may open. It must return at once. Set before Run.
	moved func(vassal string, generation uint64)
	// woken is called when a request waits for a vassal that sleeps. It must return at
	// once. Set before Run.
	woken func(vassal string)
	// loyal is called when a generation has answered its first request; as woken.
	loyal func(vassal string, generation uint64)
	// silent is called when a generation leaves requests without any answer; as woken.
	silent func(vassal string, generation uint64)

	// expected: see expectFiles.
	expected atomic.Bool

	// What follows belongs to Run.
	current  *routerRequest   // what the router is to have; nil before the first
	live     *routerProcess   // takes connections
	draining []*routerProcess // finish what they have
	renewing bool             // see renew
	mayRead  bool             // those that are started may read files, whatever their configuration
	crashes  int              // in a row, each soon after its start
	restarts int
	// generation numbers the processes.
	generation uint64
	retry      *time.Timer
	children   sync.WaitGroup
}

// routerRequest is a whole configuration with its sockets.
type routerRequest struct {
	configuration link.Configuration
	listeners     []*bound
	early         bool // start a router although it gets no sockets yet
	reply         chan error
}

func newRouterRequest(c link.Configuration, listeners []*bound, early bool) *routerRequest {
	c.Listeners = make([]link.Listener, len(listeners))
	for i, l := range listeners {
		c.Listeners[i] = l.Listener
	}
	return &routerRequest{configuration: c, listeners: listeners, early: early, reply: make(chan error, 1)}
}

// needed tells whether there must be a router for it.
func (q *routerRequest) needed() bool { return q != nil && (q.early || len(q.listeners) > 0) }

type routerQuit struct {
	ctx  context.Context
	done chan struct{}
}

// newRouterChild makes one; nothing happens before Run.
func newRouterChild(starter *proc.Starter, front *front, user *proc.Credential, log *slog.Logger) *routerChild {
	r := &routerChild{
		log:     log,
		starter: starter,
		front:   front,

		certificates: &certificates{log: log},

		// Our own binary, also when the file was replaced since: a router of another
		// version might not understand us.
		program:  "/proc/self/exe",
		user:     user,
		requests: make(chan routerRequest),
		readings: make(chan routerReading),
		reopens:  make(chan struct{}, 1),

		standstills: make(chan routerStandstill),
		renewals:    make(chan chan error),
		quits:       make(chan routerQuit),
		moved:       func(string, uint64) {},
		woken:       func(string) {},
		loyal:       func(string, uint64) {},
		silent:      func(string, uint64) {},
	}
	front.mayRead = r.MayRead
	return r
}

// Configure gives the router options and sockets and returns when they are in
// force, or the error for which everything stays as it was. The sockets must stay
// open until the next Configure has returned. Run must be running.
func (r *routerChild) Configure(ctx context.Context, c link.Configuration, listeners []*bound) error {
	return r.request(ctx, c, listeners, false)
}

// Prepare starts the router and gives it its options, but no sockets: it accepts
// nothing before the first Configure.
func (r *routerChild) Prepare(ctx context.Context, c link.Configuration) error {
	return r.request(ctx, c, nil, true)
}

func (r *routerChild) request(ctx context.Context, c link.Configuration, listeners []*bound, early bool) error {
	q := *newRouterRequest(c, listeners, early)
	select {
	case r.requests <- q:
		return <-q.reply
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Quit makes the routers finish what they have, until ctx ends, and ends them.
// Nothing is started after it; Run returns.
func (r *routerChild) Quit(ctx context.Context) {
	q := routerQuit{ctx: ctx, done: make(chan struct{})}
	r.quits <- q
	<-q.done
}

// Status is what `emperor status` shows; nil before there was a router.
func (r *routerChild) Status() *control.RouterStatus { return r.status.Load() }

// Run keeps the router running until Quit. When ctx ends, routers are ended
// without being asked.
func (r *routerChild) Run(ctx context.Context) {
	r.retry = time.NewTimer(time.Hour)
	r.retry.Stop()
	if r.live == nil && r.current.needed() { // it ended while another binary took over
		r.retry.Reset(0)
	}
	looks := time.NewTicker(lookAtLogs)
	defer looks.Stop()
	for {
		var ended, leaving <-chan struct{}
		var look <-chan time.Time
		if r.live != nil {
			ended, leaving = r.live.ended, r.live.leaving
			if len(r.live.logs) > 0 {
				look = looks.C // else nothing wakes us
			}
		}
		select {
		case q := <-r.requests:
			q.reply <- r.apply(ctx, q)
		case q := <-r.standstills:
			r.standStill(q)
		case reply := <-r.renewals:
			reply <- r.renew(ctx)
		case q := <-r.readings:
			q.reply <- r.allowReading(ctx)
		case <-r.reopens:
			r.reopen(ctx)
		case <-look:
			r.followLogs(ctx)
		case <-ended:
			r.lost(ctx)
		case <-leaving:
			r.log.Warn("the router was told to end, but not by us; starting another on the same sockets", "pid", r.live.process.PID())
			r.drain(r.live)
			r.live = nil
			r.restart(ctx)
		case <-r.retry.C:
			r.restart(ctx)
		case q := <-r.quits:
			r.quit(q.ctx)
			close(q.done)
			return
		case <-ctx.Done():
			r.quit(ctx)
			return
		}
		r.forgetDrained()
		r.renewLater(ctx)
	}
}

// apply brings a new configuration into force, in the running router if there is
// one.
func (r *routerChild) apply(ctx context.Context, q routerRequest) error {
	r.certificates.use(&q.configuration)
	if r.live != nil && q.mayRead() && !r.live.mayRead {
		return r.succeed(ctx, q, filesServed)
	}
	if r.live != nil {
		err := r.live.configure(ctx, q)
		if !errors.Is(err, link.ErrGone) {
			if err == nil {
				r.current = &q
				r.publish("running", r.status.Load().Reason)
			}
			return err
		}
		r.children.Go(r.live.kill) // it may be half gone
		r.live = nil
	}
	if !q.needed() {
		r.current = &q
		r.status.Store(nil)
		return nil // nobody to answer
	}
	p, err := r.start(ctx, q)
	if err != nil {
		if r.current.needed() {
			r.retry.Reset(r.wait())
		}
		return err
	}
	r.current, r.live = &q, p
	r.publish("running", "")
	return nil
}

// lost is called when the router has ended without having been asked to.
func (r *routerChild) lost(ctx context.Context) {
	p := r.live
	r.live = nil
	r.restarts++
	how := p.process.Exit().String()
	lived := time.Since(p.started)
	if lived >= steady {
		r.crashes = 0
	}
	wait := r.wait()
	r.crashes++
	r.log.Error("the router ended unexpectedly; clients who come now wait until it is back", "pid", p.process.PID(), "exit", how, "lived", lived.Round(time.Millisecond), "restart_in", wait)
	r.publish("failed", how)
	if wait > 0 {
		r.retry.Reset(wait)
		return
	}
	r.restart(ctx)
}

// wait is how long the next start is put off: not at all after the first crash.
func (r *routerChild) wait() time.Duration {
	if r.crashes == 0 {
		return 0
	}
	return min(shortestWait<<min(r.crashes-1, 10), longestWait)
}

func (r *routerChild) restart(ctx context.Context) {
	p, err := r.start(ctx, *r.current)
	if err != nil {
		r.crashes++
		wait := r.wait()
		r.log.Error("the router could not be started again", "err", err, "next_try_in", wait)
		r.publish("failed", err.Error())
		r.retry.Reset(wait)
		return
	}
	r.live = p
	r.publish("running", "restarted")
	r.log.Info("the router is back", "pid", p.process.PID())
}

// start starts a router and tells it everything.
func (r *routerChild) start(ctx context.Context, q routerRequest) (*routerProcess, error) {
	r.retry.Stop()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	p, err := r.spawn(ctx, r.mayRead || q.mayRead())
	if err != nil {
		return nil, err
	}
	err = r.front.connect(ctx, p.peer)
	for _, kept := range []*link.Message{r.announced.Load(), r.tickets.Load()} {
		if err == nil && kept != nil {
			err = p.peer.Send(*kept)
		}
	}
	if err == nil {
		err = p.configure(ctx, q)
	}
	if err != nil {
		p.kill()
		if errors.Is(err, link.ErrGone) {
			err = fmt.Errorf("the router ended while it was being configured: %s", p.process.Exit())
		}
		return nil, err
	}
	return p, nil
}

// spawn starts the process.
func (r *routerChild) spawn(ctx context.Context, mayRead bool) (*routerProcess, error) {
	conn, theirs, err := link.Pair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(theirs) }()
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		_ = conn.Close()
		return nil, os.NewSyscallError("pipe2", err)
	}
	defer func() { _ = syscall.Close(pipe[1]) }()
	_ = syscall.SetNonblock(pipe[0], true)
	output := os.NewFile(uintptr(pipe[0]), "router output")

	r.generation++
	command := &proc.Command{
		// A number of its own: what ends one router must not take another, that is
		// still finishing requests, for part of it.
		Name: "router", Generation: r.generation, Path: r.program,
		Args:              []string{"emperor", "router", "--link", fmt.Sprint(linkDescriptor)},
		Env:               sysd.StripEnv(os.Environ()),
		Files:             map[int]int{1: pipe[1], 2: pipe[1], linkDescriptor: theirs},
		Credential:        r.user,
		Umask:             -1,
		ParentDeathSignal: true,
		Confined:          true,
		MayRead:           mayRead,
	}
	process, err := r.starter.Start(ctx, command)
	if r.user != nil && errors.Is(err, syscall.EPERM) {
		// Root without CAP_SETUID, as in some containers: there is nobody else to be.
		r.log.Warn("the router cannot be run by another user here; it runs as the emperor's own", "uid", r.user.UID, "err", err)
		r.user, command.Credential = nil, nil
		process, err = r.starter.Start(ctx, command)
	}
	if err != nil {
		_ = conn.Close()
		_ = output.Close()
		return nil, fmt.Errorf("the router: %w", err)
	}
	p := &routerProcess{
		process: process, peer: link.NewPeer(conn), started: time.Now(), mayRead: mayRead, output: &relayed{file: output},
		leaving: make(chan struct{}), ended: make(chan struct{}),
	}
	r.accompany(p)
	return p, nil
}

// accompany has the goroutines of a router: what it writes, what it says, its end.
func (r *routerChild) accompany(p *routerProcess) {
	process := p.process
	r.children.Go(func() { p.output.relay(r.log) })
	r.children.Go(func() {
		_ = p.peer.Run(func(m *link.Message, descriptors []int) { r.handle(p, m, descriptors) })
		// A router without its emperor's word is of no use, and one that closed the
		// link ends by itself. Draining ones keep theirs open to the end.
		select {
		case <-process.Done():
		case <-time.After(time.Second):
			p.kill()
		}
		<-process.Done()
		r.front.disconnect(p.peer)
		_ = p.peer.Close()
		close(p.ended)
	})
	r.children.Go(func() {
		<-process.Done()
		_ = p.peer.Close() // should somebody else hold its end
	})
}

// handle takes what a router says.
func (r *routerChild) handle(p *routerProcess, m *link.Message, descriptors []int) {
	for _, fd := range descriptors {
		_ = syscall.Close(fd) // a router has none for us
	}
	switch m.Kind {
	case link.Leaving:
		p.once.Do(func() { close(p.leaving) })
	case link.Wake:
		r.woken(m.Vassal)
	case link.Loyal:
		r.loyal(m.Vassal, m.Generation)
	case link.Silent:
		r.silent(m.Vassal, m.Generation)
	case link.Counted:
		r.counted.Store(m.Counters)
	case link.Announced:
		r.announced.Store(m)
		r.front.tellOthers(p.peer, *m)
	case link.Tickets:
		r.tickets.Store(m)
		r.front.tellOthers(p.peer, *m)
	case link.Load:
		question := *m
		r.answering.Add(1)
		r.children.Go(func() {
			defer r.answering.Add(-1)
			r.certificates.answer(p.peer, &question)
		})
	case link.Moved:
		if m.Vassal != "" {
			r.moved(m.Vassal, m.Generation)
			return
		}
		select {
		case r.reopens <- struct{}{}:
		default: // it has not been done since the last one
		}
	}
}

// mostDraining is how many routers may finish what they have.
const mostDraining = 4

// drain lets a router that is on its way out finish beside its successor.
func (r *routerChild) drain(p *routerProcess) {
	r.draining = append(r.draining, p)
	if len(r.draining) > mostDraining {
		r.log.Warn("too many routers are still finishing requests; ending the oldest", "pid", r.draining[0].process.PID())
		r.children.Go(r.draining[0].kill)
		r.draining = r.draining[1:]
	}
}

func (r *routerChild) forgetDrained() {
	kept := r.draining[:0]
	for _, p := range r.draining {
		select {
		case <-p.ended:
		default:
			kept = append(kept, p)
		}
	}
	r.draining = kept
}

// quit asks every router to finish, waits until ctx ends, and ends the rest.
func (r *routerChild) quit(ctx context.Context) {
	all := r.draining
	if r.live != nil {
		all = append(all, r.live)
	}
	r.publish("stopping", "the emperor is ending")
	for _, p := range all {
		_ = p.peer.Send(link.Message{Kind: link.Quit})
	}
	for _, p := range all {
		select {
		case <-p.ended:
		case <-ctx.Done():
			if p.running() {
				r.log.Warn("the router did not finish in time; requests under way are cut", "pid", p.process.PID())
			}
			p.kill()
		}
	}
	r.children.Wait()
	r.live, r.draining = nil, nil
	r.publish("stopped", "the emperor is ending")
}

func (r *routerChild) publish(state, reason string) {
	s := &control.RouterStatus{State: state, Since: time.Now(), Reason: reason, Restarts: r.restarts}
	if old := r.status.Load(); old != nil && old.State == state {
		s.Since = old.Since
	}
	if r.live != nil {
		s.PID = r.live.process.PID()
	}
	if r.current != nil {
		for _, l := range r.current.listeners {
			s.Listeners = append(s.Listeners, l.Option+" = "+l.Address)
		}
	}
	r.status.Store(s)
}

// routerProcess is one life of the router.
type routerProcess struct {
	process *proc.Process
	peer    *link.Peer
	started time.Time
	output  *relayed
	mayRead bool      // files, as their permissions allow
	logs    []logFile // that it writes to
	once    sync.Once
	leaving chan struct{} // closed when it says that it is going
	ended   chan struct{} // closed when it is gone
}

func (p *routerProcess) configure(ctx context.Context, q routerRequest) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	opened, err := resource.Open(q.configuration.Resources)
	defer func() {
		for _, fd := range opened {
			_ = syscall.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	descriptors := make([]int, 0, len(q.listeners)+len(opened))
	for _, l := range q.listeners {
		descriptors = append(descriptors, l.fd)
	}
	descriptors = append(descriptors, opened...)
	if err := p.peer.Call(ctx, link.Message{Kind: link.Configure, Configuration: &q.configuration}, descriptors...); err != nil {
		return err
	}
	p.logs = openedLogs(q.configuration.Resources, opened)
	return nil
}

func (p *routerProcess) running() bool {
	select {
	case <-p.process.Done():
		return false
	default:
		return true
	}
}

// kill ends it at once, and returns when it is gone.
func (p *routerProcess) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.process.KillTree(ctx) // it has no children, and SIGKILL can not be refused
}
