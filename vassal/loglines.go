package vassal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxLine is how many bytes of an output line are kept together; what is longer
	// becomes several lines.
	MaxLine = 8192
	// keptLines is how many lines a vassal's status shows, and how many are kept of
	// each generation.
	keptLines = 20
	// queuedLines bounds what waits for a slow log; what comes on top is counted
	// and dropped, so that a slow log never blocks the vassal.
	queuedLines = 4096
	// followerLines is how far a reader of Follow may fall behind.
	followerLines = 256
	// pipeSize is what Linux keeps in a pipe at most, unless somebody asks for more.
	pipeSize = 64 << 10
)

// output is everything a vassal writes: the last lines, those who follow them,
// and the emperor's log. Safe for concurrent use.
type output struct {
	name  string
	log   *slog.Logger
	clock Clock

	mu   sync.Mutex // guards what follows
	last []Line     // at most keptLines, oldest first
	// own is the same of each generation that has not ended: one that talks much
	// must not push out the last words of another.
	own       map[uint64][]Line
	followers map[chan Line]bool
	closed    bool
	queue     []Line
	lost      int  // dropped since the log was last told
	writing   bool // a goroutine is emptying the queue
	writers   sync.WaitGroup
}

func newOutput(name string, log *slog.Logger, clock Clock) *output {
	return &output{name: name, log: log, clock: clock, followers: map[chan Line]bool{}, own: map[uint64][]Line{}}
}

// add takes one line. It never waits for the log or for a follower.
func (o *output) add(generation uint64, text string) {
	line := Line{Time: o.clock.Now(), Generation: generation, Text: text}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = keep(o.last, line)
	o.own[generation] = keep(o.own[generation], line)
	for follower := range o.followers {
		select {
		case follower <- line:
		default:
		}
	}
	if len(o.queue) >= queuedLines {
		o.lost++
		return
	}
	o.queue = append(o.queue, line)
	if !o.writing {
		o.writing = true
		o.writers.Go(o.write)
	}
}

// keep adds a line to the last ones.
func keep(lines []Line, line Line) []Line {
	if len(lines) == keptLines {
		copy(lines, lines[1:])
		lines = lines[:keptLines-1]
	}
	return append(lines, line)
}

// forget drops the lines of a generation that has ended, as far as they are not
// among the last ones of all.
func (o *output) forget(generation uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.own, generation)
}

// write hands the queue to the log until it is empty.
func (o *output) write() {
	for {
		o.mu.Lock()
		lines, lost := o.queue, o.lost
		o.queue, o.lost = nil, 0
		if len(lines) == 0 && lost == 0 {
			o.writing = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		for _, l := range lines {
			o.log.LogAttrs(context.Background(), slog.LevelInfo, l.Text,
				slog.String("vassal", o.name), slog.Uint64("gen", l.Generation), slog.String("from", "output"))
		}
		if lost > 0 {
			o.log.Warn(fmt.Sprintf("%d lines of output were dropped: they came faster than the log takes them", lost), "vassal", o.name)
		}
	}
}

// lines are the last lines; of one generation, or of all for 0.
func (o *output) lines(generation uint64) []Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	if own, ok := o.own[generation]; ok {
		return slices.Clone(own)
	}
	// It has ended: of its lines there is what others have left room for.
	return slices.DeleteFunc(slices.Clone(o.last), func(l Line) bool { return generation != 0 && l.Generation != generation })
}

func (o *output) follow() (last []Line, coming <-chan Line, stop func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch := make(chan Line, followerLines)
	last = append(last, o.last...)
	if o.closed {
		close(ch)
		return last, ch, func() {}
	}
	o.followers[ch] = true
	return last, ch, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.followers[ch] {
			delete(o.followers, ch)
			close(ch)
		}
	}
}

// close ends all followers and waits until the log has everything.
func (o *output) close() {
	o.mu.Lock()
	o.closed = true
	for ch := range o.followers {
		delete(o.followers, ch)
		close(ch)
	}
	o.mu.Unlock()
	o.writers.Wait()
}

// capture is the pipe that is stdout and stderr of one generation.
type capture struct {
	out        *output
	generation uint64
	read       *os.File
	write      int // the children's end; closed by finish
	ended      chan struct{}
	marker     []byte // see settle
	settled    chan struct{}
}

// newCapture makes the pipe and starts to read it.
func newCapture(out *output, generation uint64) (*capture, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("output pipe: %w", err)
	}
	// Only our end: the children's must block, they do not expect anything else.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, fmt.Errorf("output pipe: %w", err)
	}
	c := &capture{
		out: out, generation: generation, read: os.NewFile(uintptr(fds[0]), "output"), write: fds[1],
		ended: make(chan struct{}), marker: []byte("\x00" + rand.Text()), settled: make(chan struct{}, 1),
	}
	go c.pump() // ends when finish closes the pipe, at the latest
	return c, nil
}

func (c *capture) pump() {
	defer close(c.ended)
	buffer := make([]byte, MaxLine)
	filled, late := 0, 0
	for {
		n, err := c.read.Read(buffer[filled:])
		if errors.Is(err, os.ErrDeadlineExceeded) && late < pipeSize {
			// A busy machine may have kept us from reading all this time.
			n, err = c.readNow(buffer[filled:])
			late += n
		}
		filled += n
		rest := buffer[:filled]
		for {
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				break
			}
			c.line(rest[:end])
			rest = rest[end+1:]
		}
		if len(rest) == len(buffer) || err != nil && len(rest) > 0 {
			c.line(rest)
			rest = nil
		}
		filled = copy(buffer, rest)
		if err != nil {
			return
		}
	}
}

// readNow reads what is in the pipe, whatever the deadline; io.EOF if that is nothing.
func (c *capture) readNow(b []byte) (n int, err error) {
	raw, err := c.read.SyscallConn()
	if err != nil {
		return 0, err
	}
	if controlErr := raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), b) }); controlErr != nil {
		return 0, controlErr
	}
	if n <= 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *capture) line(text []byte) {
	if before, isMarker := bytes.CutSuffix(text, c.marker); isMarker {
		defer func() {
			select {
			case c.settled <- struct{}{}:
			default:
			}
		}()
		if len(before) == 0 {
			return
		}
		text = before
	}
	text = bytes.TrimSuffix(text, []byte("\r"))
	c.out.add(c.generation, strings.ToValidUTF8(string(text), "\uFFFD"))
}

// settle returns when everything was read that was written before the call, so
// that the last words of a process that has ended are known. It writes a marker
// of our own behind them. One caller at a time.
func (c *capture) settle() {
	select {
	case <-c.settled: // of a call that did not wait for it
	default:
	}
	if _, err := unix.Write(c.write, append(bytes.Clone(c.marker), '\n')); err != nil {
		return
	}
	timeout := time.NewTimer(time.Second) // a line cut at MaxLine may hide the marker
	defer timeout.Stop()
	select {
	case <-c.settled:
	case <-c.ended:
	case <-timeout.C:
	}
}

// finish takes what is still in the pipe and closes it. The processes have
// ended; somebody who escaped from their tree may still hold the other end, so
// it does not wait for the end of file for long.
func (c *capture) finish() {
	unix.Close(c.write)
	c.read.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	<-c.ended
	c.read.Close()
}
