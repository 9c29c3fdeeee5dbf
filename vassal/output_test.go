package vassal

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"emperor/internal/testlog"

	"golang.org/x/sys/unix"

	"emperor/internal/logsink"
)

// collect gives what a capture makes of some output.
func collect(t *testing.T, log io.Writer, text string) *output {
	t.Helper()
	sink := logsink.New(logsink.Options{Device: logsink.NewStream(log)})
	defer sink.Close(deadline)
	out := newOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), []logsink.Destination{{Sink: sink, Format: func() logsink.Format { return nil }}}), systemClock{})
	c, err := newCapture(out, 7)
	if err != nil {
		t.Fatal(err)
	}
	for rest := []byte(text); len(rest) > 0; {
		n, err := unix.Write(c.write, rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	c.finish()
	out.close()
	return out
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"lines", "one\ntwo\r\n\nfour", []string{"one", "two", "", "four"}},
		{"long", long + "y\nend\n", []string{long, "end"}},
		{"just as long", long[1:] + "\nend\n", []string{long[1:], "end"}},
		{"not text", "a\xff\x00b\n", []string{"a\uFFFD\x00b"}},
		{"nothing", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, l := range collect(t, io.Discard, test.text).lines(0) {
				if l.Generation != 7 || l.Time.IsZero() {
					t.Errorf("line %+v", l)
				}
				got = append(got, l.Text)
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
				t.Errorf("lines %.200q, want %.200q", got, test.want)
			}
		})
	}
}

func TestOnlyTheLastLinesAreKept(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintln(&text, i)
	}
	lines := collect(t, io.Discard, text.String()).lines(0)
	if len(lines) != keptLines || lines[0].Text != "80" || lines[keptLines-1].Text != "99" {
		t.Errorf("%d lines, %q to %q", len(lines), lines[0].Text, lines[len(lines)-1].Text)
	}
}

// blocked is a log that takes nothing before it is released.
type blocked struct {
	release chan struct{}
	testlog.Text
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.release
	return b.Text.Write(p)
}

// TestSlowLog: the vassal does not wait for it, and what is lost is said, in its place
// and with the vassal's name.
func TestSlowLog(t *testing.T) {
	said := &testlog.Text{}
	log := &blocked{release: make(chan struct{})}
	sink := logsink.New(logsink.Options{Name: "the log", Device: logsink.NewStream(log), Log: slog.New(slog.NewTextHandler(said, nil))})
	out := newOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), []logsink.Destination{{Sink: sink, Format: func() logsink.Format { return nil }}}), systemClock{})
	c, err := newCapture(out, 1)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("a line\n", 1<<20))
	for len(text) > 0 {
		n, err := unix.Write(c.write, text) // would block for ever if nobody read
		if err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	c.finish()
	out.close()
	close(log.release)
	sink.Close(deadline)
	if !strings.Contains(said.String(), "vassal=site") || !strings.Contains(said.String(), "lines were lost") {
		t.Errorf("the loss is not said: %q", said)
	}
	if text := log.String(); !strings.HasSuffix(text, "lines are missing here: they came faster than the log takes them\n") {
		t.Errorf("the log ends with %q", text[max(0, len(text)-200):])
	}
}

// TestLateReader: a machine may be so busy that nothing is read in the time that
// finish gives; what was written before is taken all the same.
func TestLateReader(t *testing.T) {
	out := newOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), nil), systemClock{})
	c, err := newCapture(out, 1)
	if err != nil {
		t.Fatal(err)
	}
	out.mu.Lock() // nobody gets further than the first line
	text := strings.Repeat("a line\n", 9000) + "the last one\n"
	if _, err := unix.Write(c.write, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.read.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	out.mu.Unlock()
	<-c.ended
	if lines := out.lines(1); len(lines) != keptLines || lines[keptLines-1].Text != "the last one" {
		t.Errorf("the last lines are %v", lines)
	}
	c.finish()
	out.close()
}

func TestFollow(t *testing.T) {
	out := newOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), nil), systemClock{})
	out.add(1, []byte("before\n"))
	last, coming, stop := out.follow()
	if len(last) != 1 || last[0].Text != "before" {
		t.Errorf("last %v", last)
	}
	_, idle, _ := out.follow() // never reads
	for i := range 2 * followerLines {
		out.add(1, fmt.Appendln(nil, i))
		if i < followerLines {
			if l := <-coming; l.Text != fmt.Sprint(i) {
				t.Fatalf("line %q, want %d", l.Text, i)
			}
		}
	}
	stop()
	stop()
	for range coming {
	}
	out.close()
	n := 0
	for range idle {
		n++
	}
	if n != followerLines {
		t.Errorf("the idle follower has %d lines, want %d", n, followerLines)
	}
	if _, ch, _ := out.follow(); ch != nil {
		if _, open := <-ch; open {
			t.Error("following one that is gone gives lines")
		}
	}
}

// TestFinishDoesNotWaitForStrangers: somebody else still has the pipe.
func TestFinishDoesNotWaitForStrangers(t *testing.T) {
	out := newOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), nil), systemClock{})
	c, err := newCapture(out, 1)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := unix.Dup(c.write)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	done := make(chan struct{})
	go func() { c.finish(); close(done) }()
	select {
	case <-done:
	case <-time.After(deadline):
		t.Fatal("finish waits for the other end")
	}
	out.close()
}
