package socket

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"emperor/router/deadline"
)

// Poller tells Sockets that they became ready. One goroutine serves all of them;
// it holds no lock and sends on channels that never block, or calls who has given it an
// Attention.
type Poller struct {
	epoll   int
	file    *os.File // the same descriptor, in Go's poller
	closing atomic.Bool
	sweeper *deadline.Sweeper
	running sync.WaitGroup

	// Sockets by descriptor. The epoll event carries the descriptor, not a pointer:
	// a late event for a closed one finds nobody, or its successor, who is used to
	// being woken for nothing.
	pages [maxDescriptors / pageSize]atomic.Pointer[page]
}

const (
	pageSize       = 1024
	maxDescriptors = 1 << 20
)

type page [pageSize]atomic.Pointer[Socket]

// NewPoller starts the poller. Limits of its connections fire by the sweeper, which
// the caller runs. Close it when every Socket is closed.
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

// Sweeper is what limits of connections fire by.
func (p *Poller) Sweeper() *deadline.Sweeper { return p.sweeper }

// Close ends the poller's goroutine and waits for it.
func (p *Poller) Close() error {
	p.closing.Store(true)
	err := p.file.Close()
	p.running.Wait()
	return err
}

// run serves until the poller is closed. It all happens within one Read of the
// runtime's poller, which keeps the descriptor open meanwhile: returning false waits
// for the next edge of our epoll descriptor, and an edge that came while events were
// dispatched is not lost.
func (p *Poller) run(raw syscall.RawConn) {
	events := make([]unix.EpollEvent, 256)
	_ = raw.Read(func(uintptr) bool {
		for !p.closing.Load() {
			n, errno := p.look(events)
			switch {
			case errno == unix.EINTR:
				continue
			case errno != 0:
				return true // closed
			case n == 0:
				return false
			}
			// Those who were woken have their turn, and what comes meanwhile is taken in
			// one batch, without a stop in the runtime's poller.
			runtime.Gosched()
		}
		return true
	})
}

// look tells everybody of whom the kernel has something to report.
func (p *Poller) look(events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	for i := range n {
		p.dispatch(&events[i])
	}
	return int(n), 0
}

// LookRound does the poller's work once, for a goroutine that keeps a processor busy
// without waiting: the runtime asks its own poller only when nothing else is to be
// done, or after ten milliseconds, and up to then nobody would hear of anything. s
// must be open.
func (s *Socket) LookRound() {
	var events [64]unix.EpollEvent
	_, _ = s.poller.look(events[:])
}

func (p *Poller) dispatch(event *unix.EpollEvent) {
	slot := p.slot(int(event.Fd))
	if slot == nil {
		return
	}
	s := slot.Load()
	if s == nil {
		return
	}
	const over = unix.EPOLLHUP | unix.EPOLLERR
	if event.Events&(unix.EPOLLRDHUP|over) != 0 {
		s.ended.Store(true)
	}
	if a := s.attention.Load(); a != nil {
		a.To.Ready(a.Socket, summary(event.Events))
		return
	}
	if event.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|over) != 0 {
		s.readable.set()
	}
	if event.Events&(unix.EPOLLOUT|over) != 0 {
		s.writable.set()
	}
	// Whoever attends since a moment ago has looked at the latches before they were set,
	// or is seen here.
	if a := s.attention.Load(); a != nil {
		a.To.Ready(a.Socket, summary(event.Events))
	}
}

// summary is what Attention is told.
func summary(events uint32) Event {
	var e Event
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e |= CanRead
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e |= CanWrite
	}
	if events&unix.EPOLLERR != 0 {
		e |= Broken
	}
	return e
}

func (p *Poller) slot(fd int) *atomic.Pointer[Socket] {
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

// forget ends the reports of a descriptor that somebody else keeps open.
func (p *Poller) forget(fd int) {
	var unused unix.EpollEvent
	_, _, _ = syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), unix.EPOLL_CTL_DEL, uintptr(fd), uintptr(unsafe.Pointer(&unused)), 0, 0)
}

var errTooManyDescriptors = errors.New("too many open descriptors")

// Interest is what a Socket is to be told of, edges only.
type Interest uint32

// Writability is to be asked for only where somebody waits for it: nearly every
// socket is writable at once, and the report of what nobody asked for would cost a
// wake-up per request.
const (
	ToRead  Interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff
	ToWrite Interest = unix.EPOLLOUT
)

// register makes the poller report s.
func (p *Poller) register(s *Socket, wanted Interest) error {
	wanted |= ToRead
	operation, added := unix.EPOLL_CTL_ADD, !s.Registered()
	if !added {
		operation = unix.EPOLL_CTL_MOD
	}
	slot := p.slot(s.fd)
	if slot == nil {
		return errTooManyDescriptors
	}
	slot.Store(s)
	event := unix.EpollEvent{Events: uint32(wanted), Fd: int32(s.fd)}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), uintptr(operation), uintptr(s.fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	if errno != 0 {
		if added {
			slot.Store(nil)
		}
		return os.NewSyscallError("epoll_ctl", errno)
	}
	s.registered.Store(uint32(wanted))
	return nil
}

// unregister is called before the descriptor is closed: its number may belong
// to another Socket right after.
func (p *Poller) unregister(s *Socket) {
	if slot := p.slot(s.fd); slot != nil {
		slot.CompareAndSwap(s, nil)
	}
}
