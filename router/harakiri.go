package router

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"emperor/router/upstream"
)

// A program's harakiri is how long it may work on one request until its answer begins.
// uWSGI keeps it itself, by killing the worker. Of any other program nobody knows which
// process has the request, so it is kept here, for the client: 504 when the time is
// over. An answer that has begun is not cut.

// patience is how long the vassal may be silent now.
func (x *exchange) patience() time.Duration {
	wait := x.settings.responseTimeout
	if left, ok := x.beforeHarakiri(); ok {
		wait = min(wait, max(left, time.Millisecond))
	}
	return wait
}

// beforeHarakiri is how much of its harakiri the vassal has left; ok is false where
// none counts: it has none, it still gets the request, or its answer has begun.
func (x *exchange) beforeHarakiri() (left time.Duration, ok bool) {
	if x.pinned == nil || x.pinned.harakiri == 0 || x.head.response != nil {
		return 0, false
	}
	from := x.attempted
	if x.upload != nil {
		sent := x.upload.sent.Load()
		if sent == nil {
			return 0, false // the client's slowness has limits of its own
		}
		from = *sent
	}
	return x.pinned.harakiri - time.Since(from), true
}

// silence is how many requests in a row a generation has left without an answer until its
// harakiri, while nothing at all came from it.
type silence struct {
	mu    sync.Mutex
	row   int    // guarded by mu
	heard uint64 // guarded by mu; what had come when the last of them was cut
}

// longSilence is a row that is no slow request any more: the program may hang.
const longSilence = 3

// grows counts one more, and tells whether the emperor should look after the program.
func (s *silence) grows(heard uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard != heard {
		s.row, s.heard = 0, heard
	}
	s.row++
	return s.row%longSilence == 0
}

// harakiriError: the vassal's harakiri is over.
type harakiriError struct{ limit time.Duration }

func (e *harakiriError) Error() string {
	return fmt.Sprintf("no answer within its harakiri of %s", e.limit)
}
func (e *harakiriError) Unwrap() error { return upstream.ErrTimeout }

// byHarakiri makes of a time limit that is over the one that it was.
func (x *exchange) byHarakiri(err error) error {
	if err == nil || !errors.Is(err, upstream.ErrTimeout) {
		return err
	}
	if left, ok := x.beforeHarakiri(); ok && left <= 0 {
		if x.pinned.silence.grows(x.pinned.heard.Load()) {
			x.router.table.silent(x.site.name, x.pinned.number)
		}
		return &harakiriError{x.pinned.harakiri}
	}
	return err
}
