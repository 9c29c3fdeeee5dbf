package accesslog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// aMinute is for what must happen and takes no time.
const aMinute = time.Minute

func openLog(t testing.TB, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) == 0 {
		return nil
	}
	if text[len(text)-1] != '\n' {
		t.Errorf("%s ends in the middle of a line", path)
	}
	return strings.Split(string(text[:len(text)-1]), "\n")
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(aMinute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestWriterWritesWithoutBeingAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := NewWriter(openLog(t, path), Options{})
	for i := range 3 {
		if !w.Write(fmt.Appendf(nil, "line %d\n", i)) {
			t.Error("lost")
		}
		eventually(t, "the line is in the file", func() bool { return len(lines(t, path)) == i+1 })
	}
	if lost := w.Close(aMinute); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	if w.Write([]byte("late\n")) {
		t.Error("a line is taken after the end")
	}
	if s := w.Stats(); s != (Stats{Lines: 3, Bytes: 21, Lost: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestWriterRotation: under many writers, each line is in exactly one file, whole,
// and in the order in which its writer wrote it.
func TestWriterRotation(t *testing.T) {
	dir := t.TempDir()
	name := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	w := NewWriter(openLog(t, name(0)), Options{Queue: 64 << 20})
	const writers, each, files = 4, 2000, 20
	var running sync.WaitGroup
	rotate := make(chan struct{}) // it is time for another file
	for g := range writers {
		running.Go(func() {
			for i := range each {
				if g == 0 && i > 0 && i%(each/files) == 0 {
					rotate <- struct{}{}
				}
				if !w.Write(fmt.Appendf(nil, "%d %d %s\n", g, i, strings.Repeat("x", i%300))) {
					t.Error("lost")
				}
			}
		})
	}
	for i := 1; i < files; i++ {
		<-rotate
		w.Swap(openLog(t, name(i)))
	}
	running.Wait()
	if lost := w.Close(aMinute); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	var next [writers]int
	for i := range files {
		for _, line := range lines(t, name(i)) {
			words := strings.Split(line, " ")
			g, _ := strconv.Atoi(words[0])
			n, _ := strconv.Atoi(words[1])
			if n != next[g] || words[2] != strings.Repeat("x", n%300) {
				t.Fatalf("file %d: %q, want number %d of writer %d", i, line, next[g], g)
			}
			next[g]++
		}
	}
	if next != [writers]int{each, each, each, each} {
		t.Errorf("%v lines", next)
	}
	w.Swap(openLog(t, name(files))) // after the end: closed at once
}

// stuckPipe is a Writer to a pipe that is full: it writes nothing until it is read.
func stuckPipe(t *testing.T, o Options) (w *Writer, read *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w = NewWriter(write, o)
	line := bytes.Repeat([]byte("-"), 1000)
	line[999] = '\n'
	for range 200 { // more than the 64 KiB of a pipe
		w.Write(line)
	}
	eventually(t, "the pipe is full", func() bool {
		s := w.Stats()
		return s.Bytes >= 60_000
	})
	return w, read
}

func TestWriterLosesWhatDoesNotFitAndSaysSo(t *testing.T) {
	var reports []Loss
	w, read := stuckPipe(t, Options{Queue: 200_000, Lost: func(l Loss) { reports = append(reports, l) }})
	const many = 40_000
	refused := uint64(0)
	for i := range many { // never waits
		if !w.Write(fmt.Appendf(nil, "line %d\n", i)) {
			refused++
		}
	}
	if refused == 0 || w.Stats().Lost != refused || w.Stats().Queued > 200_000 {
		t.Errorf("%d refused, %+v", refused, w.Stats())
	}
	var got int
	var reading sync.WaitGroup
	reading.Go(func() {
		next := -1
		for s := bufio.NewScanner(read); s.Scan(); got++ {
			var n int
			if _, err := fmt.Sscanf(s.Text(), "line %d", &n); err == nil && n <= next {
				t.Errorf("%q after line %d", s.Text(), next)
			} else if err != nil && s.Text() != strings.Repeat("-", 999) {
				t.Errorf("%q", s.Text())
			} else if err == nil {
				next = n
			}
		}
	})
	if lost := w.Close(aMinute); lost != 0 {
		t.Errorf("%d lost at the end", lost)
	}
	reading.Wait()
	_ = read.Close()
	if want := many + 200 - int(refused); got != want || w.Stats().Lines != uint64(want) {
		t.Errorf("%d lines, want %d; %+v", got, want, w.Stats())
	}
	var reported uint64
	for _, r := range reports {
		reported += r.Lines
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if reported != refused {
		t.Errorf("%v reported, %d lost", reports, refused)
	}
}

func TestWriterEndsInTimeThoughTheFileTakesNothing(t *testing.T) {
	var reports []Loss
	w, read := stuckPipe(t, Options{Lost: func(l Loss) { reports = append(reports, l) }})
	lost := w.Close(10 * time.Millisecond)
	if lost == 0 || len(reports) != 1 || reports[0].Lines != lost || w.Stats().Lost != lost {
		t.Errorf("%d lost, reports %v, %+v", lost, reports, w.Stats())
	}
	written := w.Stats().Lines
	_, _ = io.Copy(io.Discard, read) // until the goroutine has ended and closed the pipe
	_ = read.Close()
	if s := w.Stats(); s.Lines != written || s.Lost != lost {
		t.Errorf("counted twice: %+v", s)
	}
}

// TestWriterSwapDoesNotWaitForAStuckFile: who hands over a new file because the old
// one hangs gets lines there at once.
func TestWriterSwapDoesNotWaitForAStuckFile(t *testing.T) {
	w, read := stuckPipe(t, Options{})
	path := filepath.Join(t.TempDir(), "log")
	w.Swap(openLog(t, path))
	w.Write([]byte("here\n"))
	eventually(t, "the line is in the new file", func() bool { return len(lines(t, path)) == 1 })
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, read) })
	if lost := w.Close(aMinute); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	reading.Wait()
	_ = read.Close()
}

func TestWriterCountsWhatAFullDiskTakesNot(t *testing.T) {
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reports []Loss
	w := NewWriter(file, Options{Lost: func(l Loss) { reports = append(reports, l) }})
	for range 3 {
		w.Write([]byte("line\n"))
	}
	if lost := w.Close(aMinute); lost != 0 {
		t.Errorf("%d given up, want all tried", lost)
	}
	var n uint64
	for _, r := range reports {
		n += r.Lines
		if !errors.Is(r.Err, syscall.ENOSPC) {
			t.Error(r.Err)
		}
	}
	if n != 3 || w.Stats().Lost != 3 || w.Stats().Lines != 0 {
		t.Errorf("%v, %+v", reports, w.Stats())
	}
}

// script is a file that takes so many bytes of each write, and then has an error.
type script struct {
	takes []int
	err   error
	got   bytes.Buffer
	sizes []int
}

func (s *script) Write(b []byte) (int, error) {
	s.sizes = append(s.sizes, len(b))
	n := len(b)
	if len(s.takes) > 0 {
		n, s.takes = min(n, s.takes[0]), s.takes[1:]
	}
	s.got.Write(b[:n])
	if n < len(b) {
		return n, s.err
	}
	return n, nil
}

func TestSinkNeverGluesLinesTogether(t *testing.T) {
	out := &script{takes: []int{8}, err: syscall.ENOSPC}
	s := &sink{writer: &Writer{}, out: out}
	s.write([]byte("first\nsecond\nthird\n"))
	s.write([]byte("fourth\n"))
	if got := out.got.String(); got != "first\nse\nfourth\n" {
		t.Errorf("%q", got)
	}
	if stats := s.writer.Stats(); stats.Lines != 2 || stats.Lost != 2 {
		t.Errorf("%+v", stats)
	}
}

// TestSinkGoesOnWhenAFileIsNotReady: another process that shares a pipe or terminal
// can make it non-blocking.
func TestSinkGoesOnWhenAFileIsNotReady(t *testing.T) {
	out := &script{takes: []int{8, 0, 1}, err: syscall.EAGAIN}
	s := &sink{writer: &Writer{}, out: out}
	s.write([]byte("first\nsecond\nthird\n"))
	if got := out.got.String(); got != "first\nsecond\nthird\n" {
		t.Errorf("%q", got)
	}
	if stats := s.writer.Stats(); stats.Lines != 3 || stats.Lost != 0 {
		t.Errorf("%+v", stats)
	}
}

// TestSinkWritesPipesInPieces: what is larger than PIPE_BUF may be mixed with what
// another process writes there; a line alone can't be made smaller.
func TestSinkWritesPipesInPieces(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	s := newSink(&Writer{}, write)
	defer write.Close()
	out := &script{}
	s.out = out
	line := strings.Repeat("x", 299) + "\n"
	batch := strings.Repeat(line, 40) + strings.Repeat("y", 5000) + "\n" + line
	s.write([]byte(batch))
	if got := out.got.String(); got != batch {
		t.Error("not what was to be written")
	}
	if want := []int{3900, 3900, 3900, 300, 5001, 300}; fmt.Sprint(out.sizes) != fmt.Sprint(want) {
		t.Errorf("pieces of %v, want %v", out.sizes, want)
	}
}

func TestWriterDoesNotCloseStandardOutput(t *testing.T) {
	NewWriter(os.Stdout, Options{}).Close(aMinute)
	if _, err := os.Stdout.Stat(); err != nil {
		t.Error(err)
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	w := NewWriter(openLog(t, os.DevNull), Options{})
	defer w.Close(aMinute)
	line := bytes.Repeat([]byte("x"), 200)
	line[199] = '\n'
	for range 1000 {
		w.Write(line) // its buffers grow
	}
	if n := testing.AllocsPerRun(1000, func() { w.Write(line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkEntry is the whole cost of a line: formatted, queued, written to a file.
// Lines come as fast as one core can make them, some twenty times what a front has.
func BenchmarkEntry(b *testing.B) {
	for _, name := range []string{"combined", "json"} {
		b.Run(name, func(b *testing.B) {
			format := compile(b, name)
			w := NewWriter(openLog(b, filepath.Join(b.TempDir(), "log")), Options{Queue: 8 << 20})
			e := full()
			e.UserAgent = []byte("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
			b.ReportAllocs()
			line := make([]byte, 0, 4096)
			before := cpu(b)
			for b.Loop() {
				line = format.Append(line[:0], e)
				w.Write(line)
			}
			b.StopTimer()
			w.Close(aMinute)
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
			if s := w.Stats(); s.Lost > 0 {
				b.ReportMetric(float64(s.Lost)/float64(s.Lost+s.Lines), "lost/line")
			}
		})
	}
}

// cpu is the processor time that this process has used: other than the clock's, it
// means something on a machine that does other things too.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
