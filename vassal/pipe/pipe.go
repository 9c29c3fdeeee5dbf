// Package pipe is the conversation between an emperor and a uWSGI vassal on the
// descriptor that the vassal's UWSGI_EMPEROR_FD names.
//
// The one idea: one stream socketpair lives as long as one vassal, and each
// message is one byte, without answer. The meaning of a byte depends on its
// direction (1 is "reload" one way and "spawned" the other), hence Order and
// Report. The vassal takes the end of the stream for the emperor's death and
// stops; so does the emperor the other way round.
//
// A Conn owns our end and one goroutine that reads it; the caller owns the
// child's end until it is handed over. What the bytes lead to is not decided here.
//
// The values are those of uWSGI 2.0.21 (core/emperor.c, uwsgi_emperor_* and
// uwsgi_master_manage_emperor), each observed.
package pipe

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"emperor/internal/pause"
)

// FDVariable is the environment variable that tells a uWSGI which descriptor
// leads to its emperor.
const FDVariable = "UWSGI_EMPEROR_FD"

// Order is a byte from the emperor to the vassal.
type Order byte

// The orders a uWSGI master knows.
const (
	// Stop is the brutal one: workers get SIGINT, requests under way are cut, the
	// master exits with status 0.
	Stop Order = 0
	// Reload is graceful and in place: same process, same sockets, new
	// configuration. Between the last old and the first new worker connections
	// wait in the backlog.
	Reload Order = 1
	// StopGraceful lets workers finish the request they have, then the master
	// exits with status 0.
	StopGraceful Order = 2
)

// String is for log lines.
func (o Order) String() string {
	switch o {
	case Stop:
		return "stop"
	case Reload:
		return "reload"
	case StopGraceful:
		return "stop gracefully"
	}
	return fmt.Sprintf("order %d", byte(o))
}

// Report is a byte from the vassal to the emperor.
type Report byte

// The reports a uWSGI vassal makes. Others are to be ignored.
const (
	// Spawned: the master is initialised and about to fork its workers. Not sent
	// after a reload, nor by a vassal that adopted its sockets (UWSGI_RELOADS).
	Spawned Report = 1
	// WantsConfig: a reloading vassal whose configuration came through a pipe asks
	// for it again.
	WantsConfig Report = 2
	// Accepting: worker 1 enters its accept loop, after every start, reload and
	// respawn of worker 1. It is sent after an import error as well, unless need-app.
	Accepting Report = 5
	// Loyal: a worker has completed its first request.
	Loyal Report = 17
	// Idle: nothing to do for the configured time (die-on-idle): wants to sleep.
	Idle Report = 22
	// Heartbeat: a worker waits in accept (option heartbeat, in seconds).
	Heartbeat Report = 26
	// WantsZerg: asks for reinforcement (vassal-sos).
	WantsZerg Report = 30
)

// String is for log lines.
func (r Report) String() string {
	switch r {
	case Spawned:
		return "spawned"
	case WantsConfig:
		return "wants its configuration"
	case Accepting:
		return "accepting"
	case Loyal:
		return "loyal"
	case Idle:
		return "idle"
	case Heartbeat:
		return "heartbeat"
	case WantsZerg:
		return "wants a zerg"
	}
	return fmt.Sprintf("report %d", byte(r))
}

var (
	// ErrClosed: the vassal has closed its end, or we ours.
	ErrClosed = errors.New("the vassal's control socket is closed")
	// ErrFull: the vassal has not read its orders for so long that no more fit.
	ErrFull = errors.New("the vassal does not read its control socket")
)

// Conn is the emperor's end. Its methods may be called from any goroutine.
type Conn struct {
	file    *os.File
	events  chan Report
	closing chan struct{}
	once    sync.Once
	begun   atomic.Bool
	reader  sync.WaitGroup
	reading pause.Reader
}

// Pair makes the socketpair. childFD is a raw, blocking, close-on-exec
// descriptor: hand it to the child under any number ≥ 3 that FDVariable then
// names, and close it here, or the end of the vassal goes unnoticed.
func Pair() (c *Conn, childFD int, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("making a control socket: %w", err)
	}
	// Each end has its own O_NONBLOCK; ours lets the runtime wait in its poller.
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
		return nil, -1, fmt.Errorf("making a control socket: %w", err)
	}
	c = newConn(fds[0], nil)
	c.Resume()
	return c, fds[1], nil
}

// read passes reports on until the vassal or we close. An owner who does not
// listen makes the vassal's reports wait in the kernel; nothing is lost but
// heartbeats' timeliness.
func (c *Conn) read() {
	defer close(c.events)
	defer c.reading.End()
	var buffer [64]byte
	for {
		n, err := c.file.Read(buffer[:])
		for _, b := range buffer[:max(n, 0)] {
			select {
			case c.events <- Report(b):
			case <-c.closing:
				return
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && c.reading.Parked() {
			continue
		}
		if err != nil {
			return // io.EOF, ECONNRESET, os.ErrClosed: all mean the end
		}
	}
}

// Send sends one order. It never blocks: ErrFull when the vassal has stopped
// reading, ErrClosed when it has closed its end.
func (c *Conn) Send(o Order) error {
	connection, err := c.file.SyscallConn()
	if err != nil {
		return ErrClosed
	}
	var sendErr error
	if err := connection.Control(func(fd uintptr) {
		for {
			_, sendErr = syscall.SendmsgN(int(fd), []byte{byte(o)}, nil, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
			if sendErr != syscall.EINTR {
				return
			}
		}
	}); err != nil {
		return ErrClosed
	}
	switch sendErr {
	case syscall.EAGAIN:
		return ErrFull
	case syscall.EPIPE, syscall.ECONNRESET:
		return ErrClosed
	}
	return sendErr
}

// Events are the vassal's reports, in order. The channel is closed when the
// vassal closed its end (nearly always: it has ended) or after Close.
func (c *Conn) Events() <-chan Report { return c.events }

// Close closes our end, which tells a uWSGI that its emperor is gone, and waits
// for the reader. Reports not taken from Events may be lost.
func (c *Conn) Close() error {
	err := error(nil)
	c.once.Do(func() {
		close(c.closing)
		err = c.file.Close()
	})
	c.reader.Wait()
	return err
}
