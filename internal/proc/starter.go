package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
)

// ErrClosed is returned by Start after Close.
var ErrClosed = errors.New("no more children are started: the emperor is ending")

// Starter makes child processes, all of them on one operating system thread.
// Its methods may be called from any goroutine.
type Starter struct {
	mark  string
	work  chan func()   // run on the thread, one after the other
	stop  chan struct{} // closed by Close
	ended chan struct{} // closed when the thread's goroutine is about to end
	once  sync.Once
	low   *lowFiles // the thread's
}

// NewStarter starts the thread. mark is this emperor's identity (see NewMark; it
// must not contain "/"); every child carries
// EMPEROR_MARK=<mark>/<name>/<generation> in its environment.
//
// Where the program keeps its main thread (KeepMainThread) that is the one.
func NewStarter(mark string) *Starter {
	s := &Starter{mark: mark, work: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{}), low: newLowFiles()}
	if kept := mainThread.Load(); kept != nil {
		s.work = *kept
		close(s.ended)
		return s
	}
	go s.thread()
	return s
}

// thread is the one goroutine that forks. It never unlocks its thread, so the
// runtime ends that thread with it, which the kernel counts as the parent's
// death: see Close.
func (s *Starter) thread() {
	defer close(s.ended)
	runtime.LockOSThread()
	for {
		select {
		case f := <-s.work:
			f()
		case <-s.stop:
			s.low.close()
			return
		}
	}
}

// do runs f on the thread and waits for it; false when the Starter is closed.
func (s *Starter) do(f func()) bool {
	done := make(chan struct{})
	select {
	case <-s.stop:
		return false
	default:
	}
	select {
	case s.work <- func() { defer close(done); f() }:
		<-done
		return true
	case <-s.stop:
		return false
	}
}

// Close ends the thread (the main thread ends with the process), and with it every
// child that asked for ParentDeathSignal: call it last, when all children have ended. It
// does not wait for children. Calls after the first do nothing.
func (s *Starter) Close() {
	s.once.Do(func() { close(s.stop) })
	<-s.ended
}

// StartError says why a child could not be started, in words for the user who
// wrote the command.
type StartError struct {
	Name string // vassal
	Text string // "gunicorn: not found on PATH (/usr/bin:/bin)"
	Err  error  // usually a syscall.Errno, so that errors.Is(err, fs.ErrNotExist) works
}

// Error is Text.
func (e *StartError) Error() string { return e.Text }

// Unwrap gives the system's own error.
func (e *StartError) Unwrap() error { return e.Err }

// Start makes the child and returns when it has become the program. It runs in
// a session of its own, without blocked or ignored signals. A program that does
// not exist, may not be executed or has no directory to run in is a *StartError.
// When ctx ends first, the child is killed and the context's error returned;
// afterwards ctx has no influence on the child. After an error no process is left.
func (s *Starter) Start(ctx context.Context, c *Command) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, &StartError{Name: c.Name, Text: err.Error(), Err: err}
	}
	fail := func(doing string, err error) (*Process, error) {
		return nil, &StartError{Name: c.Name, Text: fmt.Sprintf("%s: %s: %v", c.label(), doing, err), Err: err}
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("opening /dev/null", err)
	}
	defer unix.Close(null)
	files, mark := c.layout(null), c.mark(s.mark)
	order := c.order(mark, files)
	// The mark is there from the first moment.
	environment := []string{MarkVariable + "=" + mark}

	if p, err := s.startShort(ctx, c, order, files, environment); p != nil || err != nil {
		return p, err
	}
	self, err := ownExecutable()
	if err != nil {
		return fail("finding our own binary", err)
	}
	orderFD, err := orderFile(order)
	if err != nil {
		return fail("describing the child", err)
	}
	defer unix.Close(orderFD)
	p, answer, err := s.begin(ctx, c, &beginning{self, append(shim.Environment(len(files)), environment...), append(files, orderFD)})
	if err != nil {
		return nil, err
	}
	executed, reason := shim.ParseAnswer(answer)
	if executed {
		return p, nil
	}
	<-p.done
	failure := &StartError{Name: c.Name}
	if reason == nil {
		failure.Text = fmt.Sprintf("%s: %s before the program could be executed", c.label(), p.Exit())
		return nil, failure
	}
	if failure.Text = reason.Text; reason.Errno != 0 {
		failure.Err = reason.Errno
	}
	return nil, failure
}

