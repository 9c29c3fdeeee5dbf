package emperor

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/emperor/acme"
	"emperor/emperor/control"
	"emperor/emperor/monitor"
	"emperor/internal/cgroup"
	"emperor/internal/config"
	"emperor/internal/logsink"
	"emperor/internal/proc"
	"emperor/internal/sysd"
	"emperor/vassal"
	"emperor/vassal/sockets"
)

const (
	// A look at the states of all vassals, which change by the thousand when the emperor
	// starts, is followed by a pause of that many times as long: looking takes a tenth of
	// one processor at most.
	lookPause = 9
	// shortLook is a look without a pause: a hundred vassals. A longer one is followed by
	// no less than leastPause: when hundreds start, one look sees many changes. Clients
	// wait for the look that opens the front, which is not kept back as long.
	shortLook  = 50 * time.Microsecond
	leastPause = 100 * time.Millisecond
	doorPause  = 20 * time.Millisecond

	// reservedThreads is more than system calls take at the same time, but for a disk that
	// stands still.
	reservedThreads = 32
	// rereadAfter is when a file that changed under the reader is read again.
	rereadAfter = 60 * time.Millisecond
	// doorTime is how long the front waits, at the start, for vassals to be known by what
	// they say of themselves; then by their names.
	doorTime = 2 * time.Second
	// leftoverMercy is how long what an earlier emperor left behind may take to end.
	leftoverMercy = 3 * time.Second
	// frontMode is the mode of the front's unix sockets: its clients are anybody, as
	// on a port.
	frontMode fs.FileMode = 0o666
	// mainOwner is the main file's name towards the monitor; a vassal's is its path.
	mainOwner = "main file"
)

// processBegan is where the beats of the loop count from: a difference of two readings of
// the monotonic clock, which nobody can set.
var processBegan = time.Now()

// Program is what an emperor is made of.
type Program struct {
	Reader  Reader
	Source  Source
	Main    *Main // the main file as it is now: Reader.Read(Source)
	Files   []string
	Version string
	Log     *slog.Logger
	// Logs are where vassals' output goes; nil: nowhere.
	Logs *logsink.Set
	// Amnesty: SIGURG is for the emperor, and not for Go's scheduler.
	Amnesty bool
	// Flush returns when everything that was logged is written; may be nil.
	Flush func()
	// Takeover is set when an earlier binary of this process has left everything to us.
	Takeover *Takeover
}

// Emperor is a running emperor. Make it with New, then call Run once.
type Emperor struct {
	program   Program
	log       *slog.Logger
	since     time.Time
	view      atomic.Pointer[view] // what the control socket shows
	stats     *statsServer
	commands  *commandServer
	chronicle *chronicle

	starter   *proc.Starter
	front     *front
	router    *routerChild
	slots     *slots
	doubts    *doubts
	monitor   *monitor.Monitor
	inherited []*sysd.Inherited
	loading   atomic.Bool // a main file is being read: it may run programs
	sockets   *sockets.Registry
	deps      vassal.Deps
	server    *control.Server // nil: there is no control socket

	// For upgrades.
	binary    atomic.Pointer[binaryFile]
	upgrading atomic.Bool
	tries     atomic.Uint64
	upgrades  chan *upgrade
	reloads   chan rereading // the main file is to be read again
	reloaders []chan error   // who waits for that; the loop's
	ending    chan struct{}  // closed when the loop has ended

	// What follows belongs to the loop.
	main      *Main
	problems  config.Problems     // of the last edit of the main file, when it was refused
	mainPrint monitor.Fingerprint // of its files, when they were read
	// certificatePrint is of the files that the router was given.
	certificatePrint monitor.Fingerprint
	mainSeen         monitor.Fingerprint // the same in the last snapshot
	mainTries        int                 // reads in a row that met a changing file
	listeners        []*bound
	registry         *registry
	acme             *acme.Manager
	snapshot         monitor.Snapshot
	scanned          time.Time     // the first snapshot came
	open             bool          // the router has the sockets
	doorAfter        time.Time     // when to try that again
	warnedFor        int           // that many vassals need more files than we may open; 0: not said
	changed          chan struct{} // holds one: some vassal's state changed
	stateful         notifier
	first            firstStart
	touch            touched

	orders       sync.WaitGroup // that nobody waits for
	orderContext context.Context
	controlFD    int           // while everything stands still
	routers      CarriedRouter // likewise
}

// New makes an emperor; it starts nothing.
func New(p Program) *Emperor {
	return &Emperor{program: p, log: p.Log, main: p.Main, since: time.Now(), changed: make(chan struct{}, 1), chronicle: newChronicle(time.Now), upgrades: make(chan *upgrade), reloads: make(chan rereading), ending: make(chan struct{})}
}

