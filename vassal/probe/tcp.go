package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"emperor/internal/listening"
)

// A program of which it is not known what it speaks (protocol = tcp: Redis, a mail server)
// can be asked nothing. It is connected to, and that is all: not a byte is sent.
//
// To be connected is no proof. The kernel completes connections to a socket that the
// emperor holds before the program has read its own command line. The program has taken
// the connection when it has a descriptor of it (listening.Taken), when it has said
// something, or has closed it.

// askTCP returns nil when the program has taken a connection. It waits for that as long
// as ctx lasts.
func (w *Waiting) askTCP(ctx context.Context, network, to string) error {
	c, err := w.connect(ctx, network, to, nil)
	if err != nil {
		return err
	}
	defer func() {
		if w.conn != c {
			c.Close()
		}
	}()
	// The deadline of a read is the pause between two looks.
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, longestLook) {
		_ = c.SetReadDeadline(time.Now().Add(pause))
		n, err := c.Read(make([]byte, 1))
		switch {
		case n > 0:
			leave(c)
			return nil
		case errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("it does not take connections: %w", err) // its socket was closed
		case ctx.Err() != nil:
			w.keep(c, nil)
			return context.Cause(ctx)
		}
		taken, err := listening.Taken(c)
		if err != nil {
			return err
		}
		if taken {
			leave(c)
			return nil
		}
	}
}

// longestLook is the longest time between two looks at whether a connection was taken.
const longestLook = 100 * time.Millisecond

// leave says goodbye. To hang up while the program greets would be an error to it.
func leave(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.SetReadDeadline(time.Now().Add(leaveTime))
	_, _ = io.CopyN(io.Discard, c, 64<<10)
}
