package vassal

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"emperor/internal/link"
	"emperor/internal/listening"
	"emperor/internal/proc"
	"emperor/internal/sysd"
	"emperor/vassal/clock"
	"emperor/vassal/commandline"
	"emperor/vassal/environment"
	"emperor/vassal/logs"
	"emperor/vassal/probe"
	"emperor/vassal/sockets"
)

// firstFD is where handed-over sockets begin (sd_listen_fds(3)).
const firstFD = 3

// fpmSockets hands the first socket to PHP-FPM, which knows nothing of LISTEN_FDS
// but hands its sockets to itself in this way when it is reloaded. A pool with
// "listen = /dev/fd/3" takes it. (With the socket's own path PHP-FPM would remove
// the file when it ends, which is its successor's by then.)
const fpmSockets = "FPM_SOCKETS=/dev/fd/3=3"

// portTries is how many ports are tried when somebody else takes them first.
const portTries = 3

// commandBody is any program, in as many copies as processes says.
type commandBody struct {
	surroundings
	listeners []*sockets.Listener
	capture   *logs.Capture
	notify    *sysd.NotifySocket
	port      int              // port = auto: what was promised to it
	at        string           // and where it listens
	byPort    bool             // it uses the port and not the socket, see either.go
	reason    string           // see alone
	folder    *link.OpenFolder // of document-root; nil where there is none
	copies    *copySet
	senders   atomic.Pointer[copySet] // whose announcements count
	halted    atomic.Bool
	promoted  atomic.Bool // connections to its address reach it
}

func newCommandBody(s surroundings) *commandBody {
	b := &commandBody{surroundings: s, reason: s.selfBound}
	if b.reason == "" && s.spec.Command.SelfBound {
		b.reason = "the command names its socket itself"
	}
	return b
}

func (b *commandBody) boot(ctx context.Context) error {
	var err error
	if b.spec.Static.Files.Path != "" {
		if b.folder, err = b.openFolder(ctx, "document-root", nil); err != nil {
			return err
		}
	}
	if b.capture, err = logs.NewCapture(b.output, b.generation, b.spec.Logs...); err != nil {
		return err
	}
	if b.notify, err = sysd.NewNotifySocket(); err != nil {
		// It only matters to programs that announce more than READY=1.
		b.log.Warn("no notify socket for it", "err", err)
		b.notify = nil
	}
	for try := 1; ; try++ {
		err := b.attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		switch {
		case errors.Is(err, errPortTaken) && try < portTries:
			b.log.Warn("another program took the port first: trying another", "port", b.port)
		case b.spec.Command.EitherWay && b.complainsOfAddress() && try < portTries:
			b.log.Warn("it could not bind an address: trying it with another port", "port", b.port)
		case b.spec.Command.EitherWay:
			return err
		case b.reason == "" && !b.fresh() && len(b.listeners) > 0 && b.copies != nil && b.complainsOfAddress():
			b.bindsItself("it could not bind its address, because it was held for it")
		default:
			return err
		}
		b.copies.end(ctx)
		b.copies = nil
		b.returnSockets()
	}
}

// bindsItself notes that the program does not take the sockets held for it, and
// gives its addresses up. It is said once: the vassal remembers.
func (b *commandBody) bindsItself(how string) {
	b.reason = "the program binds its socket itself"
	b.log.Warn("the program binds its socket itself, which works, but the old process must end before a new one can start; to change without that, let it take its socket from LISTEN_FDS or %(fd)", "how", how)
	b.sockets.Keep(b.name, nil)
}

var addressInUse = regexp.MustCompile(`(?i)EADDRINUSE|address already in use`)

// complainsOfAddress: it wrote what programs write when bind(2) fails.
func (b *commandBody) complainsOfAddress() bool {
	for _, l := range b.output.Lines(b.generation) {
		if addressInUse.MatchString(l.Text) {
			return true
		}
	}
	return false
}

// attempt starts the copies and waits until they are ready.
func (b *commandBody) attempt(ctx context.Context) error {
	if err := b.takeSockets(ctx); err != nil {
		return err
	}
	b.copies = newCopySet(b)
	together := b.spec.Command.Copies
	if b.spec.Command.EitherWay {
		together = 1
	}
	for i := range together {
		if err := b.copies.start(ctx, i); err != nil {
			return err
		}
	}
	if b.notify != nil {
		b.senders.Store(b.copies)
		b.notify.Receive(func(pid, _ int) bool { return b.senders.Load().contains(pid) })
	}
	if err := b.awaitReady(ctx); err != nil {
		return err
	}
	return b.startOthers(ctx)
}

