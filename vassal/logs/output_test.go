package logs

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"emperor/internal/testlog"
	"emperor/vassal/clock"

	"golang.org/x/sys/unix"

	"emperor/internal/logsink"
)

// collect gives what a capture makes of some output.
func collect(t *testing.T, log io.Writer, text string) *Output {
	t.Helper()
	sink := logsink.New(logsink.Options{Device: logsink.NewStream(log)})
	defer sink.Close(time.Minute)
	out := NewOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), []logsink.Destination{{Sink: sink, Format: func() logsink.Format { return nil }}}), clock.System{})
	c, err := NewCapture(out, 7)
	if err != nil {
		t.Fatal(err)
	}
	for rest := []byte(text); len(rest) > 0; {
		n, err := unix.Write(c.Write, rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	c.Finish()
	out.Close()
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
			for _, l := range collect(t, io.Discard, test.text).Lines(0) {
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
	lines := collect(t, io.Discard, text.String()).Lines(0)
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
	out := NewOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), []logsink.Destination{{Sink: sink, Format: func() logsink.Format { return nil }}}), clock.System{})
	c, err := NewCapture(out, 1)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("a line\n", 1<<20))
	for len(text) > 0 {
		n, err := unix.Write(c.Write, text) // would block for ever if nobody read
		if err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	c.Finish()
	out.Close()
	close(log.release)
	sink.Close(time.Minute)
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
	out := NewOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), nil), clock.System{})
	c, err := NewCapture(out, 1)
	if err != nil {
		t.Fatal(err)
	}
	out.mu.Lock() // nobody gets further than the first line
	text := strings.Repeat("a line\n", 9000) + "the last one\n"
	if _, err := unix.Write(c.Write, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.read.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	out.mu.Unlock()
	<-c.ended
	if lines := out.Lines(1); len(lines) != keptLines || lines[keptLines-1].Text != "the last one" {
		t.Errorf("the last lines are %v", lines)
	}
	c.Finish()
	out.Close()
}

func TestFollow(t *testing.T) {
	out := NewOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), nil), clock.System{})
	out.Add(1, []byte("before\n"))
	last, coming, stop := out.Follow()
	if len(last) != 1 || last[0].Text != "before" {
		t.Errorf("last %v", last)
	}
	_, idle, _ := out.Follow() // never reads
	for i := range 2 * followerLines {
		out.Add(1, fmt.Appendln(nil, i))
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
	out.Close()
	n := 0
	for range idle {
		n++
	}
	if n != followerLines {
		t.Errorf("the idle follower has %d lines, want %d", n, followerLines)
	}
	if _, ch, _ := out.Follow(); ch != nil {
		if _, open := <-ch; open {
			t.Error("following one that is gone gives lines")
		}
	}
}

// TestFinishDoesNotWaitForStrangers: somebody else still has the pipe.
func TestFinishDoesNotWaitForStrangers(t *testing.T) {
	out := NewOutput("site", logsink.NewSet(slog.New(slog.DiscardHandler), nil), clock.System{})
	c, err := NewCapture(out, 1)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := unix.Dup(c.Write)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	done := make(chan struct{})
	go func() { c.Finish(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("finish waits for the other end")
	}
	out.Close()
}
