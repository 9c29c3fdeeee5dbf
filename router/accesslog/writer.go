package accesslog

import (
	"os"
	"sync"
	"time"
)

// Options of a Writer. The zero value is usable.
type Options struct {
	// Queue is how many bytes of lines may wait for the file; 0 means 1 MiB. While
	// the file is slow, as much again is on its way there.
	Queue int

	// Lost is called when lines were lost since it was last called: from a goroutine
	// of the writer, at most once in ten seconds, and a last time by Close. nil: they
	// are only counted.
	Lost func(Loss)
}

// Loss is what was lost and why.
type Loss struct {
	Lines uint64
	Err   error // of the last write that failed; nil: the file was too slow
}

// Stats are counts since the Writer was made, but for Queued.
type Stats struct {
	Lines  uint64 // that reached a file
	Bytes  uint64 // that reached a file
	Lost   uint64 // lines that did not
	Queued int    // bytes that wait now
}

const (
	defaultQueue   = 1 << 20
	reportInterval = 10 * time.Second
)

// Writer brings lines to a file without making anybody wait.
type Writer struct {
	most   int
	report func(Loss)
	sinks  sync.WaitGroup

	mu         sync.Mutex
	current    *sink     // guarded by mu; nil when closed
	open       []*sink   // guarded by mu; whose goroutine runs: current and those that finish
	stats      Stats     // guarded by mu
	unreported Loss      // guarded by mu
	reported   time.Time // guarded by mu; when Lost was last called
}

// NewWriter returns a Writer to file, which it owns from now on: it closes it when
// it has no more to write to it (but for os.Stdout and os.Stderr). Its goroutine
// ends with Close.
func NewWriter(file *os.File, o Options) *Writer {
	w := &Writer{most: o.Queue, report: o.Lost}
	if w.most <= 0 {
		w.most = defaultQueue
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start(file)
	return w
}

// start makes file the current one. Guarded by mu.
func (w *Writer) start(file *os.File) {
	s := newSink(w, file)
	w.current = s
	w.open = append(w.open, s)
	w.sinks.Go(s.run)
}

// Write queues a copy of a line, which ends with its line feed. It never waits; it
// returns false when the line is lost because the queue is full or the Writer is
// closed.
func (w *Writer) Write(line []byte) bool {
	w.mu.Lock()
	s := w.current
	if s == nil || len(s.queue)+len(line) > w.most {
		w.stats.Lost++
		w.unreported.Lines++
		w.mu.Unlock()
		return false
	}
	s.queue = append(s.queue, line...)
	s.queued++
	wake := s.sleeps && (!s.rests || len(s.queue) >= w.most/2)
	if wake {
		s.sleeps = false
	}
	w.mu.Unlock()
	if wake {
		s.ring()
	}
	return true
}

// Swap makes the lines from now on go to another file, which the Writer owns then;
// what is queued already still goes to the one before. It returns at once. After a
// rotation (the file was renamed and a new one opened) no line is lost or torn.
func (w *Writer) Swap(file *os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil {
		closeFile(file)
		return
	}
	w.current.finish()
	w.start(file)
}

// Stats tells how it goes.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	stats := w.stats
	for _, s := range w.open {
		stats.Queued += len(s.queue)
	}
	return stats
}

// Close writes what is queued, for at most the time given, and closes the file. It
// returns the number of lines that could not be written any more: then the file
// takes nothing, and a goroutine waits for it until it does. Write returns false
// from now on.
func (w *Writer) Close(within time.Duration) (lost uint64) {
	w.mu.Lock()
	for _, s := range w.open {
		s.finish()
	}
	w.current = nil
	w.mu.Unlock()
	done := make(chan struct{})
	go func() {
		w.sinks.Wait()
		close(done)
	}()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	w.mu.Lock()
	for _, s := range w.open {
		lost += s.abandon()
	}
	w.stats.Lost += lost
	w.unreported.Lines += lost
	loss := w.takeLoss()
	w.mu.Unlock()
	w.tell(loss)
	return lost
}

// untilReport is how long it takes until a loss may be reported; ok is false when
// there is none. Guarded by mu.
func (w *Writer) untilReport() (d time.Duration, ok bool) {
	return max(time.Until(w.reported.Add(reportInterval)), 0), w.unreported.Lines > 0 && w.report != nil
}

// takeLoss is what is to be reported now. Guarded by mu.
func (w *Writer) takeLoss() Loss {
	loss := w.unreported
	if loss.Lines > 0 {
		w.unreported = Loss{}
		w.reported = time.Now()
	}
	return loss
}

func (w *Writer) tell(loss Loss) {
	if loss.Lines > 0 && w.report != nil {
		w.report(loss)
	}
}

// closeFile closes a file, unless others need it.
func closeFile(file *os.File) {
	if file != os.Stdout && file != os.Stderr {
		_ = file.Close()
	}
}
