package router

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// listener accepts on one inherited socket.
type listener struct {
	described link.Listener
	socket    net.Listener
	datagrams net.PacketConn // instead of socket
	port      string         // SERVER_PORT
	done      chan struct{}
}

// openListener takes over a descriptor from the emperor. The socket itself
// stays the emperor's: closing our descriptor never closes the port.
func openListener(described link.Listener, fd int) (*listener, error) {
	if described.Datagrams {
		return openDatagrams(described, fd)
	}
	file := os.NewFile(uintptr(fd), described.Address)
	defer func() { _ = file.Close() }() // FileListener duplicates
	socket, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", described.Address, err)
	}
	if u, ok := socket.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return &listener{described: described, socket: socket, port: serverPort(socket.Addr()), done: make(chan struct{})}, nil
}

// serverPort is the text after the last colon of the listening address, "" for
// a unix socket (uWSGI's SERVER_PORT).
func serverPort(address net.Addr) string {
	if address.Network() == "unix" {
		return ""
	}
	text := address.String()
	return text[strings.LastIndexByte(text, ':')+1:]
}

// run accepts until the listener is closed.
func (l *listener) run(r *Router) {
	defer close(l.done)
	if l.datagrams != nil {
		l.receive(r)
		return
	}
	said := false
	for {
		conn, err := l.socket.Accept()
		switch {
		case err == nil:
			said = false
			r.serve(conn, l)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.takeQueue(r)
			_ = l.socket.Close()
			return
		default:
			// Out of descriptors or memory, or a client that went before it was
			// accepted: the kernel keeps the queue, we take a breath.
			if !said {
				r.log.Error("cannot accept connections; trying again until it works", slog.String("listener", l.described.Address), slog.Any("err", err))
				said = true
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// drain makes run take what the kernel has queued and end: those clients have
// been told that they are connected.
func (l *listener) drain() {
	if l.datagrams != nil {
		_ = l.datagrams.SetReadDeadline(time.Unix(1, 0))
	} else if d, ok := l.socket.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Unix(1, 0))
	}
	<-l.done
}

// close ends it without taking what is queued.
func (l *listener) close() {
	if l.datagrams != nil {
		_ = l.datagrams.Close()
		return
	}
	_ = l.socket.Close()
}

// takeQueue accepts without waiting. Accept itself no longer works once its
// deadline is over.
func (l *listener) takeQueue(r *Router) {
	raw, err := l.socket.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	// Bounded, because a successor may be filling the same queue.
	for range longestQueue {
		fd := -1
		_ = raw.Control(func(socket uintptr) {
			fd, _, err = unix.Accept4(int(socket), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		})
		switch {
		case fd >= 0:
		case err == unix.EINTR || err == unix.ECONNABORTED:
			continue
		default:
			return // nothing is left, or no descriptor: then the kernel refuses the rest
		}
		file := os.NewFile(uintptr(fd), "connection")
		conn, err := net.FileConn(file)
		_ = file.Close()
		if err == nil {
			r.serve(conn, l)
		}
	}
}

// longestQueue is the most that a socket's queue can hold (somaxconn is an
// unsigned 16 bit number to listen(2)).
const longestQueue = 1 << 16