// takeSockets gets everything it is to listen on, or makes room for it.
func (b *commandBody) takeSockets(ctx context.Context) error {
	switch {
	case b.spec.Port:
		var err error
		b.port, err = freePort()
		return err
	case b.reason != "":
		for _, socket := range b.spec.Sockets {
			if socket.At.Path == "" {
				continue
			}
			path := socket.At.In(b.spec.SocketRules.Dir)
			err := b.spec.SocketRules.OnBehalf(func() error { return sockets.MakeRoom(path) })
			if err != nil {
				return fmt.Errorf("%s: %w", socket.Pos, err)
			}
		}
		return nil
	}
	var err error
	if b.listeners, err = b.surroundings.listeners(ctx, false); err != nil || !b.spec.Command.EitherWay {
		return err
	}
	b.port, err = freePort()
	return err
}

func (b *commandBody) returnSockets() {
	releaseAll(b.listeners)
	b.listeners = nil
	if b.port != 0 {
		forgetPort(b.port)
		b.port = 0
	}
}

// describe is one copy for the starter.
func (b *commandBody) describe(copyNumber int) (*proc.Command, error) {
	c := &b.spec.Command
	words, err := commandline.Vector(b.fill(c.Line))
	if err != nil {
		return nil, fmt.Errorf("%s: command: %w", c.Pos, err)
	}
	name := b.name
	if copyNumber > 0 {
		// The mark made of it tells whose children processes are: those of one copy
		// must not be taken for another's.
		name += "#" + strconv.Itoa(copyNumber+1)
	}
	p := &proc.Command{
		Name: name, Generation: b.generation,
		Path: words[0], Args: words, Dir: c.Dir, Umask: c.Umask,
		Files:             map[int]int{1: b.capture.Write, 2: b.capture.Write},
		ListenFDs:         len(b.listeners),
		ParentDeathSignal: true,
		Chroot:            b.spec.Limits.Chroot, Restrictions: b.restrictions(),
	}
	if c.Protocol == "fastcgi" {
		// PHP-FPM: its workers stay when it is killed, and it has written its name over
		// the environment by which they would be found. Asked, it takes them with it.
		p.DeathSignal = syscall.SIGTERM
	}
	for i, l := range b.listeners {
		p.Files[firstFD+i] = l.FD
		p.ListenNames = append(p.ListenNames, b.spec.Held()[i].Protocol)
	}
	env := environment.Inherited(b.defaults.Environment, false)
	if c.User != nil {
		p.Credential = c.User.Credential()
		for name, value := range map[string]string{"USER": c.User.Name, "LOGNAME": c.User.Name, "HOME": c.User.Home} {
			if value != "" {
				env = append(environment.Without(env, name), name+"="+value)
			}
		}
	}
	if b.notify != nil {
		env = append(env, "NOTIFY_SOCKET="+b.notify.Address())
	}
	if b.port != 0 {
		env = append(env, "PORT="+strconv.Itoa(b.port))
	}
	if len(b.listeners) > 0 && b.spec.Held()[0].Protocol == "fastcgi" {
		env = append(env, fpmSockets)
	}
	changes := make([]environment.Change, len(c.Environment))
	for i, e := range c.Environment {
		e.Value = b.fill(e.Value)
		changes[i] = e
	}
	p.Env = environment.Apply(env, changes)
	return p, nil
}

// fill puts in what is known only now.
func (b *commandBody) fill(text string) string {
	text = strings.ReplaceAll(text, "%(fd)", strconv.Itoa(firstFD))
	if b.port != 0 {
		text = strings.ReplaceAll(text, "%(port)", strconv.Itoa(b.port))
	}
	return text
}