// Run is the emperor's life: it returns nil after a stop that was asked for, by
// SIGTERM, SIGINT, SIGQUIT or the end of ctx, when nothing that it started is
// left; or the error for which it could not begin.
func (e *Emperor) Run(ctx context.Context) (err error) {
	defer func() { err = proc.ExplainLimit(err) }()
	// SIGPIPE must be caught, or a closed log would be our end. The others would end
	// us by default; uWSGI's emperor dies of some of them, with all vassals.
	signals := make(chan os.Signal, 16)
	if e.program.Amnesty {
		signal.Notify(signals, syscall.SIGURG)
	}
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1,
		syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGALRM)
	defer signal.Stop(signals)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)

	binary := findBinary()
	if e.program.Takeover == nil {
		e.log.Info("emperor "+e.program.Version, "pid", os.Getpid(), "config", e.main.Name())
		for _, note := range e.main.Notes {
			e.log.Info(note.Error())
		}
		e.endLeftovers(ctx)
	} else {
		binary = e.program.Takeover.binary()
		e.log.Info("emperor "+e.program.Version+" takes over from "+e.program.Takeover.State.Version, "pid", os.Getpid(), "config", e.main.Name())
	}
	proc.ReserveThreads(reservedThreads)
	e.binary.Store(&binary)
	if err := proc.BecomeSubreaper(); err != nil {
		e.log.Warn("processes that vassals leave behind can not be adopted", "err", err)
	}
	e.starter = proc.NewStarter(proc.NewMark(proc.Identity(e.main.Name())))
	defer e.starter.Close()
	if err := e.runStartHooks(ctx); err != nil {
		return err
	}
	defer e.runEndHooks()
	e.front, e.slots = newFront(), newSlots()
	e.doubts = newDoubts(e.slots, e.chronicle.knows, newMemory(e.main), e.log)
	e.front.published = e.wake
	e.router = newRouterChild(e.starter, e.front, e.main.RouterUser, e.log.With("vassal", "router"))
	e.router.certificates.keeper = e.program.Reader.Keeper
	e.router.moved = e.folderMoved
	e.router.woken, e.router.loyal, e.router.silent = e.woken, e.loyal, e.silent
	e.acme = e.newIssuer()
	e.router.certificates.issued = e.acme.Load
	e.sockets = sockets.New()
	e.deps = e.newDeps()
	e.router.mayRead = e.main.App != nil && e.main.App.Spec().StaticFiles() != nil

	var taken *taking
	if e.program.Takeover != nil {
		if taken, err = e.takeOver(); err != nil {
			return e.fallBack(taken, err)
		}
	}

	// Deferred calls run in reverse: what was begun last ends first.
	var background sync.WaitGroup
	defer background.Wait()
	whole, cancelWhole := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWhole()
	// While a main file is read, os/exec waits for children of its own.
	background.Go(func() { proc.ReapOrphans(whole, func(int) bool { return e.loading.Load() }) })

	background.Go(func() { proc.WatchStops(whole, e.stopped) })

	serve := func() {
		if e.server != nil {
			e.publish()
			background.Go(func() { _ = e.server.Run(whole) })
		}
	}
	if taken == nil {
		if e.server, err = e.openControl(); err != nil {
			return err
		}
		serve()
		if err := e.openFront(ctx); err != nil {
			return err
		}
	}
	defer func() { closeListeners(e.listeners) }()
	if taken == nil {
		if err := e.main.writePIDFiles(); err != nil {
			return err
		}
	}
	defer removePIDFiles(e.main.PIDFiles)

	if taken == nil {
		background.Go(func() { e.router.Run(whole) })
		if len(e.listeners) > 0 {
			if err := e.router.Prepare(ctx, e.main.Front); err != nil {
				return err
			}
		}
	}

	if taken == nil {
		asBefore := collectLess()
		e.stateful.whenReady = func() { background.Go(asBefore) }
	}
	options := e.main.Monitor
	options.Log = e.log
	if e.monitor, err = monitor.New(options); err != nil {
		if taken != nil {
			return e.fallBack(taken, err)
		}
		return err
	}
	vassals, cancelVassals := context.WithCancel(whole)
	defer cancelVassals()
	e.router.certificates.watchWith(e.monitor.Watch)
	defer e.tend(whole)()
	e.registry = newRegistry(vassals, e.main, e.newVassal(), e.monitor.Watch, e.log)
	e.registry.order = e.order
	e.registry.many = func(fresh []readAhead) { e.doubts.expect(whole, fresh, e.deps.Defaults, background.Go) }
	e.registry.edited = e.doubts.edited
	e.registry.files = func() { e.router.expectFiles(whole, background.Go) }
	e.watchMainTouch()
	e.publish()
	if err := e.openOrders(); err != nil {
		if taken == nil {
			return err
		}
		e.log.Error("a socket for stats or commands could not be opened again", "err", err)
	}
	defer e.closeOrders()
	programs, cancelPrograms := context.WithCancel(whole)
	e.registry.ask = newOnDemandProgram(programs, e.starter, e.wake, e.log)
	defer e.registry.ask.running.Wait()
	defer cancelPrograms()
	if taken == nil {
		e.mainPrint = monitor.FingerprintOf(e.program.Files)
	} else {
		e.mainPrint = taken.State.MainPrint
		e.carryOn(whole, taken)
		serve()
		background.Go(func() { e.router.Run(whole) })
		background.Go(func() { e.concludeUpgrade(whole, taken) })
		taken.resignal(signals)
		if taken.State.Reload {
			signals <- syscall.SIGHUP
		}
		e.stateful.reloaded()
	}
	if e.main.WatchConfig {
		e.monitor.Watch(mainOwner, e.program.Files)
	}
	scanning, stopScanning := context.WithCancel(whole)
	defer stopScanning()
	background.Go(func() { _ = e.monitor.Run(scanning) })
	background.Go(func() { e.doubts.keep(scanning) })
	background.Go(func() { e.acme.Run(scanning) })

	var beat atomic.Int64
	beat.Store(int64(time.Since(processBegan)))
	background.Go(func() {
		sysd.Watchdog(whole, func() bool { return time.Since(processBegan)-time.Duration(beat.Load()) < 30*time.Second })
	})
	e.loop(ctx, signals, &beat)
	close(e.ending)
	e.doubts.close()
	failed := e.first.err()

	stopScanning()
	e.shutdown(signals, cancelVassals)
	return failed
}

