package upstream

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"emperor/router/deadline"
)

// Poller tells Conns that their sockets became ready. One goroutine serves all
// of them; it holds no lock and sends on channels that never block.
type Poller struct {
	epoll   int
	file    *os.File // the same descriptor, in Go's poller
	sweeper *deadline.Sweeper
	running sync.WaitGroup
	names   atomic.Pointer[Names] // nil: nobody resolves names

	// Conns by descriptor. The epoll event carries the descriptor, not a pointer:
	// a late event for a closed one finds nobody, or its successor, who is used to
	// being woken for nothing.
	pages [maxDescriptors / pageSize]atomic.Pointer[page]
}

const (
	pageSize       = 1024
	maxDescriptors = 1 << 20
)

type page [pageSize]atomic.Pointer[Conn]

// NewPoller starts the poller. Close it when every Conn is closed.
func NewPoller(sweeper *deadline.Sweeper) (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &Poller{epoll: fd, file: os.NewFile(uintptr(fd), "epoll"), sweeper: sweeper}
	raw, err := p.file.SyscallConn()
	if err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("epoll in the runtime's poller: %w", err)
	}
	p.running.Go(func() { p.run(raw) })
	return p, nil
}

// Close ends the poller's goroutine and waits for it.
func (p *Poller) Close() error {
	err := p.file.Close()
	p.running.Wait()
	return err
}

// run serves until the descriptor is closed. It all happens within one Read of
// the runtime's poller: returning false waits for the next edge of our epoll
// descriptor, and an edge that came while events were dispatched is not lost.
func (p *Poller) run(raw syscall.RawConn) {
	events := make([]unix.EpollEvent, 256)
	_ = raw.Read(func(uintptr) bool {
		for {
			// It does not wait, so the scheduler need not be told of it.
			n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 {
				return true // closed
			}
			for i := range n {
				p.dispatch(&events[i])
			}
			// Less than there was room for: nothing is left that had its edge already.
			if int(n) < len(events) {
				return false
			}
		}
	})
}

func (p *Poller) dispatch(event *unix.EpollEvent) {
	slot := p.slot(int(event.Fd))
	if slot == nil {
		return
	}
	c := slot.Load()
	if c == nil {
		return
	}
	const ended = unix.EPOLLHUP | unix.EPOLLERR
	if event.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|ended) != 0 {
		c.readable.set()
	}
	if event.Events&(unix.EPOLLOUT|ended) != 0 {
		c.writable.set()
	}
}

func (p *Poller) slot(fd int) *atomic.Pointer[Conn] {
	if fd < 0 || fd >= maxDescriptors {
		return nil
	}
	at := &p.pages[fd/pageSize]
	pg := at.Load()
	if pg == nil {
		pg = new(page)
		if !at.CompareAndSwap(nil, pg) {
			pg = at.Load()
		}
	}
	return &pg[fd%pageSize]
}

var errTooManyDescriptors = errors.New("too many open descriptors")

// interest is what a Conn wants to be told of, edges only.
type interest uint32

const (
	toRead  interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff
	toWrite interest = unix.EPOLLOUT
)

// register makes the poller report c's socket. Writability only where somebody
// waits for it: nearly every socket is writable at once, and the report of what
// nobody asked for would cost a wake-up per request.
func (p *Poller) register(c *Conn, wanted interest) error {
	wanted |= toRead
	operation := unix.EPOLL_CTL_ADD
	if c.registered != 0 {
		operation = unix.EPOLL_CTL_MOD
	}
	slot := p.slot(c.fd)
	if slot == nil {
		return errTooManyDescriptors
	}
	slot.Store(c)
	event := unix.EpollEvent{Events: uint32(wanted), Fd: int32(c.fd)}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), uintptr(operation), uintptr(c.fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	if errno != 0 {
		if c.registered == 0 {
			slot.Store(nil)
		}
		return os.NewSyscallError("epoll_ctl", errno)
	}
	c.registered = wanted
	return nil
}

// unregister is called before the descriptor is closed: its number may belong
// to another Conn right after.
func (p *Poller) unregister(c *Conn) {
	if slot := p.slot(c.fd); slot != nil {
		slot.CompareAndSwap(c, nil)
	}
}

// latch remembers one "ready" for its one waiter.
type latch chan struct{}

func newLatch() latch { return make(latch, 1) }

func (l latch) set() {
	select {
	case l <- struct{}{}:
	default:
	}
}

func (l latch) clear() {
	select {
	case <-l:
	default:
	}
}
