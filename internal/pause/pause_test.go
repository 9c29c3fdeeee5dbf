package pause_test

import (
	"errors"
	"io"
	"os"
	"testing"

	"emperor/internal/pause"
)

// read adds what comes to text until the end.
func read(from *os.File, r *pause.Reader, text *[]byte, done chan<- struct{}) {
	defer close(done)
	defer r.End()
	buffer := make([]byte, 16)
	for {
		n, err := from.Read(buffer)
		*text = append(*text, buffer[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) && r.Parked() {
			continue
		}
		if err != nil {
			return
		}
	}
}

func TestReaderStandsStill(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	var r pause.Reader
	var text []byte
	done := make(chan struct{})
	go read(from, &r, &text, done)
	for i := range 100 {
		r.Stop(from)
		before := len(text) // the reader stands still, or this is a race
		if _, err := io.WriteString(to, "x"); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			r.Stop(from) // twice is once
		}
		if len(text) != before {
			t.Fatal("it reads while it is stopped")
		}
		r.Go(from)
	}
	to.Close()
	<-done
	if len(text) != 100 {
		t.Errorf("%d bytes, want 100", len(text))
	}
	r.Stop(from) // it has ended: nothing to wait for
	r.Go(from)
}
