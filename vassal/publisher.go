package vassal

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"emperor/internal/link"
)

// answerTime is how long the router may take to acknowledge anything. It takes
// less than a millisecond; a router that is being restarted must not hold up a vassal.
const answerTime = 5 * time.Second

// publisher brings a vassal's row of the table to the router, in order and
// without making the vassal wait: rows that are outdated before they are sent
// are skipped. It has a goroutine only while there is something to send.
type publisher struct {
	front Front
	log   *slog.Logger

	mu      sync.Mutex // guards what follows
	last    link.Vassal
	next    *link.Vassal
	put     uint64 // rows given so far
	done    uint64 // of these, acknowledged (or given up, or skipped)
	changed chan struct{}
	sending bool
	senders sync.WaitGroup
}

func newPublisher(front Front, log *slog.Logger) *publisher {
	return &publisher{front: front, log: log, changed: make(chan struct{})}
}

// publish sends a row, unless it says the same as the one before it. The number
// is for wait.
func (p *publisher) publish(row link.Vassal) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.front == nil || p.put > 0 && sameRow(row, p.last) {
		return p.put
	}
	p.last = row
	p.next = &row
	p.put++
	if !p.sending {
		p.sending = true
		p.senders.Go(p.send)
	}
	return p.put
}

// sameRow compares everything that the router is sent. The state of an open folder
// belongs to others.
func sameRow(a, b link.Vassal) bool {
	if a.Opened != b.Opened {
		return false
	}
	a.Opened, b.Opened = nil, nil
	return reflect.DeepEqual(a, b)
}

func (p *publisher) send() {
	for {
		p.mu.Lock()
		row, number := p.next, p.put
		p.next = nil
		if row == nil {
			p.sending = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		// Also when the vassal ends: the router must learn that it is gone.
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		if err := p.front.Publish(ctx, *row); err != nil {
			p.log.Warn("the router did not acknowledge a change", "state", row.State, "err", err)
		}
		cancel()
		p.mu.Lock()
		p.done = number
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// wait returns when the router knows the row with that number, or has failed to
// say so, or ctx ended.
func (p *publisher) wait(ctx context.Context, number uint64) {
	for {
		p.mu.Lock()
		done, changed := p.done, p.changed
		p.mu.Unlock()
		if done >= number || p.front == nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// close waits until everything was sent.
func (p *publisher) close() { p.senders.Wait() }