// awaitReady: its own socket was answered in its protocol, all copies live a
// second, and READY=1 has come if it announces anything at all. (Being able to
// connect proves nothing: the kernel queues connections to a held socket; and
// some send READY=1 before they have loaded the app.)
func (b *commandBody) awaitReady(ctx context.Context) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	asked := &lastAnswer{}
	go func() { answered <- b.ask(asking, asked) }() // ends with asking; awaited below
	defer func() {
		cancel()
		if answered != nil {
			<-answered
		}
	}()

	lived, stop := clock.After(b.clock, alive)
	defer stop()
	if b.prompt {
		lived = nil
	}
	var ready <-chan struct{}
	if b.notify != nil {
		ready = b.notify.Ready()
	}
	announced := false
	for answered != nil || lived != nil || b.mustAnnounce() && !announced {
		select {
		case err := <-answered:
			answered = nil
			if err != nil {
				return err
			}
			b.booted()
		case <-lived:
			lived = nil
		case <-ready:
			ready, announced = nil, true
		case died := <-b.copies.firstDeath:
			b.capture.Settle()
			return fmt.Errorf("ended before it was ready: %s", died.text)
		case <-ctx.Done():
			switch err := asked.last(); {
			case err != nil && answered != nil:
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			case answered != nil && b.spec.Command.Protocol == link.TCP:
				return fmt.Errorf("%w: it does not take connections on its socket, which it gets as descriptor 3 (LISTEN_FDS); a program that only knows $PORT wants port = auto instead of socket", context.Cause(ctx))
			case answered != nil:
				return fmt.Errorf("%w: it does not answer on its socket (asked in %s); it gets it as descriptor 3 (LISTEN_FDS); a program that only knows $PORT wants port = auto instead of socket", context.Cause(ctx), b.spec.Command.Protocol)
			case b.mustAnnounce() && !announced:
				return fmt.Errorf("%w: it did not send READY=1 (its status: %s)", context.Cause(ctx), b.notify.Status())
			}
			return context.Cause(ctx)
		}
	}
	b.copies.grown()
	if b.reason == "" && !b.fresh() {
		for _, l := range b.listeners {
			if l.Path != "" && !l.AtPath() {
				b.bindsItself("it replaced the file of its socket")
				b.returnSockets()
				break
			}
		}
	}
	return nil
}

// mustAnnounce: it speaks to its notify socket, so its READY=1 is waited for.
func (b *commandBody) mustAnnounce() bool { return b.notify != nil && b.notify.Status() != "" }

// ask puts the question until it is answered or ctx ends.
func (b *commandBody) ask(ctx context.Context, asked *lastAnswer) error {
	if b.spec.Command.EitherWay {
		return b.askEither(ctx, asked)
	}
	network, to := b.target()
	return b.askAt(ctx, asked, network, to)
}

// askAt is ask at one address; an empty one is that of the port, when it is known.
func (b *commandBody) askAt(ctx context.Context, asked *lastAnswer, network, to string) error {
	longest := time.Second / 2
	if b.prompt {
		longest = 40 * time.Millisecond
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, longest) {
		err := b.findPort(&network, &to)
		if errors.Is(err, errPortTaken) {
			return err
		}
		if err == nil {
			if err = b.askOnce(ctx, network, to); err == nil {
				return nil
			}
		}
		if ctx.Err() == nil {
			asked.note(err)
		}
		if !clock.Sleep(ctx, b.clock, pause) {
			return context.Cause(ctx)
		}
	}
}

// askOnce puts the question once, and gives up when the program replaces the
// file of its socket meanwhile: the connection waits in a socket that nobody has.
func (b *commandBody) askOnce(ctx context.Context, network, to string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(b.listeners) > 0 && b.listeners[0].Path == to && b.listeners[0].AtPath() {
		l := b.listeners[0]
		var look func()
		var mu sync.Mutex
		var stop func() bool
		look = func() {
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				return // too late: the listener may be moving to its path by now
			}
			if !l.AtPath() {
				cancel()
				return
			}
			stop = b.clock.AfterFunc(replaceLook, look)
		}
		look()
		defer func() {
			cancel()
			mu.Lock()
			defer mu.Unlock()
			if stop != nil {
				stop()
			}
		}()
	}
	protocol := b.spec.Command.Protocol
	l := b.listenerAt(network, to)
	if l == nil {
		return probe.Ask(ctx, network, to, protocol, b.spec.Scripts(protocol), b.spec.ReadyPath)
	}
	question, waits := l.Left().(*probe.Waiting)
	if !waits {
		question = new(probe.Waiting)
	}
	err := question.Ask(ctx, network, to, protocol, b.spec.Scripts(protocol), b.spec.ReadyPath)
	if question.Waits() {
		l.Leave(question) // for the program that gets the socket next
	}
	return err
}

