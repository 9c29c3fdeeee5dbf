package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"
)

// The backend answers every request with the same few bytes and costs as little
// as possible, so that the front is what is measured. It is this program started
// again as
//
//	bench __backend uwsgi=PATH http=PATH
//
// with one event loop and one thread per socket: net/http would spend more
// processor time on a request than the fronts do.
const backendCommand = "__backend"

const backendBody = "Hello from behind the front\n"

// backendResponse is the whole answer. It says its length, as applications
// behind uWSGI do: without it, no front could keep the client's connection open.
var backendResponse = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(backendBody), backendBody)

// protocol is what one backend socket speaks.
type protocol struct {
	// request returns the length of the first whole request in buf, or 0 if
	// more bytes are needed.
	request func(buf []byte) int
	// closes: one request per connection, its end is the end of the answer.
	closes bool
}

var protocols = map[string]protocol{
	"uwsgi": {request: uwsgiRequest, closes: true},
	"http":  {request: httpRequest},
}

// uwsgiRequest: four bytes of head, of which the middle two are the length of
// the variables that follow (uwsgi protocol, "uwsgi packet").
func uwsgiRequest(buf []byte) int {
	if len(buf) < 4 {
		return 0
	}
	whole := 4 + int(binary.LittleEndian.Uint16(buf[1:3]))
	if len(buf) < whole {
		return 0
	}
	return whole
}

// httpRequest: a head without a body, which is all that wrk asks for.
func httpRequest(buf []byte) int {
	end := bytes.Index(buf, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	return end + 4
}

// runBackend serves until the process is killed.
func runBackend(args []string) error {
	debug.SetGCPercent(-1) // nothing below allocates per request
	failed := make(chan error)
	for _, arg := range args {
		name, path, _ := bytes.Cut([]byte(arg), []byte("="))
		speaks, known := protocols[string(name)]
		if !known {
			return fmt.Errorf("backend: %q: want uwsgi=PATH or http=PATH", arg)
		}
		listener, err := listenUnix(string(path))
		if err != nil {
			return fmt.Errorf("backend: %s: %w", path, err)
		}
		go func() { failed <- newEventLoop(listener, speaks).run() }()
	}
	return <-failed
}

// listenUnix opens a non-blocking listening socket that everyone may connect to.
func listenUnix(path string) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		syscall.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	if err := syscall.Listen(fd, 4096); err != nil {
		syscall.Close(fd)
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// eventLoop serves one listening socket on one thread.
type eventLoop struct {
	listener int
	speaks   protocol
	epoll    int
	buffer   [128 << 10]byte
	partial  map[int][]byte // what has come of a request not yet whole, by descriptor
}

func newEventLoop(listener int, speaks protocol) *eventLoop {
	return &eventLoop{listener: listener, speaks: speaks, partial: make(map[int][]byte)}
}

func (l *eventLoop) run() (err error) {
	runtime.LockOSThread()
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := l.watch(l.listener); err != nil {
		return err
	}
	var events [256]syscall.EpollEvent
	for {
		n, err := l.wait(events[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, event := range events[:n] {
			if fd := int(event.Fd); fd == l.listener {
				l.accept()
			} else {
				l.serve(fd, true)
			}
		}
	}
}

// wait returns pending events. Only when there are none does it enter the kernel
// the usual way, which tells Go's scheduler that this thread may sleep: that
// costs more than the call itself.
func (l *eventLoop) wait(events []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno == 0 && n > 0 {
		return int(n), nil
	}
	return syscall.EpollWait(l.epoll, events, -1)
}

func (l *eventLoop) watch(fd int) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event))
}

// accept takes the waiting connections. The request is often there already, so
// it is tried before the connection is watched.
func (l *eventLoop) accept() {
	for range 64 { // then the connections already open get their turn
		fd, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(l.listener), 0, 0, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		if errno != 0 {
			return
		}
		l.serve(int(fd), false)
	}
}

// serve reads once and answers each whole request. watched tells whether fd is
// in the epoll set already.
func (l *eventLoop) serve(fd int, watched bool) {
	have := copy(l.buffer[:], l.partial[fd])
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&l.buffer[have])), uintptr(len(l.buffer)-have))
	if errno == syscall.EAGAIN || errno == syscall.EINTR {
		if !watched && l.watch(fd) != nil {
			l.close(fd)
		}
		return
	}
	if errno != 0 || n == 0 {
		l.close(fd)
		return
	}
	buf := l.buffer[:have+int(n)]
	for {
		whole := l.speaks.request(buf)
		if whole == 0 {
			break
		}
		buf = buf[whole:]
		if !answer(fd) || l.speaks.closes {
			l.close(fd)
			return
		}
	}
	if len(buf) == len(l.buffer) { // not a request that any front would send
		l.close(fd)
		return
	}
	if len(buf) > 0 {
		l.partial[fd] = bytes.Clone(buf)
	} else if have > 0 {
		delete(l.partial, fd)
	}
	if !watched && l.watch(fd) != nil {
		l.close(fd)
	}
}

// answer writes the response. It fits any socket buffer, so a short write means
// that the front has stopped reading, and the connection is given up.
func answer(fd int) bool {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&backendResponse[0])), uintptr(len(backendResponse)))
	return errno == 0 && int(n) == len(backendResponse)
}

func (l *eventLoop) close(fd int) {
	if len(l.partial) > 0 {
		delete(l.partial, fd)
	}
	syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
}
