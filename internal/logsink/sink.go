package logsink

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// retryEvery is how often a place that failed is tried again.
	retryEvery = time.Second
	// lookEvery is how often a place is looked at that lines go to: a file may have been
	// moved away, a touch-file touched.
	lookEvery = time.Second
	// burstPause without a loss ends a burst of losses; one that does not end is said
	// every burstLimit.
	burstPause = time.Second
	burstLimit = 10 * time.Second
	// smallBatch is what a place is given at once at most: between two of them orders
	// are heard.
	smallBatch = 256 << 10
)

// Device is a place. Its methods are called by one goroutine, but for Close, which
// comes last.
type Device interface {
	// Write takes whole records (framed: each with its length in front) and returns how
	// many bytes it has taken. With an error the rest is offered again, later.
	Write(p []byte) (n int, err error)
	// Reopen and Rotate are orders; a place that is no file does nothing.
	Reopen() error
	Rotate() error
	// Look sees whether something happened to the place.
	Look()
	Close()
}

// Options of a Sink.
type Options struct {
	Name   string // how it is called in messages
	Device Device
	Framed bool // the device takes single records (datagrams), not a stream
	// Watched: Look is called also while no lines come.
	Watched bool
	Log     *slog.Logger // for what happens to the sink; must not lead back to it
	// Complaints has what was said of places by sinks before this one; nil: nothing.
	Complaints *Complaints
	// Lose is called with what was lost, once for each burst; nil: Log says it.
	Lose func(vassal string, lines uint64)
}

// Sink is one place and the goroutine that writes to it.
type Sink struct {
	Options
	framed bool
	queued atomic.Int64 // bytes in all queues
	// writing is true while the goroutine has taken something that is not written yet.
	writing atomic.Bool
	wake    chan struct{}
	done    chan struct{}
	quit    chan struct{} // closed when there is no more time

	mu      sync.Mutex
	ready   []*Source   // guarded by mu; that have something, in turn
	lossy   []*Source   // guarded by mu; whose losses are to be said
	orders  []order     // guarded by mu
	closing bool        // guarded by mu
	spare   []byte      // the goroutine's
	serving *Source     // the goroutine's; whose lines are being written
	failing error       // the goroutine's; what was said of the place
	looked  time.Time   // the goroutine's
	timer   *time.Timer // the goroutine's
}

type order struct {
	rotate bool
	reply  chan error // buffered
}

// New starts a Sink. Close ends it.
func New(o Options) *Sink {
	k := &Sink{Options: o, framed: o.Framed, wake: make(chan struct{}, 1), done: make(chan struct{}), quit: make(chan struct{})}
	if k.Log == nil {
		k.Log = slog.New(slog.DiscardHandler)
	}
	go k.run() // ends with Close
	return k
}

// Source makes a way in. A nil format takes lines as they are.
func (k *Sink) Source(vassal string, f Format) *Source {
	return &Source{sink: k, vassal: vassal, format: f}
}

func (k *Sink) now() time.Time { return time.Now() }

// Reopen has the place opened anew, as after somebody has moved its file away, when
// what was queued before is written.
func (k *Sink) Reopen() <-chan error { return k.order(false) }

// Rotate has the file renamed and a new one begun.
func (k *Sink) Rotate() <-chan error { return k.order(true) }

func (k *Sink) order(rotate bool) <-chan error {
	reply := make(chan error, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		reply <- nil
		return reply
	}
	k.orders = append(k.orders, order{rotate, reply})
	k.ring()
	return reply
}

// ring wakes the goroutine.
func (k *Sink) ring() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// wakeFor tells that a source has something. The source's lock is held.
func (k *Sink) wakeFor(s *Source) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !s.listed && len(s.queue) > 0 {
		s.listed = true
		k.ready = append(k.ready, s)
		k.ring()
	}
}

// noteLoss counts what is to be said.
func (k *Sink) noteLoss(s *Source, lines uint64) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.unsaid == 0 {
		s.lostFirst = now
		k.lossy = append(k.lossy, s)
		k.ring() // so that it wakes to say it
	}
	s.unsaid += lines
	s.lostAt = now
}

// sayLosses says what is ripe; wait is how long until there is more, 0: there is none.
func (k *Sink) sayLosses(all bool) (wait time.Duration) {
	type loss struct {
		vassal string
		lines  uint64
	}
	var say []loss
	now := k.now()
	k.mu.Lock()
	k.lossy = slices.DeleteFunc(k.lossy, func(s *Source) bool {
		ripe := min(s.lostAt.Add(burstPause).Sub(now), s.lostFirst.Add(burstLimit).Sub(now))
		if ripe > 0 && !all {
			if wait == 0 || ripe < wait {
				wait = ripe
			}
			return false
		}
		say = append(say, loss{s.vassal, s.unsaid})
		s.unsaid = 0
		return true
	})
	k.mu.Unlock()
	for _, l := range say {
		if k.Lose != nil {
			k.Lose(l.vassal, l.lines)
			continue
		}
		attrs := []any{"lines", l.lines, "to", k.Name}
		if l.vassal != "" {
			attrs = append(attrs, "vassal", l.vassal)
		}
		if k.failing != nil {
			k.Log.Warn("lines were lost: the log cannot be written", attrs...)
			continue
		}
		k.Log.Warn("lines were lost: they came faster than the log takes them", attrs...)
	}
	return wait
}

