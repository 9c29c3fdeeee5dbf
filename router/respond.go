package router

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"emperor/router/http1"
	"emperor/router/upstream"
)

// errGarbage: what the vassal sent is no HTTP response.
var errGarbage = errors.New("not an HTTP response")

// errEmpty: the vassal closed the connection without a byte.
var errEmpty = fmt.Errorf("the connection was closed without a response: %w", io.ErrUnexpectedEOF)

// errTruncated: the response ended before its announced end.
var errTruncated = errors.New("the response ended before its announced end")

const chunkRoom = http1.ChunkHeaderSize

var lastChunk = []byte(http1.LastChunk)

// frameChunk makes a chunk of the n bytes that stand in buffer behind chunkRoom
// bytes and before at least two, without moving them.
func frameChunk(buffer []byte, n int) []byte {
	start := http1.PutChunkHeader(buffer[:chunkRoom], n)
	end := chunkRoom + n
	buffer[end], buffer[end+1] = '\r', '\n'
	return buffer[start : end+2]
}

// relay reads the response and gives it to the client with exact framing. body
// is the sender of a request body that is still under way, nil when none is.
func (c *client) relay(conn *upstream.Conn, body *sender) outcome {
	c.x.prepareBack()
	for range mostInterim {
		if o, final := c.relayHead(conn, body); final {
			return o
		}
	}
	return outcome{err: fmt.Errorf("%w: it is preceded by more than %d interim ones", errGarbage, mostInterim), sent: true}
}

// mostInterim bounds 1xx answers: time limits do not end a vassal that never
// stops to send them.
const mostInterim = 100

// relayHead reads one head, interim or final; with a final one the whole
// response is relayed and final is true.
func (c *client) relayHead(conn *upstream.Conn, body *sender) (o outcome, final bool) {
	x := c.x
	head, err := c.readResponseHead(conn)
	if err != nil {
		return outcome{err: err, sent: true}, true
	}
	r := &x.response
	x.first += head
	if r.Status < 200 && r.Status != 101 {
		// 100 is between the vassal and us: the client was answered when its body
		// was wanted. Other interim answers (103) are the client's, if it knows them.
		if r.Status != 100 && x.request.Minor > 0 {
			x.answer = (&http1.ResponseHead{ContentLength: -1}).Append(x.answer[:0], r)
			if err := c.write(x.answer); err != nil {
				return outcome{err: err, sent: true, answered: true}, true
			}
		}
		return outcome{}, false
	}
	if body == nil && !x.body.whole || body != nil && !body.read.Load() {
		// A response before the end of the request body: it is delivered, but the
		// client has an unknown number of bytes to go and its connection ends with it.
		c.closeAfter()
	}
	if r.Framing == http1.Tunnel {
		return c.relayTunnel(conn), true
	}
	return c.relayResponse(conn), true
}

// readResponseHead fills x.back until it starts (at x.first) with a whole head
// and returns its length.
func (c *client) readResponseHead(conn *upstream.Conn) (int, error) {
	x := c.x
	head := isHead(x.request.Method)
	for {
		if x.first < x.last {
			n, err := x.response.Parse(x.back[x.first:x.last], head, &responseLimits)
			if err != nil {
				return 0, fmt.Errorf("%w: %w", errGarbage, err)
			}
			if n > 0 {
				return n, nil
			}
		}
		if x.last == len(x.back) {
			if x.first == 0 {
				return 0, fmt.Errorf("%w: its head is larger than %d bytes", errGarbage, len(x.back))
			}
			copy(x.back, x.back[x.first:x.last])
			x.first, x.last = 0, x.last-x.first
		}
		if x.last == 0 {
			if err := conn.AwaitReadable(); err != nil {
				return 0, err
			}
		}
		n, err := conn.Read(x.back[x.last:])
		x.last += n
		switch {
		case err == nil:
			conn.Deadline.Set(c.settings.responseTimeout) // a slow vassal is not a silent one
		case errors.Is(err, upstream.ErrTimeout) || errors.Is(err, upstream.ErrAborted):
			return 0, err
		case x.first < x.last:
			// Whatever the error is: it answered, so nothing may be sent again.
			return 0, fmt.Errorf("%w: it ends in the middle of its head", errGarbage)
		case err == io.EOF:
			return 0, errEmpty
		default:
			return 0, err
		}
	}
}

// responseLimits leave room in x.back for what a read brings beside the head.
var responseLimits = http1.Limits{Head: backSize, Fields: 500}

