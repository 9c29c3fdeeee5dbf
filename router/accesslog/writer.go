package accesslog

import (
	"os"
	"time"
)

// Options of a Writer. The zero value is usable.
type Options struct {
	// Queue is how many bytes of lines may wait for the file; 0 means 1 MiB. Twice
	// as much memory is used while the file is slow.
	Queue int

	// Lost is called from the writer's goroutine, at most once in ten seconds and
	// once by Close, when lines were lost since it was last called. nil: only counted.
	Lost func(Loss)
}

// Loss is what was lost and why.
type Loss struct {
	Lines uint64
	Err   error // of the last write that failed; nil: the file was too slow
}

// Stats are counts since the Writer was made, but for Queued.
type Stats struct {
	Lines  uint64 // handed to the file
	Lost   uint64 // lines that were not
	Bytes  uint64 // handed to the file
	Queued int    // bytes that wait now
}

// Writer brings lines to a file without making anybody wait.
type Writer struct{}

// NewWriter returns a Writer to file, which it owns from now on: it closes it when
// it has no more to write to it (but for os.Stdout and os.Stderr). Its goroutine
// ends with Close.
func NewWriter(file *os.File, o Options) *Writer { return &Writer{} }

// Write queues a copy of one or more whole lines. It never waits; it returns false
// when they are lost because the queue is full or the Writer is closed.
func (w *Writer) Write(lines []byte) bool { return true }

// Swap makes the lines from now on go to another file, which the Writer owns then;
// what is queued already still goes to the one before. It returns at once. After a
// rotation (the file was renamed and a new one opened) no line is lost or torn.
func (w *Writer) Swap(file *os.File) {}

// Stats tells how it goes.
func (w *Writer) Stats() Stats { return Stats{} }

// Close writes what is queued, for at most the time given, and closes the file. It
// returns the number of lines that could not be written any more. Write returns
// false from now on.
func (w *Writer) Close(within time.Duration) (lost uint64) { return 0 }
