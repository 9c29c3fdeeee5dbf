package pipe

import (
	"fmt"
	"os"
	"syscall"
)

// Adopt makes a Conn of our end as an earlier binary of the emperor has left it, with
// the reports that it had read and nobody had taken. It owns the descriptor, also after
// an error. Nothing is read before Resume.
func Adopt(fd int, unread []Report) (*Conn, error) {
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("control socket, descriptor %d: %w", fd, err)
	}
	return newConn(fd, unread), nil
}

func newConn(fd int, unread []Report) *Conn {
	c := &Conn{
		file: os.NewFile(uintptr(fd), "control socket"),
		// Room for a start's reports, so that they are there even if the owner first
		// sees that the process has ended.
		events:  make(chan Report, max(16, len(unread))),
		closing: make(chan struct{}),
	}
	for _, r := range unread {
		c.events <- r
	}
	return c
}

// Pause stops reading, and returns our descriptor, which stays the Conn's, and what
// was read and not taken from Events. Orders may still be sent.
func (c *Conn) Pause() (fd int, unread []Report) {
	c.reading.Stop(c.file)
	fd = -1
	if raw, err := c.file.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	for range len(c.events) { // whoever takes them meanwhile has them
		select {
		case r, open := <-c.events:
			if open {
				unread = append(unread, r)
				c.events <- r
			}
		default:
		}
	}
	return fd, unread
}

// Resume goes on reading after Pause, or begins to after Adopt.
func (c *Conn) Resume() {
	if c.begun.CompareAndSwap(false, true) {
		c.reader.Go(c.read)
		return
	}
	c.reading.Go(c.file)
}