// relayResponse relays a response whose head is parsed and whose body, as far as
// it came with the head, is x.back[x.first:x.last].
func (c *client) relayResponse(conn *upstream.Conn) outcome {
	x := c.x
	r := &x.response
	head := http1.ResponseHead{ContentLength: -1}
	chunk := false
	switch r.Framing {
	case http1.NoBody:
		if r.Status != 204 { // RFC 9110 §8.6: no length there; HEAD and 304 say what a GET would get
			head.ContentLength = r.ContentLength
		}
	case http1.Length:
		head.ContentLength = r.ContentLength
	case http1.InChunks, http1.UntilClose:
		// HTTP/1.0 has no chunks: the end of the connection ends the body.
		chunk = x.request.Minor > 0 && c.settings.chunked
		head.Chunked = chunk
		if !chunk {
			c.closeAfter()
		}
	}
	if c.router.leaving.Load() {
		c.closeAfter() // since the request came: it is told now
	}
	head.Close = c.closeAfterThis
	x.answer = head.Append(x.answer[:0], r)

	var err error
	switch r.Framing {
	case http1.NoBody:
		err = c.write(x.answer)
	case http1.Length:
		err = c.relayLength(conn, r.ContentLength)
	case http1.InChunks:
		err = c.relayChunks(conn, chunk)
	case http1.UntilClose:
		err = c.relayUntilClose(conn, chunk)
	}
	if err != nil {
		c.closeAfter()
		if !chunk && r.Framing != http1.Length {
			c.resetAtEnd() // the end of the connection is the end of the body: it must not look like one
		}
	}
	return outcome{err: err, sent: true, answered: true}
}

// fill reads more of the response into x.back, which is consumed.
func (c *client) fill(conn *upstream.Conn, room int) error {
	x := c.x
	conn.Deadline.Set(c.settings.responseTimeout)
	n, err := conn.Read(x.back[room : len(x.back)-2])
	x.first, x.last = room, room+n
	if n > 0 {
		return nil
	}
	return err
}

// relayLength relays exactly length bytes, the first of them together with the
// head.
func (c *client) relayLength(conn *upstream.Conn, length int64) error {
	x := c.x
	piece := x.back[x.first:min(int64(x.last), int64(x.first)+length)]
	if err := c.writeWithHead(piece); err != nil {
		return err
	}
	x.first += len(piece)
	for length -= int64(len(piece)); length > 0; length -= int64(len(piece)) {
		if err := c.fill(conn, 0); err != nil {
			return truncated(err)
		}
		piece = x.back[:min(int64(x.last), length)]
		x.first = len(piece)
		if err := c.write(piece); err != nil {
			return err
		}
	}
	return nil
}

func truncated(err error) error {
	if err == io.EOF {
		return errTruncated
	}
	return err
}

// writeWithHead sends the head and the first piece of the body in one go.
func (c *client) writeWithHead(piece []byte) error {
	x := c.x
	if len(piece) <= 8<<10 {
		x.answer = append(x.answer, piece...)
		return c.write(x.answer)
	}
	if err := c.write(x.answer); err != nil {
		return err
	}
	return c.write(piece)
}

// relayUntilClose relays what comes until the vassal closes.
func (c *client) relayUntilClose(conn *upstream.Conn, chunk bool) error {
	x := c.x
	if n := x.last - x.first; n > 0 {
		if chunk {
			x.answer = http1.AppendChunkHeader(x.answer, n)
			x.answer = append(x.answer, x.back[x.first:x.last]...)
			x.answer = append(x.answer, '\r', '\n')
		} else {
			x.answer = append(x.answer, x.back[x.first:x.last]...)
		}
	}
	if err := c.write(x.answer); err != nil {
		return err
	}
	for {
		err := c.fill(conn, chunkRoom)
		if errors.Is(err, syscall.ECONNRESET) && x.request.HasBody() {
			// A vassal that closes without having read the whole request resets the
			// connection (uWSGI does, when an app leaves its input alone). That is how
			// its response ends, not how it fails.
			err = io.EOF
		}
		if err == io.EOF {
			if chunk {
				return c.write(lastChunk)
			}
			return nil
		}
		if err != nil {
			return err
		}
		piece := x.back[x.first:x.last]
		if chunk {
			piece = frameChunk(x.back, len(piece))
		}
		if err := c.write(piece); err != nil {
			return err
		}
	}
}

// relayChunks decodes a chunked response and chunks it anew, in the pieces in
// which it came: nothing is held back, and what the client gets is well-formed
// whatever the vassal's chunks looked like.
func (c *client) relayChunks(conn *upstream.Conn, chunk bool) error {
	x := c.x
	x.chunks.Reset()
	for {
		for x.first < x.last {
			data, n, err := x.chunks.Next(x.back[x.first:x.last])
			if err != nil {
				return fmt.Errorf("%w: %w", errGarbage, err)
			}
			x.first += n
			if len(data) > 0 {
				if chunk {
					x.answer = http1.AppendChunkHeader(x.answer, len(data))
					x.answer = append(x.answer, data...)
					x.answer = append(x.answer, '\r', '\n')
				} else {
					x.answer = append(x.answer, data...)
				}
			}
			if x.chunks.Done() {
				if chunk {
					x.answer = append(x.answer, lastChunk...)
				}
				return c.write(x.answer)
			}
			if n == 0 {
				break
			}
		}
		if len(x.answer) > 0 {
			if err := c.write(x.answer); err != nil {
				return err
			}
			x.answer = x.answer[:0]
		}
		if err := c.fill(conn, 0); err != nil {
			return truncated(err)
		}
	}
}
