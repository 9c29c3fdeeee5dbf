package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"
)

// The backend answers at the least possible cost, so that the front is what is
// measured. It is this program started again as
//
//	bench __backend uwsgi=PATH http=PATH stream=ADDRESS
//
// with one event loop and one thread per socket: net/http would spend more
// processor time on a request than the fronts do. What it answers depends on the
// path of the request, see answers.
const backendCommand = "__backend"

// runBackend serves until the process is killed.
func runBackend(args []string) error {
	debug.SetGCPercent(-1) // nothing below allocates per request
	failed := make(chan error)
	for _, arg := range args {
		name, path, _ := bytes.Cut([]byte(arg), []byte("="))
		speaks, known := protocols[string(name)]
		if !known {
			return fmt.Errorf("backend: %q: want uwsgi=PATH, http=PATH or stream=ADDRESS", arg)
		}
		listen := listenUnix
		if !speaks.unix {
			listen = listenTCP
		}
		listener, err := listen(string(path))
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

// listenTCP is the same on an address.
func listenTCP(address string) (fd int, err error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, err
	}
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// Accepted connections have the option too.
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		syscall.Close(fd)
		return -1, os.NewSyscallError("bind", err)
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
	poll     poller
	buffer   [256 << 10]byte
	conns    []backendConn // by descriptor
}

// backendConn is what is under way on one connection.
type backendConn struct {
	watched   poll   // what the kernel reports of it
	partial   []byte // what has come of a request, or of a websocket frame, not yet whole
	upload    int64  // bytes of a request's body still to come
	answer    []byte // to be sent when the upload is complete
	unsent    []byte // of an answer under way
	websocket bool
	closing   bool // after the answer
}

func newEventLoop(listener int, speaks protocol) *eventLoop {
	return &eventLoop{listener: listener, speaks: speaks}
}

func (l *eventLoop) run() (err error) {
	runtime.LockOSThread()
	if l.poll, err = newPoller(); err != nil {
		return err
	}
	if err := l.poll.watch(l.listener, 0, forReading); err != nil {
		return err
	}
	var events [256]syscall.EpollEvent
	for {
		n, err := l.poll.wait(events[:], time.Hour)
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			fd := int(event.Fd)
			switch {
			case fd == l.listener:
				l.accept()
			case len(l.conns[fd].unsent) > 0:
				l.resume(fd)
			default:
				l.serve(fd)
			}
		}
	}
}

// accept takes the waiting connections. The request is often there already, so
// it is tried before the connection is watched.
func (l *eventLoop) accept() {
	for range 64 { // then the connections already open get their turn
		fd, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(l.listener), 0, 0, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		if errno != 0 {
			return
		}
		for len(l.conns) <= int(fd) {
			l.conns = append(l.conns, backendConn{})
		}
		l.serve(int(fd))
	}
}

// serve reads once and answers what is complete.
func (l *eventLoop) serve(fd int) {
	c := &l.conns[fd]
	have := copy(l.buffer[:], c.partial)
	n, errno := rawRead(fd, l.buffer[have:])
	if errno == syscall.EAGAIN || errno == syscall.EINTR {
		l.want(fd, forReading)
		return
	}
	if errno != 0 || n == 0 {
		l.close(fd)
		return
	}
	if c.partial = c.partial[:0]; !l.take(fd, l.buffer[:have+n]) {
		l.close(fd)
		return
	}
	if len(c.unsent) == 0 {
		l.want(fd, forReading)
	}
}

// take works on what has been read, and tells whether the connection stays open.
func (l *eventLoop) take(fd int, buf []byte) bool {
	c := &l.conns[fd]
	for len(buf) > 0 && len(c.unsent) == 0 {
		if c.upload > 0 {
			part := min(c.upload, int64(len(buf)))
			c.upload -= part
			buf = buf[part:]
			if c.upload == 0 && !l.send(fd, c.answer) {
				return false
			}
			continue
		}
		if c.websocket {
			whole, reply := echoFrame(buf)
			if whole == 0 {
				break
			}
			buf = buf[whole:]
			if !l.send(fd, reply) {
				return false
			}
			continue
		}
		whole, r := l.speaks.request(buf)
		if whole == 0 {
			break
		}
		buf = buf[whole:]
		if r.hello {
			continue
		}
		c.closing = l.speaks.closes && !r.websocket() || r.once()
		c.websocket = r.websocket()
		if c.upload = r.length; c.upload > 0 {
			c.answer = r.answer()
			continue
		}
		if !l.send(fd, r.answer()) {
			return false
		}
	}
	if len(buf) == len(l.buffer) { // not a request that any front would send
		return false
	}
	c.partial = append(c.partial, buf...)
	return true
}

// send writes an answer, or begins to; false means that the connection is over.
func (l *eventLoop) send(fd int, answer []byte) bool {
	n, errno := rawWrite(fd, answer)
	if errno != 0 && errno != syscall.EAGAIN {
		return false
	}
	c := &l.conns[fd]
	if n < len(answer) {
		if c.unsent = answer[n:]; c.websocket {
			c.unsent = bytes.Clone(c.unsent) // it is in the buffer
		}
		l.want(fd, forWriting)
		return true
	}
	return !c.closing
}

// resume goes on with an answer for which there was no room.
func (l *eventLoop) resume(fd int) {
	c := &l.conns[fd]
	unsent := c.unsent
	c.unsent = nil
	if !l.send(fd, unsent) {
		l.close(fd)
		return
	}
	if len(c.unsent) > 0 {
		return
	}
	rest := bytes.Clone(c.partial) // requests that came meanwhile
	if c.partial = c.partial[:0]; !l.take(fd, rest) {
		l.close(fd)
		return
	}
	if len(c.unsent) == 0 {
		l.want(fd, forReading)
	}
}

func (l *eventLoop) want(fd int, what poll) {
	c := &l.conns[fd]
	if c.watched == what {
		return
	}
	if l.poll.watch(fd, c.watched, what) != nil {
		l.close(fd)
		return
	}
	c.watched = what
}

func (l *eventLoop) close(fd int) {
	l.conns[fd] = backendConn{partial: l.conns[fd].partial[:0]}
	rawClose(fd)
}

// The system calls of both event loops go past Go's scheduler: entering the
// kernel the usual way tells it that this thread may sleep, which costs more
// than the calls themselves. None of the descriptors blocks.

func rawRead(fd int, buf []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func rawWrite(fd int, buf []byte) (int, syscall.Errno) {
	const noSignal = 0x4000 // MSG_NOSIGNAL
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), noSignal, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func rawClose(fd int) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }
