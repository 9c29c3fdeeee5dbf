package logs

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"emperor/internal/logsink"
)

// Pause stops reading. What was read of a line that has not ended goes along, and so
// does the marker of settle, which may be on its way.
func (c *Capture) Pause() *Carried {
	c.hurry()
	c.reading.Stop(c.read)
	out := &Carried{Read: -1, Write: c.Write, Rest: c.lines.Rest(), Marker: c.marker, Settling: c.settling.Load()}
	if raw, err := c.read.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { out.Read = int(fd) })
	}
	return out
}

// Resume reads on after pause, or begins to after Adopt.
func (c *Capture) Resume() {
	if c.adopted {
		c.adopted = false
		c.out.Keeps(c)
		go c.pump() // ends when finish closes the pipe, at the latest
		return
	}
	c.reading.Go(c.read)
}

// Adopt makes the pipe that was described. Nothing is read before resume.
func Adopt(o *Output, generation uint64, targets []logsink.Target, c *Carried) (*Capture, error) {
	if _, err := unix.FcntlInt(uintptr(c.Write), unix.F_GETFD, 0); err != nil {
		return nil, os.NewSyscallError(fmt.Sprintf("descriptor %d", c.Write), err)
	}
	if err := unix.SetNonblock(c.Read, true); err != nil {
		return nil, os.NewSyscallError("output pipe", err)
	}
	targets = slices.Clone(targets)
	for i := range targets {
		targets[i].Rules.Truncate = false // that was done when the generation started
	}
	out := makeCapture(o, generation, targets, c.Read, c.Write, c.Rest)
	out.marker, out.adopted = c.Marker, true
	out.settling.Store(c.Settling)
	return out, nil
}

// Kept are copies of the lines that are shown.
func (o *Output) Kept() (last []Line, own map[uint64][]Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	own = map[uint64][]Line{}
	for generation, lines := range o.own {
		own[generation] = slices.Clone(lines)
	}
	return slices.Clone(o.last), own
}

// Restore puts back what kept gave.
func (o *Output) Restore(last []Line, own map[uint64][]Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = last
	for generation, lines := range own {
		o.own[generation] = lines
	}
}

// Carried is the pipe that a generation writes to, and what was read of a line
// that has not ended.
type Carried struct {
	Read, Write  int
	Rest, Marker []byte
	Settling     bool
}

// Abandon gives back an adopted one that is not to be read after all.
func (c *Capture) Abandon() {
	_, _ = c.read.Close(), unix.Close(c.Write)
	c.outlet.Close()
}
