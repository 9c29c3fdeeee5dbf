package router

import (
	"errors"
	"log/slog"
	"os"

	"emperor/router/http1"
	"emperor/router/relay"
	"emperor/router/upstream"
)

// answerFraming is how the answer under way is framed for an HTTP/1 client. What
// is not sent yet, the head and what goes with it, is in the exchange's unsent.
type answerFraming struct {
	chunked    bool // the body is sent in chunks
	untilClose bool // the end of the connection is the end of the body
}

var lastChunk = []byte(http1.LastChunk)

// frameChunk makes a chunk of b[from:to] without moving it.
func frameChunk(b []byte, from, to int) []byte {
	start := http1.PutChunkHeader(b[:from], to-from)
	return append(b[start:to], '\r', '\n')
}

// smallPiece is what is copied behind a head, to be sent with it.
const smallPiece = 8 << 10

// interim is part of downstream.
func (c *client) interim(r *http1.Response) error {
	if c.x.request.Minor == 0 {
		return nil // HTTP/1.0 knows no interim answers
	}
	head := http1.ResponseHead{ContentLength: -1}
	c.x.unsent = head.Append(c.x.unsent[:0], r)
	c.sentHead += int64(len(c.x.unsent))
	return c.flush()
}

// begin is part of downstream.
func (c *client) begin(h *answerHead) {
	f, x := &c.framing, c.x
	f.chunked, f.untilClose = false, false
	if h.length < 0 && !h.noBody {
		// HTTP/1.0 has no chunks: the end of the connection ends the body.
		f.chunked = c.x.request.Minor > 0 && c.x.settings.chunked
		if f.untilClose = !f.chunked; f.untilClose {
			c.closeAfter()
		}
	}
	if c.router.leaving.Load() {
		c.closeAfter() // since the request came: it is told now
	}
	head := http1.ResponseHead{ContentLength: h.length, Chunked: f.chunked, Close: c.closeAfterThis, Extra: h.extra}
	x.unsent = head.Append(x.unsent[:0], h.response)
	c.sentHead += int64(len(x.unsent))
}

// body is part of downstream.
func (c *client) body(b []byte, from, to int) error {
	f, x := &c.framing, c.x
	if from == to {
		return c.flush()
	}
	if len(x.unsent) == 0 {
		if f.chunked {
			return c.write(frameChunk(b, from, to))
		}
		return c.write(b[from:to])
	}
	if !f.chunked && to-from > smallPiece {
		if err := c.flush(); err != nil {
			return err
		}
		return c.write(b[from:to])
	}
	c.appendPiece(b[from:to])
	return c.flush()
}

// appendPiece puts a piece of the body behind what is pending. (Not framed in place:
// the head that it came with may still be in use in the room before it.)
func (c *client) appendPiece(piece []byte) {
	x := c.x
	if !c.framing.chunked {
		x.unsent = append(x.unsent, piece...)
		return
	}
	x.unsent = http1.AppendChunkHeader(x.unsent, len(piece))
	x.unsent = append(x.unsent, piece...)
	x.unsent = append(x.unsent, '\r', '\n')
}

// flush is part of downstream.
func (c *client) flush() error {
	x := c.x
	if len(x.unsent) == 0 {
		return nil
	}
	err := c.write(x.unsent)
	x.unsent = x.unsent[:0]
	return err
}

// end is part of downstream.
func (c *client) end(b []byte, from, to int) error {
	x := c.x
	if !c.framing.chunked {
		return c.body(b, from, to)
	}
	if len(x.unsent) == 0 && from < to {
		framed := frameChunk(b, from, to)
		return c.write(append(framed, lastChunk...)) // there is room behind it
	}
	if from < to {
		c.appendPiece(b[from:to])
	}
	x.unsent = append(x.unsent, lastChunk...)
	return c.flush()
}

// cut is part of downstream: the missing end shows, by the length or the last
// chunk that does not come, or by a reset.
func (c *client) cut() {
	c.x.unsent = c.x.unsent[:0]
	c.closeAfter()
	if c.framing.untilClose {
		c.resetAtEnd()
	}
}

// tunnel is part of downstream.
func (c *client) tunnel(h *answerHead, first []byte) error {
	c.closeAfter()
	c.framing.chunked = false
	head := http1.ResponseHead{ContentLength: -1, Upgrade: h.response.Upgrade, Extra: h.extra}
	c.x.unsent = head.Append(c.x.unsent[:0], h.response)
	c.sentHead += int64(len(c.x.unsent))
	c.appendPiece(first)
	c.socket.Reading.Clear()
	return c.flush()
}

// relay is part of downstream: what came behind the head first.
func (c *client) relay(conn *upstream.Conn, o relay.Options) relay.Result {
	x := c.x
	o.Early = x.in[x.start:x.end]
	x.start = x.end
	running := relay.New(c.conn.(relay.Side), conn, o)
	c.upgraded.Store(running)
	if c.aborted() {
		running.Stop(endShutDown)
	}
	result := running.Run()
	c.upgraded.Store(nil)
	c.revive()
	c.sentAll += result.FromUpstream
	return result
}

// refuseHead answers a head that could not be read, if there is anything to
// answer; the connection ends.
func (c *client) refuseHead(err error) {
	c.closeAfter()
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
	case errors.Is(err, os.ErrDeadlineExceeded):
		bad = &http1.Error{Status: 408, Reason: "the request head did not arrive in time"}
		c.revive()
	default:
		return // the client went away
	}
	// Nothing of the request can be relied on, least of all that it is no HEAD.
	c.x.unsent = http1.AppendStatus(c.x.unsent[:0], bad.Status, bad.Reason, false, true, nil)
	c.router.complain(&c.peer, slog.LevelInfo, "request refused", slog.Int("status", bad.Status), slog.String("reason", bad.Reason))
	c.sentAll, c.sentHead = 0, int64(len(c.x.unsent)-len(bad.Reason)-1)
	failed := c.flush()
	c.x.logRefusal(c, &c.peer, bad.Status)
	if failed == nil {
		c.linger()
	}
}
