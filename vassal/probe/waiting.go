package probe

import (
	"bytes"
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/listening"
)

// Waiting asks at a socket that one program after the other takes connections from, and
// keeps a question that nobody has taken.
//
// A program that ends before it accepts leaves the question in the queue of its socket.
// To hang up would make it a visitor who has gone: the next program takes the question,
// answers nobody, and may well die of it (SIGPIPE), with its own question in the queue by
// then, and so on without end. So the connection stays, and the next program is asked by
// it: there is one question in a queue at most, and somebody to hear its answer.
//
// The zero Waiting is ready. It is for one question at a time.
type Waiting struct {
	conn     net.Conn // nil: none waits
	question []byte   // what was sent on it
}

// Waits tells whether there is a question that nobody has taken.
func (w *Waiting) Waits() bool { return w.conn != nil }

// Close hangs up on whoever takes the question later. There may be none.
func (w *Waiting) Close() error {
	if w.conn == nil {
		return nil
	}
	c := w.conn
	w.conn = nil
	return c.Close()
}

// connect returns a connection on which the question has been put: that of the question
// that waits, if it is the same, else a new one.
func (w *Waiting) connect(ctx context.Context, network, to string, question []byte) (net.Conn, error) {
	if c := w.conn; c != nil && bytes.Equal(w.question, question) && silent(c) && c.SetDeadline(time.Time{}) == nil {
		w.conn = nil
		return c, nil
	}
	_ = w.Close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// Given up half-way, it would be in the queue already, and nobody behind it.
	c, err := net.DialTimeout(network, to, connectTime)
	if err != nil {
		return nil, err
	}
	if len(question) > 0 {
		if _, err := c.Write(question); err != nil { // a new connection has room for it
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}

// connectTime is how long the kernel may take to queue a connection: no time at all,
// unless the queue of a TCP port is full.
const connectTime = time.Second

// keep keeps the connection if the question on it waits in the queue, else it hangs up.
func (w *Waiting) keep(c net.Conn, question []byte) {
	if taken, err := listening.Taken(c); taken || err != nil || !silent(c) {
		_ = c.Close()
		return
	}
	w.conn, w.question = c, question
}

// silent tells whether nobody has said anything on the connection, nor ended it. (Whether
// it was taken meanwhile is no matter: the program that left it in the queue is dead, and
// what it may have taken at its end has an end, too.)
func silent(c net.Conn) (is bool) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}, 0)
		is = n == 0 && err == nil
	})
	return is && err == nil
}
