package router

import (
	"errors"
	"io"
	"time"

	"emperor/router/http1"
)

// bodyReader decodes the body of the request under way from an HTTP/1
// connection.
type bodyReader struct {
	remaining int64 // of a Content-Length
	chunked   bool
	invited   bool // the client waits for 100 Continue
	raw       bool // whatever the client sends, up to its end
	ended     bool
	limited   bool // the limit of the readBody under way runs
	decoder   http1.Chunked
}

// errShort: the client ended its connection in the middle of its body.
var errShort = errors.New("the client closed its connection in the middle of the request body")

// errUnread: we stopped reading, because the vassal does not want the rest.
var errUnread = errors.New("the request body is not read any further")

// expect prepares for the body that the parsed head announces.
func (b *bodyReader) expect(c *client) {
	r := &c.x.request
	*b = bodyReader{
		chunked: r.Chunked, remaining: max(r.ContentLength, 0),
		raw:     c.x.settings.takesRaw(r),
		ended:   !r.HasBody() && !c.x.settings.takesRaw(r),
		invited: r.Expect100 && r.HasBody(),
	}
}

// readBody is part of downstream.
func (c *client) readBody(p []byte, wait time.Duration) (n int, err error) {
	b := &c.input
	switch {
	case b.ended:
		return 0, io.EOF
	case b.raw:
		n, err = c.readRaw(p, wait)
	case b.chunked:
		n, err = c.readChunked(p, wait)
	default:
		n, err = c.readLength(p, wait)
	}
	if b.limited {
		b.limited = false
		c.socket.Reading.Clear()
	}
	if b.ended && err == nil {
		err = io.EOF
	}
	return n, err
}

func (c *client) readLength(p []byte, wait time.Duration) (n int, err error) {
	b, x := &c.input, c.x
	p = p[:min(int64(len(p)), b.remaining)]
	if x.start < x.end {
		n = copy(p, x.in[x.start:x.end])
		x.start += n
	} else if n, err = c.readInput(p, wait); err != nil {
		return 0, err
	}
	b.remaining -= int64(n)
	b.ended = b.remaining == 0
	return n, nil
}

// readRaw reads until the client ends its side.
func (c *client) readRaw(p []byte, wait time.Duration) (n int, err error) {
	x := c.x
	if x.start < x.end {
		n = copy(p, x.in[x.start:x.end])
		x.start += n
		return n, nil
	}
	n, err = c.readInput(p, wait)
	if err == errShort {
		c.input.ended, err = true, nil
	}
	return n, err
}

func (c *client) readChunked(p []byte, wait time.Duration) (int, error) {
	b, x := &c.input, c.x
	for {
		if x.start == x.end {
			// Into the part of the buffer that follows the head, which is still being
			// worked with.
			n, err := c.readInput(x.roomBehindHead(), wait)
			x.start, x.end = x.headEnd, x.headEnd+n
			if err != nil {
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
		b.ended = b.decoder.Done()
		if copied > 0 || b.ended {
			return copied, nil
		}
	}
}

// readInput reads at least a byte of a body from the connection. A readBody has
// one limit, however often it comes here.
func (c *client) readInput(p []byte, wait time.Duration) (int, error) {
	if err := c.invite(); err != nil {
		return 0, err
	}
	if !c.input.limited {
		c.input.limited = true
		c.socket.Reading.Set(wait)
	}
	n, err := c.read(p)
	switch {
	case n > 0:
		return n, nil
	case c.interrupted.Load():
		return 0, errUnread
	case err == nil || err == io.EOF:
		return 0, errShort
	}
	return 0, err
}

// invite is part of downstream.
func (c *client) invite() error {
	if !c.input.invited {
		return nil
	}
	c.input.invited = false
	c.sentHead += int64(len(continueBytes))
	return c.write(continueBytes)
}

var continueBytes = []byte(http1.Continue)
