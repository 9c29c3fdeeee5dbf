package router

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Frames that ask for work and carry none (pings, settings, priorities, empty data,
// requests that are reset at once) cost their sender nothing. The library bounds what
// they can pile up, and answers them for as long as they come; so they are counted
// here, below it, and a connection that goes on with them ends. What is counted has no
// part in what is served: requests are another limit's business (http-limit-rate).

// Types of frames, their flags and errors (RFC 9113 §6, §7) that are looked at.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream = 0x1
	flagPadded    = 0x8

	errorProtocol = 0x1
	errorFlow     = 0x3
	errorClosed   = 0x5
	errorSize     = 0x6
	errorRefused  = 0x7
)

const frameHead = 9 // bytes of a frame's head

// frames sees the frames of one direction go by, in whatever pieces they come.
type frames struct {
	skip int // bytes to come that do not matter: the rest of a frame, the preface
	have int // bytes in head
	head [frameHead + 4]byte
}

// follow calls each with every frame's head and as much of its payload as wanted says.
func (f *frames) follow(p []byte, each func(head []byte)) {
	for {
		n := min(f.skip, len(p))
		f.skip, p = f.skip-n, p[n:]
		if len(p) == 0 {
			return
		}
		n = copy(f.head[f.have:f.wanted()], p)
		f.have, p = f.have+n, p[n:]
		if f.have < f.wanted() {
			continue
		}
		f.skip = f.length() + frameHead - f.have
		each(f.head[:f.have])
		f.have = 0
	}
}

func (f *frames) length() int { return frameLength(f.head[:]) }

func frameLength(head []byte) int { return int(head[0])<<16 | int(head[1])<<8 | int(head[2]) }

// wanted is how much of the frame matters, as far as its head is there.
func (f *frames) wanted() int {
	switch {
	case f.have < frameHead:
		return frameHead
	case f.head[3] == frameData && f.head[4]&flagPadded != 0:
		return frameHead + min(1, f.length()) // how much of it is padding
	case f.head[3] == frameReset:
		return frameHead + min(4, f.length()) // why
	}
	return frameHead
}

// allowance is a token bucket that looks at the clock only when it is empty.
type allowance struct {
	left, most int
	perSecond  int
	filled     time.Time
}

// spend takes one, and tells whether there was one.
func (a *allowance) spend(now func() time.Time) bool {
	if a.left == 0 {
		t := now()
		more := min(int64(a.most), int64(t.Sub(a.filled))*int64(a.perSecond)/int64(time.Second))
		if more <= 0 {
			return false
		}
		a.left, a.filled = int(more), t
	}
	a.left--
	return true
}

func (a *allowance) refund(n int) { a.left = max(a.left, min(a.left+n, a.most)) }

// earn is refund without a limit.
func (a *allowance) earn(n int) { a.left += n }

// What a connection may send that carries nothing: at once, and per second in the long
// run. Clients in good faith stay far below: a page that is left resets up to
// mostStreams requests, and frames of other kinds go with requests and data.
const (
	mostIdleFrames, idleFramesPerSecond = 2000, 100
	mostResets, resetsPerSecond         = 1000, 50

	refundForData    = 4 // for each frame that we send: the client measures how fast it came
	refundForRequest = 2 // its priority

	// Windows are opened when data have been taken, by some clients for each 4 KB that
	// they read, for the stream and for the connection; and up to a whole window later.
	windowsForData = 4
	bytesForWindow = 512
)

// metered is an HTTP/2 connection of which the frames are counted.
type metered struct {
	net.Conn
	client *client
	now    func() time.Time

	mu        sync.Mutex // reader and writer are different goroutines
	in, out   frames     // guarded by mu
	idle      allowance  // guarded by mu; frames that carry nothing
	windows   allowance  // guarded by mu; WINDOW_UPDATE frames
	resets    allowance  // guarded by mu; requests that were given up, or broken
	before    int        // guarded by mu; bytes of the preface to come
	excessive string     // guarded by mu; what there was too much of
	reported  bool       // guarded by mu
}

func newMetered(conn net.Conn, c *client) *metered {
	m := &metered{Conn: conn, client: c, now: time.Now, before: len(preface)}
	start := m.now()
	m.in.skip = m.before
	m.idle = allowance{left: mostIdleFrames, most: mostIdleFrames, perSecond: idleFramesPerSecond, filled: start}
	m.windows = m.idle
	m.resets = allowance{left: mostResets, most: mostResets, perSecond: resetsPerSecond, filled: start}
	return m
}

var errFlood = errors.New("too many frames that carry nothing")

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.mu.Lock()
	if m.before > 0 {
		if m.before -= n; m.before <= 0 {
			m.client.socket.Reading.Clear() // the library keeps time from here on
		}
	}
	m.in.follow(p[:n], m.received)
	m.mu.Unlock()
	if m.flooded() {
		return 0, errFlood
	}
	return n, err
}

func (m *metered) Write(p []byte) (int, error) {
	m.mu.Lock()
	m.out.follow(p, m.sent)
	m.mu.Unlock()
	if m.flooded() {
		return 0, errFlood
	}
	return m.Conn.Write(p)
}

// received counts a frame of the client's. m.mu is held.
func (m *metered) received(head []byte) {
	length, kind, flags := frameLength(head), head[3], head[4]
	what := "frames of other types"
	switch kind {
	case frameData:
		if flags&flagEndStream != 0 || length > 0 && (len(head) == frameHead || int(head[frameHead])+1 < length) {
			return
		}
		what = "DATA frames without data"
	case frameHeaders:
		m.idle.refund(refundForRequest)
		return
	case frameReset:
		if !m.resets.spend(m.now) {
			m.excessive = "requests given up (RST_STREAM)"
		}
		return
	case frameSettings:
		what = "SETTINGS frames"
	case framePing:
		what = "PING frames"
	case frameWindowUpdate:
		if !m.windows.spend(m.now) {
			m.excessive = "WINDOW_UPDATE frames"
		}
		return
	case frameContinuation:
		what = "CONTINUATION frames"
	}
	if !m.idle.spend(m.now) {
		m.excessive = what
	}
}

// sent sees a frame of ours. m.mu is held.
func (m *metered) sent(head []byte) {
	switch head[3] {
	case frameData, frameHeaders:
		m.idle.refund(refundForData)
		m.windows.earn(windowsForData + frameLength(head)/bytesForWindow)
	case frameReset:
		if len(head) < frameHead+4 {
			return
		}
		// What the client did wrong to have a request reset by us, which costs as much
		// as one that it resets itself. A vassal's fault is not counted.
		switch binary.BigEndian.Uint32(head[frameHead:]) {
		case errorProtocol, errorFlow, errorClosed, errorSize, errorRefused:
			if !m.resets.spend(m.now) {
				m.excessive = "faulty requests"
			}
		}
	}
}

// flooded ends a connection with too much of something.
func (m *metered) flooded() bool {
	m.mu.Lock()
	what, first := m.excessive, !m.reported
	m.reported = what != ""
	m.mu.Unlock()
	if what == "" {
		return false
	}
	if first {
		m.client.router.complain(&m.client.peer, slog.LevelInfo, "HTTP/2 connection closed: the client floods it", slog.String("with", what))
		// Not by the library, nor TLS: either would wait for a client that does not read.
		_ = m.client.socket.Close()
	}
	return true
}