// listenerAt is the socket held for it that is asked at; nil where there is none, or
// where another program has put its own in its place.
func (b *commandBody) listenerAt(network, to string) *sockets.Listener {
	if len(b.listeners) == 0 {
		return nil
	}
	l := b.listeners[0]
	if ownNetwork, own := b.target(); network != ownNetwork || to != own || l.Path != "" && !l.AtPath() {
		return nil
	}
	return l
}

// replaceLook is how often it is looked whether the file of a socket was replaced.
const replaceLook = 100 * time.Millisecond

// target is its own socket, that nobody else answers.
func (b *commandBody) target() (network, to string) {
	if b.spec.Port {
		return "tcp", ""
	}
	if b.fresh() {
		return "unix", b.listeners[0].Path
	}
	return b.spec.Sockets[0].At.Dialable(b.spec.SocketRules.Dir)
}

var errPortTaken = errors.New("another program listens on the port it was given")

// findPort waits for the program to listen on the port it was given, and makes
// sure that it is this program and no other.
func (b *commandBody) findPort(network, to *string) error {
	if *to != "" {
		return nil
	}
	at, ours, others, err := portOwner(b.port, b.copies.contains)
	switch {
	case err != nil:
		return err
	case ours:
		*network, *to = "tcp", at
		b.at = at
		return nil
	case others:
		return errPortTaken
	}
	if b.spec.Command.EitherWay {
		return fmt.Errorf("it neither takes the socket it is given (descriptor 3, LISTEN_FDS) nor listens on port %d ($PORT)", b.port)
	}
	return fmt.Errorf("it does not listen on port %d ($PORT)", b.port)
}

// accepting: only the first generation is tried on the socket that others know,
// and no requests are sent to it before it is ready.
func (b *commandBody) accepting() bool { return false }

func (b *commandBody) died() <-chan struct{} { return b.copies.ended }

func (b *commandBody) cause() death {
	b.capture.Settle() // its last words
	return b.copies.lastDeath()
}

// stayForeground is said of a program that ends well, and should not have ended.
const stayForeground = " (if it goes into the background, tell it to stay in the foreground)"

func (b *commandBody) promote() error {
	if !b.byPort {
		if err := b.exchange(b.listeners); err != nil {
			return err
		}
	}
	b.promoted.Store(true)
	return nil
}

func (b *commandBody) halt() { b.halted.Store(true) }

func (b *commandBody) retire() { b.copies.retire() }

// busy: it has said so (X_BUSY=1).
func (b *commandBody) busy() string {
	if b.notify != nil && b.notify.Busy() {
		return "it says that it is busy (X_BUSY=1)"
	}
	return ""
}

func (b *commandBody) connections() int {
	count := 0
	if b.spec.Port || b.byPort {
		return listening.ConnectedTCP(b.port)
	}
	for _, socket := range b.spec.Sockets {
		if a := socket.At; a.IsTCP() {
			count += listening.ConnectedTCP(int(a.TCP.Port()))
		} else {
			count += listening.ConnectedUnix(a.In(b.spec.SocketRules.Dir))
		}
	}
	return count
}

func (b *commandBody) quiet() bool {
	for _, l := range b.listeners {
		if l.Pending() {
			return false
		}
	}
	return true
}

func (b *commandBody) end(ctx context.Context) {
	if b.copies != nil {
		b.copies.end(ctx)
	}
	if b.notify != nil {
		b.notify.Close()
	}
	if b.capture != nil {
		b.capture.Finish()
	}
	b.returnSockets()
	if b.folder != nil {
		b.folder.Close()
	}
}

// files are those beside the scripts that it runs.
func (b *commandBody) files() (*link.StaticFiles, *link.OpenFolder) {
	if b.folder == nil {
		return nil, nil
	}
	files := b.spec.Static.Files
	return &files, b.folder
}

func (b *commandBody) addresses() []link.Address {
	if b.spec.Port || b.byPort {
		return []link.Address{b.spec.Rooted(link.Address{Address: b.at, Protocol: b.spec.Command.Protocol})}
	}
	return b.spec.Addresses()
}

func (b *commandBody) alone() string { return b.reason }