func (k *Sink) run() {
	defer close(k.done)
	k.timer = time.NewTimer(time.Hour)
	defer k.timer.Stop()
	for {
		k.obey()
		s, closing := k.next()
		if s != nil {
			k.writing.Store(true)
			k.serving = s
			k.lookNow() // first: what was moved away may be compressed already
			batch := s.take(k.spare)
			if !k.write(batch) {
				return
			}
			if k.spare = batch[:0]; cap(k.spare) > 4*queueSize {
				k.spare = nil
			}
			k.writing.Store(false)
			continue
		}
		wait := k.sayLosses(closing)
		if closing {
			return
		}
		if cap(k.spare) > keptBuffer {
			k.spare = nil
		}
		k.await(wait)
	}
}

// next takes the source whose turn it is.
func (k *Sink) next() (s *Source, closing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ready) == 0 {
		return nil, k.closing && len(k.orders) == 0
	}
	s = k.ready[0]
	k.ready[0] = nil
	k.ready = k.ready[1:]
	s.listed = false
	return s, false
}

// await sleeps until there is something to do.
func (k *Sink) await(wait time.Duration) {
	if k.Watched && (wait == 0 || wait > lookEvery) {
		wait = lookEvery
	}
	var over <-chan time.Time
	if wait > 0 {
		k.timer.Reset(wait)
		over = k.timer.C
	}
	select {
	case <-k.wake:
	case <-over:
	}
	if k.Watched {
		k.lookNow()
	}
}

// lookNow looks at the place, if it is time.
func (k *Sink) lookNow() {
	if now := k.now(); now.Sub(k.looked) >= lookEvery {
		k.looked = now
		k.Device.Look()
	}
}

// obey carries out orders.
func (k *Sink) obey() {
	k.mu.Lock()
	orders := k.orders
	k.orders = nil
	k.mu.Unlock()
	for _, o := range orders {
		if o.rotate {
			o.reply <- k.Device.Rotate()
		} else {
			o.reply <- k.Device.Reopen()
		}
	}
}

// write brings a batch to the place, however long that takes; false: there is no more
// time.
func (k *Sink) write(batch []byte) bool {
	for len(batch) > 0 {
		n, err := k.Device.Write(batch[:k.cut(batch)])
		batch = batch[n:]
		if n > 0 && err == nil && k.failing != nil {
			k.failing = nil
			k.Complaints.over(k.Name)
			k.Log.Info("the log is written again", "to", k.Name)
		}
		if err == nil {
			k.obey()
			continue
		}
		if k.gone(batch) {
			return false
		}
		pause := retryEvery
		if errors.Is(err, syscall.EAGAIN) {
			pause = 10 * time.Millisecond // somebody else has made the pipe or terminal non-blocking
		} else if k.failing == nil || k.failing.Error() != err.Error() {
			k.failing = err
			if k.Complaints.isNew(k.Name, err.Error()) {
				k.Log.Error("the log cannot be written; trying again every second", "to", k.Name, "err", err)
			}
		}
		if !k.pause(pause, batch) {
			return false
		}
	}
	return true
}

// cut gives the end of the last whole record within what is written at once.
func (k *Sink) cut(batch []byte) int {
	if len(batch) <= smallBatch {
		return len(batch)
	}
	if k.framed {
		end := 0
		for end < smallBatch {
			_, size := nextFrame(batch[end:])
			end += size
		}
		return end
	}
	for end := smallBatch; end < len(batch); end++ {
		if batch[end-1] == '\n' {
			return end
		}
	}
	return len(batch)
}

// pause waits before a retry, and hears orders meanwhile. Losses are said, too: while
// a place fails they are what happens.
func (k *Sink) pause(d time.Duration, left []byte) bool {
	end := k.now().Add(d)
	for {
		k.timer.Reset(max(end.Sub(k.now()), 0))
		select {
		case <-k.timer.C:
			k.sayLosses(false)
			k.lookNow() // who removes a full file has room only when it is closed here, too
			return !k.gone(left)
		case <-k.quit:
			return !k.gone(left)
		case <-k.wake:
		}
		k.mu.Lock()
		orders, closing := len(k.orders), k.closing
		k.mu.Unlock()
		if orders > 0 {
			k.obey()
			return true // it may be better now
		}
		if closing && d >= retryEvery {
			return !k.gone(left) // one more try, and no second one
		}
	}
}

// gone gives up when there is no more time for what is left.
func (k *Sink) gone(left []byte) bool {
	select {
	case <-k.quit:
	default:
		return false
	}
	k.noteLoss(k.serving, records(left, k.framed))
	k.mu.Lock()
	ready := k.ready
	k.ready = nil
	k.mu.Unlock()
	for _, s := range ready {
		k.noteLoss(s, records(s.take(nil), k.framed))
	}
	k.sayLosses(true)
	return true
}

// Close writes what is queued, for at most that long, and closes the place. A place
// that hangs keeps its goroutine until it does not.
func (k *Sink) Close(within time.Duration) {
	k.mu.Lock()
	already := k.closing
	k.closing = true
	k.mu.Unlock()
	k.ring()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-k.done:
	case <-timer.C:
		if !already {
			close(k.quit)
		}
		select {
		case <-k.done:
		case <-time.After(patience):
			return
		}
	}
	if !already {
		k.Device.Close()
	}
}
