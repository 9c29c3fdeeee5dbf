package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"emperor/internal/testlog"
)

// place is a device that does what a test wants.
type place struct {
	mu   sync.Mutex
	text bytes.Buffer
	fail error         // of the next writes, after half of what is given
	gate chan struct{} // not nil: writes wait for it
	gone bool          // another place has its name: at the next look all is well
}

func (p *place) Write(b []byte) (int, error) {
	if p.gate != nil {
		<-p.gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		p.text.Write(b[:len(b)/2])
		return len(b) / 2, p.fail
	}
	return p.text.Write(b)
}

func (p *place) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

func (p *place) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *place) Reopen() error { return nil }
func (p *place) Rotate() error { return nil }
func (p *place) Close()        {}

func (p *place) Look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		p.fail = nil
	}
}

// TestNoSpaceLeft: an error in the middle of a line is said once; when there is space
// again the line is completed and nothing is missing.
func TestNoSpaceLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, p := &testlog.Text{}, &place{fail: syscall.ENOSPC}
		k := New(Options{Name: "disk", Device: p, Log: slog.New(slog.NewTextHandler(said, nil))})
		s := k.Source("shop", nil)
		for i := range 50 {
			s.Write(&Message{Time: time.Now()}, fmt.Appendf(nil, "line %d\n", i))
			time.Sleep(100 * time.Millisecond)
		}
		p.set(nil)
		k.Close(time.Minute)
		var want strings.Builder
		for i := range 50 {
			fmt.Fprintf(&want, "line %d\n", i)
		}
		if p.String() != want.String() {
			t.Errorf("%q", p)
		}
		if text := said.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "no space left") || !strings.Contains(text, "written again") {
			t.Errorf("said: %s", text)
		}
	})
}

// TestFullFileIsRemoved: a file that cannot be written is looked at nevertheless, for who
// removes it, or moves it away, does that to have room.
func TestFullFileIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{fail: syscall.ENOSPC}
		k := New(Options{Name: "disk", Device: p, Log: slog.New(slog.DiscardHandler)})
		s := k.Source("shop", nil)
		s.Write(&Message{Time: time.Now()}, []byte("one\n"))
		time.Sleep(10 * time.Second)
		p.mu.Lock()
		p.gone = true
		p.mu.Unlock()
		time.Sleep(2 * time.Second)
		if !strings.HasSuffix(p.String(), "\n") {
			t.Errorf("%q", p)
		}
		k.Close(time.Minute)
	})
}

// TestHangingPlace: it holds nobody up for longer than patience, once; what is lost is
// said once for the burst, by whole lines and with the vassal's name; and another's
// lines are not lost.
func TestHangingPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, p := &testlog.Text{}, &place{gate: make(chan struct{})}
		k := New(Options{Name: "disk", Device: p, Log: slog.New(slog.NewTextHandler(said, nil))})
		loud, quiet := k.Source("loud", nil), k.Source("quiet", NewText(false))
		began := time.Now()
		piece := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 640))
		const pieces = 1000
		for range pieces {
			loud.Write(&Message{Time: time.Now()}, piece)
		}
		if took := time.Since(began); took > patience {
			t.Errorf("the vassal was held up for %v", took)
		}
		quiet.Write(&Message{Time: time.Now(), Vassal: "quiet"}, []byte("here I am\n"))
		time.Sleep(time.Minute) // it goes on hanging
		if queued := k.queued.Load(); queued > queueSize+2*BufferSize {
			t.Errorf("%d bytes are queued", queued)
		}
		close(p.gate)
		synctest.Wait()
		loud.Write(&Message{Time: time.Now()}, []byte("and again\n"))
		k.Close(time.Minute)
		text := p.String()
		if !strings.Contains(text, "\nquiet | here I am\n") || !strings.HasSuffix(text, "\nand again\n") {
			t.Error("lines are missing that had room")
		}
		lost, whole := 0, 0
		for line := range strings.Lines(text) {
			var n int
			switch {
			case line == string(piece[:100]):
				whole++
			case strings.HasPrefix(line, "[emperor] "):
				fmt.Sscanf(line, "[emperor] %d lines are missing", &n)
				lost += n
			}
		}
		if lost+whole != pieces*640 || lost == 0 {
			t.Errorf("%d lines are there and %d lost, of %d", whole, lost, pieces*640)
		}
		if text := said.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, fmt.Sprintf("lines=%d to=disk vassal=loud", lost)) {
			t.Errorf("said: %s", text)
		}
	})
}

// TestTurns: who has little to say does not wait for who has much.
func TestTurns(t *testing.T) {
	p := &place{gate: make(chan struct{})}
	k := New(Options{Device: p})
	loud, quiet := k.Source("loud", nil), k.Source("quiet", nil)
	write(loud, "first\n")
	p.gate <- struct{}{} // "first" is being written; what follows queues up
	for range 100 {
		write(loud, strings.Repeat("noise\n", 1000))
	}
	write(quiet, "me\n")
	close(p.gate)
	k.Close(deadline)
	text := p.String()
	if at := strings.Index(text, "me\n"); at < 0 || len(text) < 600000 {
		t.Fatalf("%d bytes, the quiet one's at %d", len(text), at)
	}
}

// TestCloseDoesNotWaitForEver: a place that hangs at the end is left alone.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, p := &testlog.Text{}, &place{fail: errors.New("broken")}
		k := New(Options{Name: "disk", Device: p, Log: slog.New(slog.NewTextHandler(said, nil))})
		write(k.Source("", nil), "one\ntwo\nthree\nfour\n")
		began := time.Now()
		k.Close(5 * time.Second)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
		if !strings.Contains(said.String(), "lines were lost: the log cannot be written") {
			t.Errorf("said: %s", said)
		}
	})
}