// loop compares and acts until somebody wants us to end.
func (e *Emperor) loop(ctx context.Context, signals <-chan os.Signal, beat *atomic.Int64) {
	again := time.NewTimer(time.Hour)
	again.Stop()
	var alive <-chan time.Time // only a watchdog needs a beat when nothing happens
	if os.Getenv("WATCHDOG_USEC") != "" {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		alive = ticker.C
	}
	extend := time.NewTicker(extendEvery)
	defer extend.Stop()
	var next time.Time // when the states of vassals may be looked at again
	later := false     // they will be then
	for {
		retry := false
		states := false // only the states of vassals have changed, which no view has
		select {
		case e.snapshot = <-e.monitor.Snapshots():
			if e.scanned.IsZero() {
				e.scanned = time.Now()
				time.AfterFunc(doorTime, e.wake)
				time.AfterFunc(doorTime+answerTime, e.wake)
			}
			e.warnOfFiles()
			retry = e.registry.reconcile(e.snapshot)
			e.checkCertificates()
			retry = e.checkMain() || retry
			retry = e.checkMainTouch() || retry
		case <-again.C:
			retry = e.registry.reconcile(e.snapshot)
			retry = e.checkMain() || retry
		case <-e.changed:
			if wait := time.Until(next); wait > 0 {
				if !later {
					later = true
					time.AfterFunc(wait, e.wake)
				}
				continue
			}
			later, states = false, true
			e.registry.proceed()
			e.acme.Recheck()
		case gone := <-e.registry.ended:
			e.registry.forget(gone)
		case s := <-signals:
			var stop bool
			if stop, retry = e.signal(s); stop {
				return
			}
		case u := <-e.upgrades:
			e.carryOutUpgrade(u, signals)
		case r := <-e.reloads:
			e.reloaders = append(e.reloaders, r.done)
			retry = e.hangUp(r.why)
			e.reopenLogs()
		case <-extend.C:
			if e.stateful.ready {
				extend.Stop()
			}
			e.stateful.extend()
		case <-alive:
		case <-ctx.Done():
			return
		}
		beat.Store(int64(time.Since(processBegan)))
		if retry {
			again.Reset(rereadAfter)
		}
		e.answerReloads()
		looked := time.Now()
		e.openDoors()
		if !states {
			e.publish()
		}
		e.stateful.tell(e.registry, e.problems, e.open, e.log)
		if took := time.Since(looked); took > shortLook {
			least := leastPause
			if !e.open {
				least = doorPause
			}
			next = time.Now().Add(max(lookPause*took, least))
		}
		if e.first.err() != nil {
			return
		}
	}
}

// signal acts on a signal; stop says that it asks us to end.
func (e *Emperor) signal(s os.Signal) (stop, again bool) {
	switch s {
	case syscall.SIGHUP:
		if e.upgradeInstead() {
			return false, false
		}
		again = e.hangUp("SIGHUP")
	case syscall.SIGUSR1:
		e.logStatus()
	case syscall.SIGWINCH:
		e.log.Info("SIGWINCH: looking for changed files")
		e.monitor.Scan()
	case syscall.SIGURG:
		e.amnesty()
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT:
		e.log.Info("stopping: finishing requests first", "signal", s.String())
		return true, false
	default:
		e.log.Info("signal ignored", "signal", s.String())
	}
	return false, again
}

