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
// get. It reads from the client's connection; only one goroutine may use it.
type body struct {
	client    *client
	remaining int64 // of a Content-Length
	chunked   bool
	decoder   http1.Chunked
	waited    time.Duration // for the client; a slow vassal is not the client's fault
	received  int64
	invite    bool // the client waits for 100 Continue
	whole     bool // everything was read
	collected []byte
	streamed  bool     // what follows the collected part goes to a vassal as it comes, and is not kept
	spool     *os.File // a chunked body that had to be measured, behind the collected part
	spooled   int64    // its length
	err       error    // why reading ended before the end
}

// errShort: the client ended its connection in the middle of its body.
var errShort = errors.New("the client closed its connection in the middle of the request body")

// errUnread: we stopped reading, because the vassal does not want the rest.
var errUnread = errors.New("the request body is not read any further")

// expect prepares for the body that the parsed head announces.
func (b *body) expect(c *client) {
	r := &c.x.request
	*b = body{
		client: c, chunked: r.Chunked, remaining: max(r.ContentLength, 0),
		whole:     !r.HasBody(),
		invite:    r.Expect100 && r.HasBody(),
		collected: b.collected[:0],
	}
	if cap(b.collected) > collected {
		b.collected = nil
	}
}

// Read reads decoded bytes; io.EOF ends a whole body.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	b.received += int64(n)
	if err == io.EOF {
		b.whole = true
	} else if err != nil {
		b.err = err
	}
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	if b.whole {
		return 0, io.EOF
	}
	if b.chunked {
		return b.readChunked(p)
	}
	if b.remaining == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.remaining)]
	x := b.client.x
	if x.start < x.end {
		n := copy(p, x.in[x.start:x.end])
		x.start += n
		b.remaining -= int64(n)
		return n, b.ended()
	}
	n, err := b.fromClient(p)
	b.remaining -= int64(n)
	if n > 0 {
		return n, b.ended()
	}
	return 0, err
}

func (b *body) ended() error {
	if b.remaining == 0 {
		b.whole = true
	}
	return nil
}

func (b *body) readChunked(p []byte) (int, error) {
	x := b.client.x
	for {
		if x.start == x.end {
			if err := b.refill(); err != nil {
				return 0, err
			}
		}
		// Not more than fits into p: what is decoded can't be put back.
		src := x.in[x.start:min(x.end, x.start+len(p))]
		data, n, err := b.decoder.Next(src)
		if err != nil {
			return 0, err
		}
		x.start += n
		copied := copy(p, data)
		if b.decoder.Done() {
			b.whole = true
			if copied == 0 {
				return 0, io.EOF
			}
		}
		if copied > 0 {
			return copied, nil
		}
	}
}

// refill reads more bytes into the part of the input buffer that follows the
// head: the head must stay, the request is still being worked with.
func (b *body) refill() error {
	x := b.client.x
	n, err := b.fromClient(x.roomBehindHead())
	x.start, x.end = x.headEnd, x.headEnd+n
	if n > 0 {
		return nil
	}
	return err
}

// fromClient reads from the connection, not slower than the least rate.
func (b *body) fromClient(p []byte) (int, error) {
	c := b.client
	if b.invite {
		b.invite = false
		if err := c.write(continueBytes); err != nil {
			return 0, err
		}
	}
	earned := time.Duration(min(b.received, 1<<33)) * time.Second / time.Duration(c.settings.bodyRate) // more would overflow
	allowed := c.settings.bodyGrace + earned - b.waited
	c.reading.Set(max(min(allowed, c.settings.responseTimeout), 0))
	before := time.Now()
	n, err := c.read(p)
	b.waited += time.Since(before)
	c.reading.Clear()
	switch {
	case n > 0 || err != nil && err != io.EOF && !c.interrupted.Load():
	case c.interrupted.Load():
		err = errUnread
	default:
		err = errShort
	}
	return n, err
}

var continueBytes = []byte(http1.Continue)

// collect takes in the start of the body, so that a slow sender keeps no vassal
// waiting; most bodies are whole after it.
func (b *body) collect() error {
	for !b.whole && len(b.collected) < collected {
		if cap(b.collected) == 0 {
			size := int64(collected)
			if !b.chunked {
				size = min(size, b.remaining)
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
	if b.spool != nil || b.whole {
		return int64(len(b.collected)) + b.spooled, nil
	}
	file, err := os.CreateTemp("", "emperor-body-")
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errSpool, err)
	}
	b.spool = file
	if err := os.Remove(file.Name()); err != nil {
		return 0, fmt.Errorf("%w: %w", errSpool, err)
	}
	for buffer := make([]byte, 32<<10); ; {
		n, err := b.Read(buffer)
		b.spooled += int64(n)
		if b.client.router.spooled.Add(int64(n)) > spoolLimit {
			return 0, fmt.Errorf("%w: %d bytes wait there already", errSpool, int64(spoolLimit))
		}
		if _, err := file.Write(buffer[:n]); err != nil {
			return 0, fmt.Errorf("%w: %w", errSpool, err)
		}
		if err == io.EOF {
			return int64(len(b.collected)) + b.spooled, b.rewind()
		}
		if err != nil {
			return 0, err
		}
	}
}

// errSpool: a chunked body for a uwsgi vassal can't be kept until its length is
// known.
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
	case b.spooled > 0:
		return b.spool
	case b.whole:
		return nil
	}
	b.streamed = true
	return b
}

// failed tells that the client did not send its body as it should have.
func (b *body) failed() bool { return b.err != nil && b.err != errUnread }

// discard forgets the temporary file.
func (b *body) discard() {
	if b.spool != nil {
		_ = b.spool.Close()
		b.client.router.spooled.Add(-b.spooled)
		b.spool, b.spooled = nil, 0
	}
}
