package relay

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/router/socket"
	"emperor/router/upstream"
)

// connection is what is below a Side that wraps another connection.
func connection(s any) any {
	for {
		wrapper, ok := s.(interface{ NetConn() net.Conn })
		if !ok {
			return s
		}
		s = wrapper.NetConn()
	}
}

// abort makes what waits on a Side return, and what begins to.
func abort(s Side) {
	switch c := connection(s).(type) {
	case *socket.Conn:
		c.StopReading()
		c.StopWriting()
	case interface{ Abort() }:
		c.Abort()
	}
}

// revive lets the goodbye of TLS be sent after an abort. What was interrupted in
// the middle of a record stays so: crypto/tls remembers that.
func revive(s Side) {
	if c, ok := connection(s).(*socket.Conn); ok {
		c.ResumeReading()
		c.ResumeWriting()
	}
}

// isTLS tells whether a connection's end is said with a goodbye (close_notify).
func isTLS(s Side) bool {
	_, is := s.(*tls.Conn)
	return is
}

// waiter can be waited for without a place to read to.
type waiter interface{ AwaitReadable() error }

// waits returns s if it can be waited for, once a read has not filled its room.
func waits(s Side) waiter {
	switch c := s.(type) {
	case *socket.Conn:
		return c
	case *upstream.Conn:
		if c.Socket() != nil {
			return c
		}
	}
	return nil
}

// isClosed tells whether nothing is left of a TCP connection of which we have not
// ended our direction: it was reset.
func isClosed(c *socket.Conn) (closed bool) {
	const stateClosed = 7 // TCP_CLOSE
	c.Control(func(fd int) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State == stateClosed
	})
	return closed
}

// isReset tells whether the peer has thrown the connection away.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
