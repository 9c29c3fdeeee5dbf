package router

import (
	"errors"
	"fmt"
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
		return &harakiriError{x.pinned.harakiri}
	}
	return err
}
