package relay

import (
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"emperor/router/upstream"
)

// mouth is a Side in memory: what is said into it is read, and what is written to it
// can be heard.
type mouth struct {
	said, heard chan string
	ended       chan struct{} // our direction
	aborted     chan struct{}
	once        sync.Once
}

func newMouth() *mouth {
	return &mouth{said: make(chan string), heard: make(chan string, 100), ended: make(chan struct{}), aborted: make(chan struct{})}
}

func (m *mouth) Read(b []byte) (int, error) {
	select {
	case text, open := <-m.said:
		if !open {
			return 0, io.EOF
		}
		return copy(b, text), nil
	case <-m.aborted:
		return 0, upstream.ErrAborted
	}
}

func (m *mouth) Write(b []byte) (int, error) {
	m.heard <- string(b)
	return len(b), nil
}

func (m *mouth) CloseWrite() error {
	close(m.ended)
	return nil
}

func (m *mouth) Abort() { m.once.Do(func() { close(m.aborted) }) }

// TestSilence: what counts is the silence of both, also after one has ended.
func TestSilence(t *testing.T) {
	const idle = 10 * time.Minute
	for name, test := range map[string]struct {
		play func(client, server *mouth)
		want time.Duration
	}{
		"of both":         {play: func(_, _ *mouth) {}, want: idle},
		"of the client":   {play: func(_, server *mouth) { talk(server, 4) }, want: 4*9*time.Minute + idle},
		"of the upstream": {play: func(client, _ *mouth) { talk(client, 4) }, want: 4*9*time.Minute + idle},
		"after the client's end": {play: func(client, server *mouth) {
			time.Sleep(time.Minute)
			close(client.said)
			<-server.ended
			talk(server, 3)
		}, want: time.Minute + 3*9*time.Minute + idle},
		"after the upstream's end": {play: func(client, server *mouth) {
			close(server.said)
			<-client.ended
			talk(client, 1)
		}, want: 9*time.Minute + idle},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, lasting := newMouth(), newMouth(), time.Duration(0)
				began := time.Now()
				r := New(client, server, Options{Idle: idle, Owner: &owner{lasts: func() { lasting += time.Since(began) }}})
				var playing sync.WaitGroup
				playing.Go(func() { test.play(client, server) })
				got := r.Run()
				if took := time.Since(began); got.Reason != Idle || took != test.want {
					t.Errorf("%q after %v, want %q after %v", got.Reason, took, Idle, test.want)
				}
				if lasting != aWhile {
					t.Errorf("told that it lasts after %v, want once, after %v", lasting, aWhile)
				}
				playing.Wait()
			})
		})
	}
}

// talk says a word every nine minutes.
func talk(m *mouth, words int) {
	for range words {
		time.Sleep(9 * time.Minute)
		m.said <- "word"
	}
}

// TestNoSilenceIsTooLong without a limit, and nobody is told of what does not last.
func TestNoSilenceIsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newMouth(), newMouth()
		r := New(client, server, Options{})
		var stopping sync.WaitGroup
		stopping.Go(func() {
			time.Sleep(1000 * time.Hour)
			r.Stop("enough")
		})
		if got := r.Run(); got.Reason != "enough" {
			t.Errorf("ended with %+v", got)
		}
		stopping.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		client, server := newMouth(), newMouth()
		close(client.said)
		close(server.said)
		r := New(client, server, Options{Idle: time.Hour, Owner: &owner{lasts: func() { t.Error("it lasts") }}})
		r.Run()
		time.Sleep(2 * time.Hour)
	})
}