// wake makes the loop look again. It may be called from any goroutine.
func (e *Emperor) wake() {
	select {
	case e.changed <- struct{}{}:
	default: // the loop has not looked since the last one
	}
}

// openDoors gives the router its sockets, once it has been told of every vassal
// of the first scan: clients may be waiting since before we were started, and
// shall wait for their site a little longer instead of being told that there is
// none. For a vassal that takes long to be known the others do not wait: it is
// introduced by its name, and requests for it wait in the router.
func (e *Emperor) openDoors() {
	if e.open || e.snapshot.Number == 0 || time.Now().Before(e.doorAfter) {
		return
	}
	waited := time.Since(e.scanned)
	var unknown []string
	for entry := range e.registry.all() {
		if entry.unread && waited < doorTime {
			return
		}
		if !entry.leaving && !e.front.knows(entry.name) {
			unknown = append(unknown, entry.name)
		}
	}
	switch {
	case len(unknown) == 0 || waited >= doorTime+answerTime:
	case waited >= doorTime:
		e.front.introduce(unknown)
		return
	default:
		return
	}
	if err := e.router.Configure(context.Background(), e.main.Front, e.listeners); err != nil {
		// It had accepted the same options before, so it has crashed.
		e.log.Error("the front could not be opened; trying again", "err", err)
		e.doorAfter = time.Now().Add(time.Second)
		time.AfterFunc(time.Second, e.wake)
		return
	}
	e.open = true
	e.issue()
	for _, l := range e.listeners {
		e.log.Info("listening", "option", l.Option, "address", l.Address)
	}
}

// newVassal makes vassals for the registry.
func (e *Emperor) newVassal() func(name string) site {
	return func(name string) site {
		v := vassal.New(name, e.deps)
		if e.main.waits(name) {
			v.Park()
		}
		return v
	}
}

// newDeps is what all vassals are given.
func (e *Emperor) newDeps() vassal.Deps {
	deps := vassal.Deps{
		Hooks: e.vassalHooks,
		Log:   e.log, Starter: e.starter, Front: e.front, Sockets: e.sockets, Slots: e.slots,
		Defaults: e.main.Defaults, Logs: e.program.Logs,
		Groups:  cgroup.New(proc.Identity(e.main.Name())[:8]),
		Changed: func(s vassal.Status) { e.chronicle.see(s); e.doubts.see(s); e.wake() },
	}
	if e.main.App != nil {
		deps.Changed = func(s vassal.Status) { e.first.see(s); e.chronicle.see(s); e.wake() }
	}
	return deps
}

// endLeftovers ends what an earlier emperor of this main file has left behind,
// before anything is bound that they may hold.
func (e *Emperor) endLeftovers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leftoverMercy+5*time.Second)
	defer cancel()
	ended, err := proc.EndLeftovers(ctx, proc.Identity(e.main.Name()), leftoverMercy)
	for _, l := range ended {
		e.log.Warn("ended a process that an earlier emperor left behind", "vassal", l.Vassal, "pid", l.PID, "program", l.Program)
	}
	if err != nil {
		e.log.Error("processes of an earlier emperor may still run", "err", err)
	}
}

// openControl binds the control socket. One that was asked for must work; without
// the default one there is only no `emperor status`.
func (e *Emperor) openControl() (*control.Server, error) {
	if e.main.Control == "none" {
		return nil, nil
	}
	path := control.Path(e.main.Control)
	server, err := control.New(path, e, e.log)
	if err == nil {
		return server, nil
	}
	if e.main.Control != "" {
		return nil, err
	}
	e.log.Warn("running without a control socket (give a path with the option control)", "err", err)
	return nil, nil
}

// openFront binds what the main file asks for, or takes it from the service
// manager.
func (e *Emperor) openFront(ctx context.Context) error {
	var err error
	if e.inherited, err = inheritedSockets(); err != nil {
		return err
	}
	e.listeners, err = openFirst(ctx, e.main.Front.Listeners, e.inherited, frontModeOf(e.main))
	if err != nil {
		return err
	}
	// Clients connect to a socket that nobody serves, and wait for ever.
	for _, in := range e.inherited {
		if !slices.ContainsFunc(e.listeners, func(b *bound) bool { return b.fd == in.FD }) {
			e.log.Warn("a socket of the service manager is not used: no http line names it", "name", in.Name, "address", in.Address)
		}
	}
	return nil
}
