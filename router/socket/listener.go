package socket

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Listener accepts connections from a listening socket that somebody else may be
// accepting from as well.
type Listener struct {
	socket  Socket
	guard   guard
	address net.Addr
	leaving atomic.Bool // Drain was called
	left    int         // connections that are taken while leaving; the acceptor's own
	from    unix.RawSockaddrAny
	pending bool // the queue may hold more; the acceptor's own
	inARow  int  // the acceptor's own
}

// longestQueue is the most that a socket's queue can hold (somaxconn is an
// unsigned 16 bit number to listen(2)). Taking what is queued is bounded by it,
// because a successor may be filling the same queue.
const longestQueue = 1 << 16

// keepAlive is how long a silent TCP connection waits for the kernel to ask whether
// the peer's machine is still there, and between the questions (seconds).
const (
	keepAlive      = 15
	keepAliveTries = 9
)

// Listen takes over a listening descriptor. On error it is closed.
func (p *Poller) Listen(fd int) (*Listener, error) {
	l := &Listener{pending: true, left: longestQueue}
	l.socket.Prepare(p)
	l.socket.Open(fd)
	err := unix.SetNonblock(fd, true)
	var address unix.Sockaddr
	if err == nil {
		address, err = unix.Getsockname(fd)
	}
	if err == nil {
		l.address = describe(address)
		if _, isTCP := l.address.(*net.TCPAddr); isTCP {
			inheritable(fd)
		}
		err = l.socket.Watch(ToRead)
	}
	if err != nil {
		l.socket.HangUpShared()
		return nil, err
	}
	return l, nil
}

// inheritable sets on the listening socket what every accepted one is to have: Linux
// copies these. Errors don't matter, a connection works without.
func inheritable(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAlive)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAlive)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveTries)
}

// ForSpokenTo is for protocols in which the client speaks first, and is answered. It has
// the kernel keep a connection back until the client has said something, for up to a
// second: to be woken for one on which nothing can be done yet is a good part of what a
// short connection costs. And what the client says is confirmed by the answer, not by a
// packet of its own before that (HAProxy's tcp-smart-accept): Confirm sends one where
// there is no answer yet.
func (l *Listener) ForSpokenTo(yes bool) {
	if _, isTCP := l.address.(*net.TCPAddr); !isTCP || !l.guard.enter() {
		return
	}
	seconds, atOnce := 0, 1
	if yes {
		seconds, atOnce = 1, 0
	}
	// Errors do not matter: connections and packets come a little earlier then.
	_ = unix.SetsockoptInt(l.socket.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
	_ = unix.SetsockoptInt(l.socket.fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, atOnce) // accepted ones inherit it
	l.leave()
}

func describe(address unix.Sockaddr) net.Addr {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
	case *unix.SockaddrInet6:
		zone := ""
		if a.ZoneId != 0 {
			zone = strconv.FormatUint(uint64(a.ZoneId), 10)
		}
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port, Zone: zone}
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: a.Name, Net: "unix"}
	}
	return &net.UnixAddr{Net: "unix"}
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.address }

// Accept waits for a connection. Its error is net.ErrClosed after Close, io.EOF after
// Drain when the queue is empty, or what the kernel says (out of descriptors, or a
// client that went before it was accepted): then it may be called again. One
// goroutine calls it.
func (l *Listener) Accept() (*Conn, error) {
	for {
		if !l.pending {
			if !l.leaving.Load() && !l.guard.isClosed() {
				<-l.socket.Readable()
			}
			l.pending = true
		}
		leaving := l.leaving.Load()
		if leaving {
			if l.left--; l.left < 0 {
				return nil, io.EOF
			}
		}
		fd, errno := l.accept()
		switch errno {
		case 0:
			l.inARow++
			return l.socket.poller.NewConn(fd, l.remote(), l.address), nil
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EAGAIN:
			if leaving {
				return nil, io.EOF
			}
			l.pending, l.inARow = false, 0
		case unix.EBADF:
			return nil, net.ErrClosed
		default:
			return nil, os.NewSyscallError("accept", errno)
		}
	}
}

// InARow is how many connections have been accepted since the queue was last empty. It
// is for who calls Accept.
func (l *Listener) InARow() int { return l.inARow }

func (l *Listener) accept() (int, syscall.Errno) {
	if !l.guard.enter() {
		return -1, unix.EBADF
	}
	size := uint32(unsafe.Sizeof(l.from))
	l.from.Addr.Family = unix.AF_UNSPEC
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(l.socket.fd), uintptr(unsafe.Pointer(&l.from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	l.leave()
	return int(fd), errno
}

// remote is the address of the connection accepted last.
func (l *Listener) remote() netip.AddrPort {
	switch l.from.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&l.from))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&l.from))
		address := netip.AddrFrom16(in.Addr)
		if in.Scope_id != 0 {
			address = address.WithZone(strconv.FormatUint(uint64(in.Scope_id), 10))
		}
		return netip.AddrPortFrom(address, hostOrder(&in.Port))
	}
	return netip.AddrPort{}
}

// hostOrder reads a port as the kernel writes it.
func hostOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// Drain makes Accept end when it has taken what the kernel has queued: those clients
// have been told that they are connected.
func (l *Listener) Drain() {
	l.leaving.Store(true)
	l.socket.WakeReader()
}

// Close ends it without taking what is queued. The socket itself goes on for whoever
// else has it.
func (l *Listener) Close() error {
	first, last := l.guard.close()
	if !first {
		return net.ErrClosed
	}
	l.socket.WakeReader()
	if last {
		l.socket.HangUpShared()
	}
	return nil
}

func (l *Listener) leave() {
	if l.guard.leave() {
		l.socket.HangUpShared()
	}
}
