package vassal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/environment"
	"emperor/vassal/logs"
	"emperor/vassal/pipe"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// uwsgiFiles is the highest soft limit of open files a uWSGI gets: at a start
// that inherits sockets it looks at every descriptor up to it.
const uwsgiFiles = 65536

const (
	// controlDescriptor is uWSGI's end of the conversation with its emperor.
	controlDescriptor = 3
	// firstSocket is where handed-over sockets begin. uWSGI finds them by their names.
	firstSocket = 5
)

// uwsgiBody is an unmodified uWSGI with its master process.
type uwsgiBody struct {
	surroundings
	listeners []*sockets.Listener
	capture   *logs.Capture
	ownLog    *uwsgiLog // nil: it writes none
	conn      *pipe.Conn
	process   *proc.Process
	accepts   bool     // a worker takes connections
	pidFiles  []string // that we wrote

	watching sync.WaitGroup // the reader of the control descriptor
	hungUp   chan struct{}  // closed when uWSGI has closed its end of it
	deaf     bool           // which it had done before it was ready
	endOnce  sync.Once
	promoted atomic.Bool // connections to its addresses reach it

	firstAsked time.Time // whether it is quiet
}

func newUWSGIBody(s surroundings) *uwsgiBody { return &uwsgiBody{surroundings: s} }

func (b *uwsgiBody) boot(ctx context.Context) error {
	var err error
	if b.listeners, err = b.surroundings.listeners(ctx, true); err != nil {
		return err
	}
	if b.capture, err = logs.NewCapture(b.output, b.generation); err != nil {
		return err
	}
	var child int
	if b.conn, child, err = pipe.Pair(); err != nil {
		return fmt.Errorf("control descriptor: %w", err)
	}
	defer unix.Close(child)

	command := &proc.Command{
		Name: b.name, Generation: b.generation,
		Credential: b.spec.UWSGI.User.Credential(),
		Path:       b.binary(), Env: b.environment(), Dir: b.spec.UWSGI.Dir, Umask: -1,
		Files:        map[int]int{1: b.capture.Write, 2: b.capture.Write, controlDescriptor: child},
		Restrictions: b.restrictions(),
	}
	for i, l := range b.listeners {
		command.Files[firstSocket+i] = l.FD
	}
	if b.spec.UWSGI.Text != "" {
		config, err := textDescriptor(b.name, b.spec.UWSGI.Text)
		if err != nil {
			return err
		}
		defer unix.Close(config)
		command.Files[spec.ConfigDescriptor] = config
	}
	command.Args = append([]string{command.Path}, b.arguments()...)
	if err := b.openLog(); err != nil {
		return err
	}
	if b.ownLog != nil {
		first := firstSocket + len(b.listeners)
		command.Files[first], command.Files[first+1] = b.ownLog.reopen, b.ownLog.rotate
		command.Args = append(command.Args, b.ownLog.arguments(first, first+1)...)
	}
	if !b.spec.UWSGI.MaxFD && !b.spec.LimitsFiles() {
		command.MaxOpenFiles = boundedFiles()
	}
	b.process, err = b.starter.Start(ctx, command)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && !b.dirMissing() {
			return fmt.Errorf("%w; install uWSGI (Debian, Ubuntu: apt install uwsgi-core and the plugin of the language, such as uwsgi-plugin-python3; elsewhere: pip install uwsgi) or say binary-path", err)
		}
		return err
	}
	b.started([]int{b.process.PID()})
	b.writePIDFiles()
	return b.awaitReady(ctx)
}

func (b *uwsgiBody) dirMissing() bool {
	_, err := os.Stat(b.spec.UWSGI.Dir)
	return b.spec.UWSGI.Dir != "" && err != nil
}

func (b *uwsgiBody) binary() string {
	own := b.spec.UWSGI.Binary
	if own == "" {
		own = b.defaults.UWSGI
	}
	return b.defaults.Wrappers.Choose(own, b.defaults.Environment)
}

// adopted: uWSGI finds its sockets among what it inherits.
func (b *uwsgiBody) adopted() bool { return len(b.spec.Held()) > 0 }

func (b *uwsgiBody) environment() []string {
	env := append(environment.Inherited(b.defaults.Environment, true), fmt.Sprintf("UWSGI_EMPEROR_FD=%d", controlDescriptor))
	if b.adopted() {
		// Makes uWSGI look for inherited sockets. Never 1: to uWSGI that is a reload,
		// and it would silently leave out chroot, cap, unshare and the early hooks.
		env = append(env, "UWSGI_RELOADS=-1")
	}
	return env
}

// arguments: our own settings go after the file name; before it the file would win.
func (b *uwsgiBody) arguments() []string {
	u := &b.spec.UWSGI
	args := append([]string{}, u.Arguments...)
	set := func(text string) { args = append(args, "--set", text) }
	mercy := b.spec.Mercy
	if mercy <= 0 {
		mercy = b.defaults.Mercy
	}
	set("worker-reload-mercy=" + strconv.Itoa(int((mercy+time.Second-1)/time.Second)))
	set("no-orphans=true")
	// Platforms and service managers send TERM to every process at once. To a master
	// it then means: finish what the workers have, and end. Workers, which would
	// drop their requests, are given a handler that does nothing (any C function of
	// one integer will do): when they end is the master's business and ours.
	set("die-on-term=true")
	set("hook-master-start=unix_signal:15 gracefully_kill_them_all")
	set("hook-accepting=unix_signal:15 abs")
	if u.NoMaster {
		// Under an emperor uWSGI has a master unless it is told otherwise; without
		// one nobody reads our orders, and it could only be killed.
		set("master=true")
	}
	if u.DieOnIdle && b.spec.Idle == 0 {
		set("idle=0") // see readSleep
	}
	if u.NeedApp || b.replacesApp {
		// Without it an import error is served as an answer, and looks ready.
		set("need-app=true")
	}
	if b.adopted() {
		// The sockets are shared with the next generation: shutdown(2) on them, or
		// removing their files, would take them away from it.
		set("shutdown-sockets=false")
		if u.Vacuum {
			set("vacuum=false")
		}
		if u.ReopenLog {
			set("log-reopen=true")
		}
	}
	return args
}

// boundedFiles is 0 when the limit may be inherited as it is.
func boundedFiles() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Max <= uwsgiFiles {
		return 0
	}
	return uwsgiFiles
}

// awaitReady waits for the sign that a worker accepts (byte 5), and then a
// second in which the master lives and worker 1 is not started again: an import
// error in a worker sends the same byte, once more with each new worker.
func (b *uwsgiBody) awaitReady(ctx context.Context) error {
	var believed <-chan struct{} // closed when the second is over
	stop := func() bool { return true }
	defer func() { stop() }()
	wait := func() {
		stop()
		believed, stop = clock.After(b.clock, alive)
	}
	if b.spec.UWSGI.Exec {
		wait() // the program in the workers does not know the byte
	}
	var poke <-chan struct{}
	stopPoke := func() bool { return true }
	defer func() { stopPoke() }()
	if b.spec.UWSGI.Cheap && b.adopted() {
		poke, stopPoke = clock.After(b.clock, 0)
	}
	respawns := 0
	events := b.conn.Events()
	for {
		select {
		case event, open := <-events:
			switch {
			case !open:
				events = nil // it is about to end, or does without us
			case event == pipe.Accepting:
				b.accepts = true
				b.booted()
				if believed != nil {
					respawns++
				}
				poke = nil
				if b.prompt && !b.spec.UWSGI.Lazy {
					b.watch(events)
					return nil
				}
				wait()
			case event == pipe.Spawned && !b.adopted():
				b.booted()
				wait()
			case event == pipe.Loyal:
				b.loyal()
			case event == pipe.Heartbeat:
				b.heartbeat()
			}
		case <-poke:
			// A cheap uWSGI starts its workers when somebody connects.
			b.knock()
			poke, stopPoke = clock.After(b.clock, alive/2)
		case <-believed:
			b.watch(events)
			return nil
		case <-b.process.Done():
			b.capture.Settle()
			return b.explain(b.process.Exit())
		case <-ctx.Done():
			if respawns > 0 {
				return fmt.Errorf("%w: its first worker was started again %d times", context.Cause(ctx), respawns)
			}
			if believed == nil {
				return fmt.Errorf("%w: no worker has said that it accepts requests; it may still load the app", context.Cause(ctx))
			}
			return context.Cause(ctx)
		}
	}
}

// explain says what an exit status of uWSGI's means (uwsgi.h).
func (b *uwsgiBody) explain(e proc.Exit) error {
	text := "uwsgi ended before it was ready: " + e.String()
	if e.Signal == 0 && e.Code == 22 {
		text += " (the app could not be loaded)"
		switch {
		case !b.spec.UWSGI.NeedApp:
			text = "the file names no app, unlike the one before: " + text
		case !b.spec.UWSGI.Plugins:
			text += "; if uWSGI came in parts, as on Debian and Ubuntu, say which it needs, such as plugin = python3"
		}
	}
	return errors.New(text)
}

// knock connects to its first held socket and goes away again.
func (b *uwsgiBody) knock() {
	network, to := b.spec.Held()[0].At.Dialable(b.spec.SocketRules.Dir)
	if b.fresh() {
		to = b.listeners[0].Path
	}
	if c, err := net.DialTimeout(network, to, time.Second); err == nil {
		c.Close()
	}
}

// watch reads the control descriptor for the rest of its life.
func (b *uwsgiBody) watch(events <-chan pipe.Report) {
	b.hungUp = make(chan struct{})
	b.deaf = events == nil
	b.watching.Go(func() { // ends when end closes the descriptor
		defer close(b.hungUp)
		if events == nil {
			return
		}
		for event := range events {
			switch event {
			case pipe.Loyal:
				b.loyal()
			case pipe.Idle:
				b.idle()
			case pipe.Heartbeat:
				b.heartbeat()
			}
		}
	})
}

