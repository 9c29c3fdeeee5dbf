package sockets

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// sentry watches the sockets of vassals that sleep, all of them with one epoll: ten
// thousand sleepers cost no goroutine and no thread. (The epoll descriptor itself is
// watched by the runtime, which sleeps as long as nobody connects.)
//
// It exists as long as something is watched. A watched socket is reported once. It is level-triggered: what waits in the queue
// already when the watch begins counts.
type sentry struct {
	mu      sync.Mutex // guards what follows
	fd      int
	file    *os.File // of fd; nil while nothing was watched yet
	next    int32
	watched map[int32]func()
	count   int // sockets in the epoll, reported ones too
}

func newSentry() *sentry { return &sentry{watched: map[int32]func(){}} }

// watch calls somebody, once, when a connection waits at the listening socket. It
// must return at once. stop ends the watch: call it before the descriptor is closed
// or handed over (the kernel watches the socket, not the descriptor). A call may
// still be under way when it returns.
func (s *sentry) watch(fd int, somebody func()) (stop func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	s.next++
	number := s.next
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: number}
	if err := unix.EpollCtl(s.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		if err == unix.ENOSPC {
			return nil, fmt.Errorf("%w: raise sysctl fs.epoll.max_user_watches", os.NewSyscallError("epoll_ctl", err))
		}
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	s.watched[number] = somebody
	s.count++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watched, number)
		_ = unix.EpollCtl(s.fd, unix.EPOLL_CTL_DEL, fd, nil)
		if s.count--; s.count == 0 {
			_ = s.file.Close() // its reader ends
			s.file = nil
		}
	}, nil
}

// open makes the epoll and its reader. s.mu is held.
func (s *sentry) open() error {
	if s.file != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime watches it
		unix.Close(fd)
		return fmt.Errorf("epoll: %w", err)
	}
	file := os.NewFile(uintptr(fd), "sentry")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return fmt.Errorf("epoll: %w", err)
	}
	s.fd, s.file = fd, file
	go s.read(raw, fd) // until the file is closed, with the last watch
	return nil
}

// read reports until the epoll is closed.
func (s *sentry) read(raw syscall.RawConn, fd int) {
	events := make([]unix.EpollEvent, 256)
	for {
		n := 0
		err := raw.Read(func(uintptr) bool {
			n, _ = unix.EpollWait(fd, events, 0)
			return n > 0
		})
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		calls := make([]func(), 0, n)
		for _, e := range events[:n] {
			if call := s.watched[e.Fd]; call != nil {
				calls = append(calls, call)
				delete(s.watched, e.Fd)
			}
		}
		s.mu.Unlock()
		for _, call := range calls {
			call()
		}
	}
}
