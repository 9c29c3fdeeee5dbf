package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is one child that was started. Its methods may be called from any
// goroutine.
type Process struct {
	pid   int
	start uint64 // start time in clock ticks since boot; with pid, an identity
	mark  string
	pidfd *os.File

	done chan struct{} // closed once exit is set and the child reaped
	exit Exit
}

// PID is the process number. After Done it may be another process's: signal
// only through the methods.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended and was reaped. Descriptors that
// its children hold (its stdout, say) may be open still.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit waits for Done and says how the process ended.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit status, when Signal is 0
	Signal syscall.Signal // the signal that killed it, or 0
	Core   bool           // the kernel dumped core
}

// Success says whether the process ended by itself with status 0.
func (e Exit) Success() bool { return e == Exit{} }

// String is "exit status 1", "killed by SIGKILL" or "killed by SIGSEGV (core dumped)".
func (e Exit) String() string {
	if e.Signal == 0 {
		return "exit status " + strconv.Itoa(e.Code)
	}
	name := unix.SignalName(e.Signal)
	if name == "" {
		name = fmt.Sprintf("signal %d", int(e.Signal)) // real-time signals have no names
	}
	if e.Core {
		return "killed by " + name + " (core dumped)"
	}
	return "killed by " + name
}

// Signal sends a signal to the process alone, never to a successor of its
// number. It returns os.ErrProcessDone when the process has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	connection, err := p.pidfd.SyscallConn()
	if err != nil {
		return os.ErrProcessDone
	}
	var sendErr error
	err = connection.Control(func(fd uintptr) { sendErr = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err != nil || errors.Is(sendErr, unix.ESRCH) {
		return os.ErrProcessDone // closed by watch
	}
	return sendErr
}

// watch waits in the runtime's poller until the process ends and reaps it.
func (p *Process) watch() {
	waitPIDFD(p.pidfd)
	p.exit = children.reap(p.pid)
	p.pidfd.Close()
	close(p.done)
}

// newPIDFile registers a pidfd with the runtime's poller. The poller takes it
// only when it does not block.
func newPIDFile(fd int, name string) *os.File {
	unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

// waitPIDFD returns when the process of a file of newPIDFile has ended (every
// thread of it), or an error when the file was closed or its deadline passed.
func waitPIDFD(f *os.File) error {
	connection, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return connection.Read(func(fd uintptr) bool {
		ended := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ended, 0)
		return n > 0 && err == nil
	})
}

// children are the processes this package has started and not yet reaped. The
// lock is held while one is made, so that nobody who holds it can see a child
// that is not registered yet; see ReapOrphans.
var children = registry{pids: map[int]bool{}}

type registry struct {
	// reaping is held while one is reaped; see HoldReaping. Taken before mu.
	reaping sync.RWMutex
	mu      sync.Mutex
	pids    map[int]bool
}

func (r *registry) fork(start func() (pid, pidfd int, err error)) (*Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, pidfd, err := start()
	if err != nil {
		return nil, err
	}
	if pidfd < 0 {
		// A kernel before 5.2 gives no pidfd with the child. The number cannot be
		// reused before we reap, so asking for it now is as good.
		if pidfd, err = unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK); err != nil {
			syscall.Kill(pid, syscall.SIGKILL)
			waitFor(pid)
			return nil, fmt.Errorf("pidfd_open: %w (Linux 5.10 or newer is needed)", err)
		}
	}
	r.pids[pid] = true
	p := &Process{pid: pid, pidfd: newPIDFile(pidfd, "process "+strconv.Itoa(pid)), done: make(chan struct{})}
	if e, err := readEntry(pid, nil); err == nil {
		p.start = e.start
	}
	return p, nil
}

func (r *registry) reap(pid int) Exit {
	r.reaping.RLock()
	defer r.reaping.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pids, pid)
	status, err := waitFor(pid)
	switch {
	case err != nil:
		// Somebody called wait for every child, against the rules of this package.
		return Exit{Code: -1}
	case status.Signaled():
		return Exit{Signal: status.Signal(), Core: status.CoreDump()}
	}
	return Exit{Code: status.ExitStatus()}
}

func waitFor(pid int) (status syscall.WaitStatus, err error) {
	for {
		if _, err = syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return status, err
		}
	}
}