func (b *uwsgiBody) accepting() bool {
	if !b.accepts || b.fresh() {
		return false
	}
	select {
	case <-b.process.Done():
		return false
	default:
		return true
	}
}

func (b *uwsgiBody) died() <-chan struct{} { return b.process.Done() }

func (b *uwsgiBody) cause() death {
	b.capture.Settle() // its last words
	return deathOf("uwsgi", b.process.Exit())
}

func (b *uwsgiBody) promote() error {
	err := b.exchange(b.listeners)
	b.promoted.Store(err == nil)
	return err
}
func (b *uwsgiBody) alone() string { return "" }
func (b *uwsgiBody) busy() string  { return "" }

// connections: it counts its workers that are busy by itself.
func (b *uwsgiBody) connections() int { return 0 }

// halt: its master starts the workers, and a master that dies is all of it.
func (b *uwsgiBody) halt() {}

// quiet: what waits in a socket that is still the one at the path is for the next
// generation. A worker finishes what it has begun to read, but one that is told to end
// between accept and that drops it. Nobody says which connections are that young, and on a
// busy machine it is not a matter of microseconds; so for a time all of them count.
func (b *uwsgiBody) quiet() bool {
	if b.firstAsked.IsZero() {
		b.firstAsked = b.clock.Now()
	}
	for _, l := range b.listeners {
		if b.sockets.Has(l) {
			continue
		}
		if l.Pending() {
			return false
		}
		if n, known := l.Connected(); known && n > 0 && b.clock.Now().Sub(b.firstAsked) < acceptTime {
			return false
		}
	}
	return true
}

// acceptTime is far more than a worker needs to begin what it has accepted.
const acceptTime = time.Second

// retire: byte 2 lets the workers finish their requests. The master closes its
// end of the control descriptor just before it tells them, so that is waited for:
// on a busy machine it can take longer than any fixed pause. (TERM is a stop, too,
// because of die-on-term, but a brutal one.)
func (b *uwsgiBody) retire() {
	if err := b.conn.Send(pipe.StopGraceful); err != nil {
		b.process.Signal(syscall.SIGTERM)
		return
	}
	if b.hungUp == nil {
		return // it never was ready; nobody reads the descriptor
	}
	over, stop := clock.After(b.clock, hangUpTime)
	defer stop()
	select {
	case <-b.hungUp:
	case <-b.process.Done():
	case <-over:
		_ = b.process.SignalTree(syscall.SIGCONT) // perhaps it was stopped
	}
}

// hangUpTime is how long the router holds requests at most for a master that
// does not react.
const hangUpTime = time.Second

func (b *uwsgiBody) end(ctx context.Context) {
	b.endOnce.Do(func() {
		if b.process != nil {
			killTree(ctx, b.log, b.process)
			b.removePIDFiles()
		}
		if b.conn != nil {
			b.conn.Close()
			b.watching.Wait()
		}
		if b.capture != nil {
			b.capture.Finish()
		}
		b.closeLog()
		releaseAll(b.listeners)
	})
}

func (b *uwsgiBody) addresses() []link.Address { return b.spec.Addresses() }

func (b *uwsgiBody) files() (*link.StaticFiles, *link.OpenFolder) { return nil, nil }

// writePIDFiles does what uWSGI leaves out when it inherits its sockets.
func (b *uwsgiBody) writePIDFiles() {
	if !b.adopted() {
		return
	}
	for _, path := range b.spec.UWSGI.PIDFiles {
		if !filepath.IsAbs(path) {
			path = filepath.Join(b.spec.UWSGI.Dir, path)
		}
		text := strconv.Itoa(b.process.PID()) + "\n"
		err := b.asUser(func() error { return os.WriteFile(path, []byte(text), 0o644) })
		if err != nil {
			b.log.Warn("cannot write the pid file", "err", err)
			continue
		}
		b.pidFiles = append(b.pidFiles, path)
	}
}

// removePIDFiles does what vacuum asks for, unless the next generation has
// written its own number meanwhile.
func (b *uwsgiBody) removePIDFiles() {
	if !b.spec.UWSGI.Vacuum {
		return
	}
	for _, path := range b.pidFiles {
		_ = b.asUser(func() error {
			text, err := os.ReadFile(path)
			if err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(b.process.PID()) {
				err = os.Remove(path)
			}
			return err // a file that is not ours to remove stays
		})
	}
}

// asUser runs f with the rights of the user uWSGI was started as.
func (b *uwsgiBody) asUser(f func() error) error {
	return spec.SocketRules{Umask: -1, As: b.spec.UWSGI.User}.OnBehalf(f)
}

// textDescriptor gives a file without a name that holds the text and never changes.
func textDescriptor(name, text string) (int, error) {
	fd, err := unix.MemfdCreate(name+".ini", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("a file in memory for the configuration: %w", err)
	}
	for rest := []byte(text); len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("a file in memory for the configuration: %w", err)
		}
		rest = rest[n:]
	}
	// Its readers include the app, which may have another user's rights.
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	return fd, nil
}
