package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process tree here is what one child has made: the processes of its session,
// everything that descends from these, and everything that carries its mark. No
// one of the three is enough: a daemon leaves the session (setsid) and its parent
// (a double fork), and a program may clear or overwrite its environment.

// SignalTree sends a signal once to every process of the tree that is found at
// this moment. A process that ends meanwhile is no error.
func (p *Process) SignalTree(sig syscall.Signal) error {
	t, err := tables.current()
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range p.tree(t) {
		f, err := openConfirmed(e)
		if f == nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, send(f, e, sig))
		f.Close()
	}
	return errors.Join(errs...)
}

// KillTree sends SIGKILL to every process of the tree and returns when none is
// left: it looks again until a look finds nothing, because a process can fork
// while it is looked for. It works on after the child itself has ended. When ctx
// ends first, or a process may not be signalled by us, the error says which are left.
func (p *Process) KillTree(ctx context.Context) error {
	if err := killAll(ctx, p.tree); err != nil {
		p.Signal(syscall.SIGKILL) // without a process table, at least the child
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Contains says whether a process that runs now belongs to the tree.
func (p *Process) Contains(pid int) bool {
	// The cheap question first: nearly always it is the child or its session.
	if pid == p.pid {
		return !p.ended()
	}
	if session, err := unix.Getsid(pid); err == nil && session == p.pid && !p.ended() {
		return true
	}
	t, err := tables.current()
	if err != nil {
		return false
	}
	for _, e := range p.tree(t) {
		if e.pid == pid {
			return true
		}
	}
	return false
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// tree picks the living processes of the tree out of a table.
func (p *Process) tree(t table) []entry {
	members := map[int]bool{}
	root, numberInUse := t[p.pid]
	if numberInUse && root.start == p.start {
		members[p.pid] = true
	}
	// The kernel does not reuse a number while it names a session. It is somebody
	// else's session when the number belongs to a process again, or when its
	// members carry another mark.
	ours := !numberInUse || root.start == p.start
	for pid, e := range t {
		switch {
		case e.mark == p.mark:
			members[pid] = true
		case ours && e.session == p.pid && e.start >= p.start && e.mark == "":
			members[pid] = true
		}
	}
	return t.withDescendants(members)
}

// KillDescendants kills everything that descends from this process and returns
// when nothing is left: the last act of an emperor that is PID 1 or a subreaper,
// to which every orphan of a vassal has come.
func KillDescendants(ctx context.Context) error {
	return killAll(ctx, func(t table) []entry {
		return t.withDescendants(map[int]bool{os.Getpid(): true})
	})
}

// killAll kills what find picks until it picks nothing.
func killAll(ctx context.Context, find func(table) []entry) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := tables.current()
		if err != nil {
			return err
		}
		victims := find(t)
		if len(victims) == 0 {
			return nil
		}
		if err := endEach(ctx, victims, syscall.SIGKILL); err != nil {
			return err
		}
	}
}

// endEach signals those processes and waits until they have ended. A process
// that may not be signalled is an error, once the others are dead.
func endEach(ctx context.Context, victims []entry, sig syscall.Signal) error {
	var dying []*os.File
	var errs []error
	for _, e := range victims {
		f, err := openConfirmed(e)
		if f == nil {
			errs = append(errs, err) // nil: it has ended
			continue
		}
		if err := send(f, e, sig); err != nil {
			f.Close()
			errs = append(errs, err)
			continue
		}
		dying = append(dying, f)
	}
	stop := context.AfterFunc(ctx, func() {
		for _, f := range dying {
			f.SetReadDeadline(time.Unix(1, 0))
		}
	})
	for _, f := range dying {
		if err := waitPIDFD(f); err != nil && ctx.Err() == nil {
			errs = append(errs, err)
		}
	}
	stop()
	for _, f := range dying {
		f.Close()
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%d processes still there: %w", len(victims), err)
	}
	return errors.Join(errs...)
}

// openConfirmed opens a pidfd of exactly the process that e describes. nil and
// no error: it has ended.
func openConfirmed(e entry) (*os.File, error) {
	fd, err := unix.PidfdOpen(e.pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
			return nil, nil // EINVAL: the number is now that of a thread
		}
		return nil, fmt.Errorf("process %d (%s): pidfd_open: %w", e.pid, e.name, err)
	}
	// The descriptor names whoever had the number just now. If the number belongs
	// to a process of the same start time after that, it is the one we looked at.
	now, err := readEntry(e.pid, nil)
	if err != nil || now.start != e.start {
		unix.Close(fd)
		return nil, nil
	}
	return newPIDFile(fd, "process "+strconv.Itoa(e.pid)), nil
}

func send(f *os.File, e entry, sig syscall.Signal) error {
	connection, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	if err := connection.Control(func(fd uintptr) { sendErr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if sendErr == nil || errors.Is(sendErr, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("process %d (%s): %s: %w", e.pid, e.name, unix.SignalName(sig), sendErr)
}

// tables reads the process table for many callers at once. A shutdown ends
// hundreds of trees at the same time, and each look reads every process of the
// machine: callers that come while a reading is under way share the next one.
var tables tableReader

type tableReader struct {
	mu     sync.Mutex
	next   *reading // not begun; nil when nobody waits for one
	active sync.Mutex
}

type reading struct {
	once sync.Once
	t    table
	err  error
}

// current gives a table whose reading began after the call. It must not be changed.
func (r *tableReader) current() (table, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = new(reading)
	}
	mine := r.next
	r.mu.Unlock()

	r.active.Lock()
	mine.once.Do(func() {
		r.mu.Lock()
		r.next = nil // who comes from now on needs a later reading
		r.mu.Unlock()
		mine.t, mine.err = readTable(true)
	})
	r.active.Unlock()
	return mine.t, mine.err
}