// startShort goes the short way. It gives neither process nor error when the long one is
// to be gone.
func (s *Starter) startShort(ctx context.Context, c *Command, order *shim.Order, files []int, environment []string) (*Process, error) {
	image := shortImage(order, files)
	if image < 0 {
		return nil, nil
	}
	defer unix.Close(image)
	path := "/proc/self/fd/" + strconv.Itoa(len(files)) // as the new process sees it
	p, answer, err := s.begin(ctx, c, &beginning{path, environment, append(files, image)})
	switch {
	case p == nil:
		closeIfRefused(err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	if executed, _ := shim.ParseAnswer(answer); executed {
		return p, nil
	}
	closeIfKilled(p.Exit())
	return nil, nil
}

// beginning is what a new process is until it becomes the program.
type beginning struct {
	path        string
	environment []string
	files       []int // the program's (see Command.layout), and what it needs itself
}

// begin makes the process and gives its answer, which ends when it becomes the program
// or exits. With an error it gives the process only if there is one, which was killed.
func (s *Starter) begin(ctx context.Context, c *Command, b *beginning) (*Process, []byte, error) {
	p, status, err := s.fork(c, b)
	if err != nil {
		return nil, nil, err
	}
	defer status.Close()
	stopWatching := context.AfterFunc(ctx, func() { status.SetReadDeadline(time.Unix(1, 0)) })
	defer stopWatching()
	answer, err := io.ReadAll(status)
	if err == nil {
		return p, answer, nil
	}
	// It can hang in a directory of a dead network file system: then not even SIGKILL
	// ends it at once, and the caller must not hang with it.
	p.Signal(syscall.SIGKILL)
	if ctx.Err() != nil {
		return p, nil, context.Cause(ctx)
	}
	return p, nil, &StartError{Name: c.Name, Text: fmt.Sprintf("%s: %v", c.label(), err), Err: err}
}

// anonymous is how our anonymous files are called in /proc.
const anonymous = "exec"

// orderFile writes an order to an anonymous file and gives its descriptor, to be
// closed by the caller.
func orderFile(o *shim.Order) (int, error) {
	fd, err := unix.MemfdCreate(anonymous, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err := writeAll(fd, o.Encode()); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// writeAll fills a new file, without moving to its end.
func writeAll(fd int, text []byte) error {
	for at := 0; at < len(text); {
		n, err := unix.Pwrite(fd, text[at:], int64(at))
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

// fork makes the process. It has the files, and behind them the pipe whose reading end
// is returned, which gives its answer.
func (s *Starter) fork(c *Command, b *beginning) (*Process, *os.File, error) {
	fail := func(doing string, err error) (*Process, *os.File, error) {
		return nil, nil, &StartError{Name: c.Name, Text: fmt.Sprintf("%s: %s: %v", c.label(), doing, err), Err: err}
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return fail("making a pipe", err)
	}
	defer unix.Close(pipe[1])
	unix.SetNonblock(pipe[0], true) // so that the runtime waits in its poller, and a deadline works
	status := os.NewFile(uintptr(pipe[0]), "status of "+c.label())

	files := append(b.files, pipe[1])
	var p *Process
	var err error
	alive := s.do(func() {
		p, err = children.fork(func() (int, int, error) {
			// ParentDeathSignal: until it becomes the program; see shim.Order.
			pid, pidfd, err := s.low.begin(b.path, shim.Arguments, b.environment, files, c.ParentDeathSignal)
			if errors.Is(err, errTooHigh) {
				return forkExec(b.path, b.environment, files, c.ParentDeathSignal)
			}
			return pid, pidfd, err
		})
	})
	if !alive {
		err = ErrClosed
	}
	if err != nil {
		status.Close()
		if errors.Is(err, ErrClosed) {
			return nil, nil, &StartError{Name: c.Name, Text: c.label() + ": " + err.Error(), Err: err}
		}
		if errors.Is(err, syscall.EAGAIN) {
			return fail("making a process", fmt.Errorf("%w (limit of processes or threads reached: ulimit -u, TasksMax or pids.max)", err))
		}
		return fail("making a process", err)
	}
	p.mark = c.mark(s.mark)
	go p.watch()
	return p, status, nil
}

// forkExec makes a process with a copy of all our descriptors, as Go does.
func forkExec(path string, environment []string, files []int, dies bool) (pid, pidfd int, err error) {
	pidfd = -1
	attr := &syscall.ProcAttr{Env: environment, Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}}
	if dies {
		attr.Sys.Pdeathsig = syscall.SIGKILL
	}
	for _, fd := range files {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	pid, err = syscall.ForkExec(path, shim.Arguments, attr)
	return pid, pidfd, err
}
