package router

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"emperor/router/http1"
)

// body is the body of the request under way, decoded: what the vassal should
// get. It reads from the client; only one goroutine may use it.
type body struct {
	x         *exchange
	announced int64         // of a Content-Length; -1: unknown
	waited    time.Duration // for the client; a slow vassal is not the client's fault
	received  int64
	whole     bool // everything was read
	raw       bool // whatever follows the head (http-raw-body)
	collected []byte
	streamed  bool     // what follows the collected part goes to a vassal as it comes, and is not kept
	spool     *os.File // what is kept behind the collected part: a chunked body that had to be measured, or any with http-post-buffering
	spooled   int64    // its length
	err       error    // why reading ended before the end
}

// expect prepares for the body that the parsed head announces.
func (b *body) expect(x *exchange) {
	b.x, b.announced, b.whole = x, x.request.ContentLength, !x.request.HasBody()
}

// reset forgets a body, of which discard has been called.
func (b *body) reset() {
	*b = body{collected: b.collected[:0]}
	if cap(b.collected) > collected {
		b.collected = nil
	}
}

// Read reads decoded bytes, not slower than the least rate; io.EOF ends a whole
// body.
func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.whole:
		return 0, io.EOF
	}
	s := b.x.settings
	allowed := s.responseTimeout
	if s.bodyRate > 0 {
		earned := time.Duration(min(b.received, 1<<33)) * time.Second / time.Duration(s.bodyRate) // more would overflow
		allowed = s.bodyGrace + earned - b.waited
	}
	before := time.Now()
	if b.raw {
		allowed = s.tunnelTimeout
	} else {
		allowed = min(allowed, s.responseTimeout)
	}
	n, err := b.x.down.readBody(p, max(allowed, 0))
	b.waited += time.Since(before)
	b.received += int64(n)
	switch {
	case s.bodyLimit > 0 && b.received > s.bodyLimit:
		b.err = errBodyTooLarge
		return 0, b.err
	case err == io.EOF:
		b.whole = true
		if n > 0 {
			err = nil
		}
	case err != nil:
		b.err = err
	}
	return n, err
}

var errBodyTooLarge = &http1.Error{Status: 413, Reason: "the request body is larger than http-body-limit"}

// collect takes in the start of the body, so that a slow sender keeps no vassal
// waiting; most bodies are whole after it.
func (b *body) collect() error {
	if b.raw {
		return nil // nobody knows whether anything comes
	}
	for !b.whole && len(b.collected) < collected {
		if cap(b.collected) == 0 {
			size := int64(collected)
			if b.announced >= 0 {
				size = min(size, b.announced)
			}
			b.collected = make([]byte, 0, max(size, 4<<10))
		}
		if len(b.collected) == cap(b.collected) {
			b.collected = append(b.collected, 0)[:len(b.collected)]
		}
		n, err := b.Read(b.collected[len(b.collected):min(cap(b.collected), collected)])
		b.collected = b.collected[:len(b.collected)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// appendCollected appends the collected part, as a chunk if chunked.
func (b *body) appendCollected(dst []byte, chunked bool) []byte {
	n := len(b.collected)
	if n == 0 || !chunked {
		return append(dst, b.collected...)
	}
	dst = http1.AppendChunkHeader(dst, n)
	dst = append(dst, b.collected...)
	return append(dst, '\r', '\n')
}

// measure returns the length of a chunked body, because a uwsgi vassal has to be
// told. What is not collected goes into an unlinked temporary file.
func (b *body) measure() (int64, error) {
	if b.spool == nil && !b.whole {
		if err := b.keep(); err != nil {
			return 0, err
		}
	}
	if !b.whole {
		return 0, fmt.Errorf("%w: %d bytes wait there already", errSpool, b.x.settings.spoolLimit)
	}
	return int64(len(b.collected)) + b.spooled, nil
}

// keep takes in the body to its end, or as far as there is room for all bodies that
// wait in this way.
func (b *body) keep() error {
	file, err := os.CreateTemp("", "emperor-body-")
	if err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	b.spool = file
	if err := os.Remove(file.Name()); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	for buffer := make([]byte, 32<<10); !b.whole && b.x.router.spooled.Load() < b.x.settings.spoolLimit; {
		n, err := b.Read(buffer)
		b.spooled += int64(n)
		b.x.router.spooled.Add(int64(n))
		if _, err := file.Write(buffer[:n]); err != nil {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return b.rewind()
}

// errSpool: a body can't be kept until it is whole.
var errSpool = errors.New("no room to keep the request body")

// rewind makes the spooled part be read from its start (again).
func (b *body) rewind() error {
	if b.spool == nil {
		return nil
	}
	if _, err := b.spool.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	return nil
}

// rest is what follows the collected part, nil when nothing does.
func (b *body) rest() io.Reader {
	switch {
	case b.spooled > 0 && b.whole:
		return b.spool
	case b.whole:
		return nil
	}
	b.streamed = true
	if b.spooled > 0 {
		return io.MultiReader(b.spool, b)
	}
	return b
}

// failed tells that the client did not send its body as it should have.
func (b *body) failed() bool { return b.err != nil && b.err != errUnread }

// discard forgets the temporary file.
func (b *body) discard() {
	if b.spool != nil {
		_ = b.spool.Close()
		b.x.router.spooled.Add(-b.spooled)
		b.spool, b.spooled = nil, 0
	}
}
