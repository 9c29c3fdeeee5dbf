package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Carried is a child as one binary of the emperor describes it to the next, whose
// child it is as well: it is the same process.
type Carried struct {
	PID   int
	Start uint64 // its start time: with the number, an identity
	Mark  string
	Ended bool // and reaped
	Exit  Exit
}

// Carry describes the process.
func (p *Process) Carry() Carried {
	c := Carried{PID: p.pid, Start: p.start, Mark: p.mark}
	if p.ended() {
		c.Ended, c.Exit = true, p.exit
	}
	return c
}

// unknownExit is the end of a process that nobody has seen.
var unknownExit = Exit{Code: -1}

// Adopt makes a Process of one that an earlier binary of this emperor has started. One
// that has ended meanwhile is as good as any other that has; an error says that the
// number belongs to somebody else's child now, or that it cannot be watched.
func Adopt(c Carried) (*Process, error) {
	p := &Process{pid: c.PID, start: c.Start, mark: c.Mark, done: make(chan struct{})}
	end := func(e Exit) (*Process, error) {
		p.exit = e
		close(p.done)
		return p, nil
	}
	if c.Ended {
		return end(c.Exit)
	}
	if c.PID <= 1 {
		return nil, fmt.Errorf("process %d cannot be a child of ours", c.PID)
	}
	fd, err := unix.PidfdOpen(c.PID, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL):
		return end(unknownExit)
	case err != nil:
		return nil, fmt.Errorf("process %d: pidfd_open: %w", c.PID, err)
	}
	now, err := readEntry(c.PID, nil)
	if err != nil || now.start != c.Start || now.parent != os.Getpid() {
		unix.Close(fd)
		return end(unknownExit)
	}
	p.pidfd = newPIDFile(fd, "process "+strconv.Itoa(c.PID))
	children.adopt(c.PID)
	go p.watch()
	return p, nil
}

// adopt registers a child that an earlier binary has made.
func (r *registry) adopt(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pids[pid] = true
}

// HoldReaping keeps every child that ends a zombie until release is called: nobody
// learns of an end that a successor will have to learn of.
func HoldReaping() (release func()) {
	children.reaping.Lock()
	return children.reaping.Unlock
}

// Exec runs f, which executes a binary, on the Starter's thread; see Exclusively for
// who has children that are not held already.
func (s *Starter) Exec(f func()) bool { return s.do(f) }

// Exclusively runs f on the Starter's thread, while no child is made and none is
// reaped: f may execute another binary (see Exec). It reports false, and does not run
// f, after Close.
func (s *Starter) Exclusively(f func()) bool {
	return s.do(func() {
		release := HoldReaping()
		defer release()
		f()
	})
}

// StartTime is the start time of a process, which with its number is an identity; 0
// if there is none.
func StartTime(pid int) uint64 {
	e, err := readEntry(pid, nil)
	if err != nil {
		return 0
	}
	return e.start
}
