package logs

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/logsink"
	"emperor/internal/pause"
)

// pipeSize is what Linux keeps in a pipe at most, unless somebody asks for more.
const pipeSize = 64 << 10

// Capture is the pipe that is stdout and stderr of one generation. It is always read,
// whatever becomes of the lines: a program that writes is never held up for longer
// than a logsink.Source is patient.
type Capture struct {
	out        *Output
	generation uint64
	outlet     *logsink.Outlet
	read       *os.File
	Write      int           // the children's end; closed by finish
	lines      logsink.Lines // the pump's
	ended      chan struct{}
	marker     []byte        // see settle
	settling   atomic.Bool   // the marker is on its way
	settled    chan struct{} // holds one
	reading    pause.Reader
	hurried    chan struct{} // holds one; see rest
	adopted    bool          // and not read yet
}

// NewCapture makes the pipe and starts to read it.
func NewCapture(out *Output, generation uint64, targets ...logsink.Target) (*Capture, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("output pipe: %w", err)
	}
	c, err := resumeCapture(out, generation, targets, fds[0], fds[1], nil)
	if err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	return c, err
}

// resumeCapture goes on reading a pipe, of whose last line rest has been read already
// (see suspend). Without an error it owns the descriptors.
func resumeCapture(out *Output, generation uint64, targets []logsink.Target, read, write int, rest []byte) (*Capture, error) {
	// Only our end: the children's must block, they do not expect anything else.
	if err := unix.SetNonblock(read, true); err != nil {
		return nil, fmt.Errorf("output pipe: %w", err)
	}
	c := makeCapture(out, generation, targets, read, write, rest)
	out.Keeps(c)
	go c.pump() // ends when finish closes the pipe, at the latest
	return c, nil
}

func makeCapture(out *Output, generation uint64, targets []logsink.Target, read, write int, rest []byte) *Capture {
	return &Capture{
		out: out, generation: generation, outlet: out.logs.Outlet(out.name, targets), lines: logsink.Resume(rest),
		read: os.NewFile(uintptr(read), "output"), Write: write,
		ended: make(chan struct{}), marker: []byte("\x00" + rand.Text()), settled: make(chan struct{}, 1), hurried: make(chan struct{}, 1),
	}
}

// buffers are for what is read at once. A vassal that writes nothing has none.
var buffers = sync.Pool{New: func() any { b := make([]byte, logsink.BufferSize); return &b }}

func (c *Capture) pump() {
	defer close(c.ended)
	defer c.reading.End()
	raw, err := c.read.SyscallConn()
	if err != nil {
		return
	}
	late := 0
	var rested time.Duration
	for {
		began := time.Now()
		var buffer *[]byte
		filled, n := 0, 0
		var readErr error
		attempt := func(fd uintptr) {
			buffer = buffers.Get().(*[]byte)
			filled = c.lines.Begin()
			n, readErr = unix.Read(int(fd), (*buffer)[filled:])
		}
		err := raw.Read(func(fd uintptr) bool {
			attempt(fd)
			if readErr == unix.EAGAIN || readErr == unix.EINTR {
				buffers.Put(buffer)
				buffer = nil
				return readErr == unix.EINTR
			}
			return true
		})
		if errors.Is(err, os.ErrDeadlineExceeded) && c.reading.Parked() {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && late < pipeSize {
			// A busy machine may have kept us from reading all this time.
			if err = raw.Control(attempt); err == nil && (readErr != nil || n <= 0) {
				err = io.EOF
			}
			late += max(n, 0)
		} else if err == nil && readErr == unix.EINTR {
			continue
		} else if err == nil && (readErr != nil || n <= 0) {
			err = io.EOF
		}
		waited := time.Since(began)
		if err == nil {
			c.take(c.lines.End((*buffer)[:filled+n]))
		}
		if buffer != nil {
			buffers.Put(buffer)
		}
		if err != nil {
			c.take(c.lines.Last())
			return
		}
		rested = restAfter(n, waited+rested, waited)
		c.rest(rested)
	}
}

// take passes whole lines on.
func (c *Capture) take(lines []byte) {
	if c.settling.Load() {
		if at := bytes.Index(lines, c.marker); at >= 0 {
			defer func() {
				select {
				case c.settled <- struct{}{}:
				default:
				}
			}()
			end := at + len(c.marker)
			if at == 0 || lines[at-1] == '\n' {
				end++ // nothing else is in its line
			}
			lines = slices.Concat(lines[:at], lines[min(end, len(lines)):])
		}
	}
	if len(lines) == 0 {
		return
	}
	c.out.Add(c.generation, lines)
	c.outlet.Write(&logsink.Message{
		Time: c.out.clock.Now(), Vassal: c.out.name, Generation: c.generation,
		Stream: logsink.StreamOutput, Priority: logsink.PriorityInfo,
	}, lines)
}

// Settle returns when everything was read that was written before the call, so
// that the last words of a process that has ended are known. It writes a marker
// of our own behind them. One caller at a time.
func (c *Capture) Settle() {
	select {
	case <-c.settled: // of a call that did not wait for it
	default:
	}
	c.settling.Store(true)
	if _, err := unix.Write(c.Write, append(bytes.Clone(c.marker), '\n')); err != nil {
		return
	}
	c.hurry()
	timeout := time.NewTimer(time.Second) // a line that is cut may hide the marker
	defer timeout.Stop()
	select {
	case <-c.settled:
	case <-c.ended:
	case <-timeout.C:
	}
}

// Finish takes what is still in the pipe and closes it. The processes have
// ended; somebody who escaped from their tree may still hold the other end, so
// it does not wait for the end of file for long.
func (c *Capture) Finish() {
	unix.Close(c.Write)
	c.read.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	c.hurry()
	<-c.ended
	c.read.Close()
	c.out.Dropped(c)
	c.outlet.Close()
}

// KeptLogs are those that belong to the generation, and not to the emperor.
func (c *Capture) KeptLogs() []File {
	var out []File
	for _, sink := range c.outlet.Sinks() {
		out = append(out, sink)
	}
	return out
}
