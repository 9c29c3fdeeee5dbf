package logsink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

const (
	// queueSize is how many bytes of one source may wait; as many again may be on
	// their way to the place.
	queueSize = 1 << 20
	// sinkSize is how many may wait of all sources of a sink together. Beyond it a
	// source may have one piece waiting, so that nobody is silenced by others.
	sinkSize = 16 << 20
	// patience is how long a source waits for room, once. Who writes to the pipe that a
	// source is fed from waits as long, if the pipe fills meanwhile.
	patience = 100 * time.Millisecond
	// keptBuffer is what a buffer may keep while nothing happens.
	keptBuffer = 64 << 10
)

// Message is one line and what is known about it.
type Message struct {
	Time       time.Time
	Vassal     string // empty: the emperor itself
	Generation uint64
	Stream     string // StreamOutput, StreamEmperor
	Priority   int    // syslog's severity
	Text       []byte // without the end of line
}

// Whose words a line is.
const (
	StreamOutput  = "output"  // a vassal's
	StreamEmperor = "emperor" // the emperor's, or its router's
)

// Syslog's severities, as far as they are used.
const (
	PriorityError   = 3
	PriorityWarning = 4
	PriorityInfo    = 6
	PriorityDebug   = 7
)

// Format is the form in which lines go to a place. It may keep state: it is never
// called by two goroutines at once.
type Format interface {
	// Append appends one record, in a stream with its line feed.
	Append(dst []byte, m *Message) []byte
}

// Source is one writer's way into a Sink. It is safe for concurrent use.
type Source struct {
	sink   *Sink
	vassal string
	format Format // nil: lines are taken as they are

	mu      sync.Mutex
	queue   []byte        // guarded by mu
	lost    uint64        // guarded by mu; lines since the last one that was taken
	stalled bool          // guarded by mu; the sink has taken nothing since we waited in vain
	closed  bool          // guarded by mu
	room    chan struct{} // guarded by mu; closed when there may be room; nil: nobody waits
	listed  bool          // guarded by sink.mu; the sink knows that there is something

	// Guarded by sink.mu: what was lost and is to be said.
	unsaid            uint64
	lostFirst, lostAt time.Time
}

// Write takes lines, each with its line feed, whose common properties are those of m.
func (s *Source) Write(m *Message, lines []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(lines) > 0 {
		if !s.hasRoom() && !s.awaitRoom() {
			s.lose(lines)
			return
		}
		s.markLoss(m)
		if s.format == nil && !s.sink.framed {
			s.put(lines)
			lines = nil
			break
		}
		end := bytes.IndexByte(lines, '\n')
		if end < 0 {
			end = len(lines) - 1
		}
		m.Text = bytes.TrimSuffix(bytes.TrimSuffix(lines[:end+1], lineFeed), carriageReturn)
		s.append(m)
		lines = lines[end+1:]
	}
	s.sink.wakeFor(s)
}

// hasRoom tells whether another piece may be queued. Guarded by mu.
func (s *Source) hasRoom() bool {
	return !s.closed && (len(s.queue) == 0 || len(s.queue) < queueSize && s.sink.queued.Load() < sinkSize)
}

// awaitRoom waits for it, if that is worth it. Guarded by mu, which it gives up
// meanwhile.
func (s *Source) awaitRoom() bool {
	if s.closed || s.stalled {
		return false
	}
	if s.room == nil {
		s.room = make(chan struct{})
	}
	room := s.room
	s.sink.wakeFor(s)
	s.mu.Unlock()
	timer := time.NewTimer(patience)
	select {
	case <-room:
	case <-timer.C:
	}
	timer.Stop()
	s.mu.Lock()
	if s.hasRoom() {
		return true
	}
	s.stalled = true
	return false
}

// put queues bytes as they are. Guarded by mu.
func (s *Source) put(p []byte) {
	before := len(s.queue)
	s.queue = append(s.queue, p...)
	s.sink.queued.Add(int64(len(s.queue) - before))
}

// append queues one record. Guarded by mu.
func (s *Source) append(m *Message) {
	before := len(s.queue)
	if s.sink.framed {
		s.queue = append(s.queue, 0, 0, 0, 0)
	}
	start := len(s.queue)
	if s.format == nil {
		s.queue = append(append(s.queue, m.Text...), '\n')
	} else {
		s.queue = s.format.Append(s.queue, m)
	}
	if s.sink.framed {
		binary.LittleEndian.PutUint32(s.queue[before:], uint32(len(s.queue)-start))
	}
	s.sink.queued.Add(int64(len(s.queue) - before))
}

// lose counts lines that found no room. Guarded by mu.
func (s *Source) lose(lines []byte) {
	n := uint64(bytes.Count(lines, lineFeed))
	s.lost += n
	s.sink.noteLoss(s, n)
}

// markLoss says, in the place of lines that were lost, that they were. Guarded by mu.
func (s *Source) markLoss(like *Message) {
	if s.lost == 0 {
		return
	}
	m := Message{Time: like.Time, Vassal: s.vassal, Generation: like.Generation, Stream: StreamEmperor, Priority: PriorityWarning}
	m.Text = fmt.Appendf(nil, "[emperor] %d lines are missing here: they came faster than the log takes them", s.lost)
	s.lost = 0
	s.append(&m)
}

// take gives the sink what is queued, in exchange for an empty buffer.
func (s *Source) take(empty []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markLoss(&Message{Time: s.sink.now()})
	batch := s.queue
	s.queue = empty[:0]
	s.sink.queued.Add(-int64(len(batch)))
	s.stalled = false
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	return batch
}

// Close ends the source; what is queued is still written.
func (s *Source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// records counts those in a piece of a queue.
func records(p []byte, framed bool) (n uint64) {
	if !framed {
		return uint64(bytes.Count(p, lineFeed))
	}
	for len(p) >= 4 {
		p = p[min(len(p), 4+int(binary.LittleEndian.Uint32(p))):]
		n++
	}
	return n
}

// nextFrame takes the first record from a framed queue.
func nextFrame(p []byte) (record []byte, size int) {
	size = 4 + int(binary.LittleEndian.Uint32(p))
	return p[4:size], size
}
