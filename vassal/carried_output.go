package vassal

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"emperor/internal/logsink"
)

// pause stops reading. What was read of a line that has not ended goes along, and so
// does the marker of settle, which may be on its way.
func (c *capture) pause() *CarriedOutput {
	c.reading.Stop(c.read)
	out := &CarriedOutput{Read: -1, Write: c.write, Rest: c.lines.Rest(), Marker: c.marker, Settling: c.settling.Load()}
	if raw, err := c.read.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { out.Read = int(fd) })
	}
	return out
}

// resume reads on after pause, or begins to after adoptCapture.
func (c *capture) resume() {
	if c.adopted {
		c.adopted = false
		c.out.keeps(c)
		go c.pump() // ends when finish closes the pipe, at the latest
		return
	}
	c.reading.Go(c.read)
}

// adoptCapture makes the pipe that was described. Nothing is read before resume.
func adoptCapture(s *surroundings, targets []logsink.Target, c *CarriedOutput) (*capture, error) {
	if err := isOpen(c.Write); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(c.Read, true); err != nil {
		return nil, os.NewSyscallError("output pipe", err)
	}
	targets = slices.Clone(targets)
	for i := range targets {
		targets[i].Rules.Truncate = false // that was done when the generation started
	}
	out := makeCapture(s.output, s.generation, targets, c.Read, c.Write, c.Rest)
	out.marker, out.adopted = c.Marker, true
	out.settling.Store(c.Settling)
	return out, nil
}
