package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
}

// NewStarter starts the thread. mark is this emperor's identity (see NewMark; it
// must not contain "/"); every child carries
// EMPEROR_MARK=<mark>/<name>/<generation> in its environment.
//
// Where the program keeps its main thread (KeepMainThread) that is the one.
func NewStarter(mark string) *Starter {
	s := &Starter{mark: mark, work: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{})}
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
	p, status, err := s.fork(c)
	if err != nil {
		return nil, err
	}
	defer status.Close()

	// The shim answers on the pipe; a successful exec closes it.
	stopWatching := context.AfterFunc(ctx, func() { status.SetReadDeadline(time.Unix(1, 0)) })
	defer stopWatching()
	answer, err := io.ReadAll(status)
	if err != nil {
		// The shim can hang in a directory of a dead network file system: then not
		// even SIGKILL ends it at once, and the caller must not hang with it.
		p.Signal(syscall.SIGKILL)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &StartError{Name: c.Name, Text: fmt.Sprintf("%s: %v", c.label(), err), Err: err}
	}
	reason, executed := bytes.CutPrefix(answer, []byte{aboutToExec})
	if executed && len(reason) == 0 {
		return p, nil
	}
	<-p.done
	failure := &StartError{Name: c.Name}
	var f shimFailure
	switch err := json.Unmarshal(reason, &f); {
	case len(reason) == 0:
		failure.Text = fmt.Sprintf("%s: %s before the program could be executed", c.label(), p.Exit())
	case err != nil:
		failure.Text, failure.Err = fmt.Sprintf("%s: %s", c.label(), reason), err
	default:
		failure.Text = f.Text
		if f.Errno != 0 {
			failure.Err = f.Errno
		}
	}
	return nil, failure
}

// fork makes the child as far as the shim. The reading end of the pipe that is
// returned gives the shim's answer.
func (s *Starter) fork(c *Command) (*Process, *os.File, error) {
	fail := func(doing string, err error) (*Process, *os.File, error) {
		return nil, nil, &StartError{Name: c.Name, Text: fmt.Sprintf("%s: %s: %v", c.label(), doing, err), Err: err}
	}
	self, err := ownExecutable()
	if err != nil {
		return fail("finding our own binary", err)
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("opening /dev/null", err)
	}
	defer unix.Close(null)

	files := c.layout(null)
	mark := c.mark(s.mark)
	order := newShimOrder(c, mark, files)
	orderFD, err := order.file()
	if err != nil {
		return fail("describing the child", err)
	}
	defer unix.Close(orderFD)

	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return fail("making a pipe", err)
	}
	defer unix.Close(pipe[1])
	unix.SetNonblock(pipe[0], true) // so that the runtime waits in its poller, and a deadline works
	status := os.NewFile(uintptr(pipe[0]), "status of "+c.label())

	pidfd := -1
	attr := &syscall.ProcAttr{
		// The mark is there from the first moment; GOGC=off: the shim lives for a
		// millisecond.
		Env: []string{MarkVariable + "=" + mark, "GOGC=off"},
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	}
	if c.ParentDeathSignal {
		attr.Sys.Pdeathsig = syscall.SIGKILL // for the shim's own life; see shimOrder.become
	}
	for _, fd := range append(files, orderFD, pipe[1]) {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	arguments := shimArguments(len(files))

	var p *Process
	alive := s.do(func() {
		p, err = children.fork(func() (int, int, error) {
			pid, err := syscall.ForkExec(self, arguments, attr)
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
	p.mark = mark
	go p.watch()
	return p, status, nil
}
