package accesslog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// rest is how long the goroutine sleeps after a batch, unless half of the queue
	// fills: the first line after a silence is written at once, and under load one
	// wake-up and one write bring the lines of many requests.
	rest = 50 * time.Millisecond

	// pipePiece is how much of a pipe or socket is written at a time: other processes
	// may write to it too, and the kernel mixes larger pieces (PIPE_BUF).
	pipePiece = 4096

	// keptBuffer is what a buffer may keep while nothing happens.
	keptBuffer = 64 << 10
)

// sink is one file and the goroutine that writes to it, from when it becomes the
// Writer's current one until its queue is written after it no longer is.
type sink struct {
	writer *Writer
	file   *os.File
	out    io.Writer // file
	piece  int       // how much may be written at a time; 0 means all
	torn   bool      // the last write ended in the middle of a line
	wake   chan struct{}

	// Guarded by writer.mu.
	queue     []byte
	queued    uint64 // lines in queue
	writing   uint64 // lines that are being written
	sleeps    bool   // wake is waited for
	rests     bool   // and it is only a rest
	finishing bool   // no more lines come
	abandoned bool   // what is left was given up, and counted as lost
}

func newSink(w *Writer, file *os.File) *sink {
	s := &sink{writer: w, file: file, out: file, wake: make(chan struct{}, 1)}
	if info, err := file.Stat(); err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		s.piece = pipePiece
	}
	return s
}

// ring wakes the goroutine. One ring that nobody waits for is kept; the next sleep is
// short then, which does no harm.
func (s *sink) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish tells the goroutine that no more lines come. Guarded by writer.mu.
func (s *sink) finish() {
	s.finishing = true
	s.sleeps = false
	s.ring()
}

// abandon gives up what is left and tells how many lines that is. Guarded by
// writer.mu.
func (s *sink) abandon() uint64 {
	lines := s.queued + s.writing
	s.queue, s.queued, s.abandoned = nil, 0, true
	// Ends a write that waits, where the file can do that. If not, nothing can.
	_ = s.file.SetWriteDeadline(time.Unix(1, 0))
	return lines
}

func (s *sink) run() {
	w := s.writer
	defer func() {
		w.mu.Lock()
		w.open = slices.DeleteFunc(w.open, func(other *sink) bool { return other == s })
		w.mu.Unlock()
		closeFile(s.file)
	}()
	var batch []byte
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var ok bool
		if batch, ok = s.next(batch, timer); !ok {
			return
		}
		s.write(batch)
		s.restAfterBatch(timer)
	}
}

// next waits for lines and takes them all, in exchange for an empty buffer. ok is
// false when there will be no more.
func (s *sink) next(empty []byte, timer *time.Timer) (batch []byte, ok bool) {
	w := s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		wait, anything := w.untilReport()
		if anything && wait == 0 {
			loss := w.takeLoss()
			w.mu.Unlock()
			w.tell(loss)
			w.mu.Lock()
			continue
		}
		if len(s.queue) > 0 {
			batch, s.queue = s.queue, empty[:0]
			s.writing, s.queued = s.queued, 0
			return batch, true
		}
		if s.finishing {
			return nil, false
		}
		if cap(s.queue) > keptBuffer {
			s.queue = nil
		}
		if cap(empty) > keptBuffer {
			empty = nil
		}
		var report <-chan time.Time
		if anything {
			timer.Reset(wait)
			report = timer.C
		}
		s.sleeps, s.rests = true, false
		w.mu.Unlock()
		select {
		case <-s.wake:
		case <-report:
		}
		w.mu.Lock()
		s.sleeps = false
	}
}

// restAfterBatch lets lines gather.
func (s *sink) restAfterBatch(timer *time.Timer) {
	w := s.writer
	w.mu.Lock()
	s.writing = 0
	s.sleeps, s.rests = !s.finishing && len(s.queue) < w.most/2, true
	sleeps := s.sleeps
	w.mu.Unlock()
	if !sleeps {
		return
	}
	timer.Reset(rest)
	select {
	case <-s.wake:
	case <-timer.C:
	}
	w.mu.Lock()
	s.sleeps = false
	w.mu.Unlock()
}

// write brings a batch to the file, or counts as lost what it does not take.
func (s *sink) write(batch []byte) {
	for len(batch) > 0 {
		piece := s.cut(batch)
		if s.torn {
			// The rest of that line is lost: the next must not look like it.
			if n, _ := s.out.Write([]byte{'\n'}); n == 1 {
				s.torn = false
			}
		}
		n, err := s.out.Write(piece)
		for err != nil && errors.Is(err, syscall.EAGAIN) && !s.givenUp() {
			// Another process with the same pipe or terminal has made it non-blocking.
			time.Sleep(rest / 5)
			var more int
			more, err = s.out.Write(piece[n:])
			n += more
		}
		if n > 0 {
			s.torn = piece[n-1] != '\n'
		}
		if s.account(piece, n, err) {
			return
		}
		batch = batch[len(piece):]
	}
}

// cut returns the start of batch that is to be written at once: whole lines, as many
// as fit into a piece, but at least one.
func (s *sink) cut(batch []byte) []byte {
	if s.piece == 0 || len(batch) <= s.piece {
		return batch
	}
	end := bytes.LastIndexByte(batch[:s.piece], '\n')
	if end < 0 {
		end = bytes.IndexByte(batch, '\n')
	}
	if end < 0 {
		return batch
	}
	return batch[:end+1]
}

// account counts what became of a piece of which n bytes were written. It returns
// true when the rest of the batch was given up meanwhile.
func (s *sink) account(piece []byte, n int, err error) (over bool) {
	written := uint64(bytes.Count(piece[:n], lineFeed))
	missing := uint64(bytes.Count(piece[n:], lineFeed))
	w := s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.abandoned {
		return true
	}
	w.stats.Bytes += uint64(n)
	w.stats.Lines += written
	s.writing -= min(written+missing, s.writing)
	if missing > 0 {
		w.stats.Lost += missing
		w.unreported.Lines += missing
		w.unreported.Err = err
	}
	return false
}

var lineFeed = []byte{'\n'}

func (s *sink) givenUp() bool {
	w := s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.abandoned
}
