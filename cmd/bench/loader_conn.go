package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// loadConn is one connection of the loader, with at most one request under way.
type loadConn struct {
	fd      int
	watched poll
	busy    bool
	since   time.Duration // when the request was due
	unsent  int64         // of its body
	head    []byte        // what has come of the answer's head
	rest    int64         // bytes of the answer still to come; -1 until the head is whole
	length  int64         // of the answer's body
	refused bool          // with 503, see loadPlan.Refusable
	failed  bool          // the answer is not the one wanted
}

// websocketMessage is a text frame of 64 bytes, masked as a client must.
var websocketMessage = maskedFrame(bytes.Repeat([]byte("message "), 8), [4]byte{1, 2, 3, 4})

func maskedFrame(content []byte, mask [4]byte) []byte {
	frame := append([]byte{0x81, 0x80 | byte(len(content))}, mask[:]...)
	for i, b := range content {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}

// websocketEcho is the length of the answer to websocketMessage.
const websocketEcho = 2 + 64

// dialRaw connects to a TCP address in the form 127.0.0.1:8080, and leaves the
// socket blocking.
func dialRaw(address string) (fd int, err error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, err
	}
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		syscall.Close(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

// open adds an idle connection.
func (l *loader) open() error {
	fd, err := dialRaw(l.plan.Address)
	if err != nil {
		return err
	}
	if l.plan.Stream {
		rawWrite(fd, clientHello(l.plan.Host))
	}
	if l.plan.Websocket {
		if err := handshake(fd, l.plan); err != nil {
			syscall.Close(fd)
			return err
		}
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return err
	}
	c := &loadConn{fd: fd}
	l.conns[fd] = c
	l.idle = append(l.idle, c)
	return l.want(c, forReading)
}

// handshake makes a websocket of a connection, which is still blocking. No frame
// comes before the first one was sent, so reading ends with the head.
func handshake(fd int, plan loadPlan) error {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", plan.Path, plan.Host, key)
	head, err := ask(fd, request, "\r\n\r\n")
	if err != nil {
		return fmt.Errorf("websocket handshake: %w", err)
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte(websocketAccept([]byte(key)))) {
		return fmt.Errorf("websocket handshake: the answer is %q", head)
	}
	return nil
}

// done is how much of the request under way has been carried out, from 0 to 1.
func (c *loadConn) done(upload int64) float64 {
	switch {
	case !c.busy:
		return 0
	case upload > 0:
		return float64(upload-c.unsent) / float64(upload)
	case c.rest > 0 && c.length > 0:
		return float64(c.length-c.rest) / float64(c.length)
	}
	return 0
}

// ask sends a request on a socket that blocks and reads until the answer ends
// with the given text.
func ask(fd int, request []byte, end string) (answer []byte, err error) {
	for {
		if _, err = syscall.Write(fd, request); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return nil, os.NewSyscallError("write", err)
	}
	for buf := make([]byte, 4096); !bytes.HasSuffix(answer, []byte(end)); {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EINTR { // a read with a time limit is not started again by the kernel
			continue
		}
		if err != nil || n == 0 {
			return nil, fmt.Errorf("end after %q: %w", answer, cmp.Or(err, io.EOF))
		}
		answer = append(answer, buf[:n]...)
	}
	return answer, nil
}

func (l *loader) want(c *loadConn, what poll) error {
	if c.watched == what {
		return nil
	}
	err := l.poll.watch(c.fd, c.watched, what)
	c.watched = what
	return err
}

// send begins the request that was due at the given time, on an idle connection.
func (l *loader) send(due time.Duration) {
	c := l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	c.busy, c.since, c.refused, c.failed, c.head, c.rest = true, due, false, false, c.head[:0], -1
	if l.plan.Websocket {
		c.rest = websocketEcho
	}
	if n, errno := rawWrite(c.fd, l.request); errno != 0 || n < len(l.request) {
		l.broken(c) // the buffers of an idle connection have room for a head
		return
	}
	if c.unsent = l.plan.Upload; c.unsent > 0 {
		l.upload(c)
	}
}

// upload sends as much of the body as there is room for.
func (l *loader) upload(c *loadConn) {
	for c.unsent > 0 {
		n, errno := rawWrite(c.fd, l.body[:min(c.unsent, int64(len(l.body)))])
		if errno == syscall.EAGAIN {
			l.want(c, forReading|forWriting)
			return
		}
		if errno != 0 {
			l.broken(c)
			return
		}
		c.unsent -= int64(n)
	}
	l.want(c, forReading)
}

// happened goes on with a connection of which the kernel reports something.
func (l *loader) happened(c *loadConn, what poll) {
	if c == nil {
		return
	}
	if what&forWriting != 0 && c.unsent > 0 {
		l.upload(c)
		return // if there is something to read, it is reported again
	}
	n, errno := l.read(c)
	if errno == syscall.EAGAIN || errno == syscall.EINTR {
		return
	}
	if errno != 0 || n == 0 || !c.busy {
		l.broken(c)
		return
	}
	if c.rest < 0 {
		n = l.readHead(c, n)
	}
	if c.rest < 0 {
		return
	}
	if c.rest -= int64(n); c.rest > 0 {
		return
	}
	if c.failed || c.rest < 0 || c.unsent > 0 {
		l.broken(c)
		return
	}
	c.busy = false
	if c.refused {
		l.count(c.since, &l.refused)
	} else {
		l.count(c.since, &l.answered)
	}
	l.idle = append(l.idle, c)
	if l.plan.Rate == 0 {
		l.send(l.now())
	}
}

// read takes what has come. Of a large body only the length is of interest:
// TCP throws it away without a copy, so that the client costs little.
func (l *loader) read(c *loadConn) (int, syscall.Errno) {
	const throwAway = 0x20 // MSG_TRUNC, tcp(7)
	if c.rest < int64(len(l.buffer)) {
		return rawRead(c.fd, l.buffer)
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&l.buffer[0])), uintptr(c.rest), throwAway, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// readHead looks at n bytes just read and returns how many of them belong to
// the body. It sets rest when the head is whole.
func (l *loader) readHead(c *loadConn, n int) int {
	c.head = append(c.head, l.buffer[:n]...)
	end := bytes.Index(c.head, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	head := c.head[:end]
	length, err := strconv.ParseInt(string(fieldOf(head, "content-length")), 10, 64)
	c.refused = l.plan.Refusable && bytes.HasPrefix(head, []byte("HTTP/1.1 503 "))
	c.failed = err != nil || !c.refused && !bytes.HasPrefix(head, []byte("HTTP/1.1 200 "))
	c.length, c.rest = length, length // 0 if it is not told: the connection is given up
	return len(c.head) - end - 4
}

// errorsBorne is how many errors are answered with a new connection. A front that
// fails more often is not worth measuring.
const errorsBorne = 10_000

// broken counts an error and replaces the connection.
func (l *loader) broken(c *loadConn) {
	l.errors++
	delete(l.conns, c.fd)
	for i, other := range l.idle {
		if other == c {
			l.idle = append(l.idle[:i], l.idle[i+1:]...)
			break
		}
	}
	rawClose(c.fd)
	if l.errors < errorsBorne && l.open() == nil && l.plan.Rate == 0 {
		l.send(l.now())
	}
}
