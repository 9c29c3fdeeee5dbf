package vassal

import (
	"context"
	"log/slog"
	"time"

	"emperor/internal/cgroup"
	"emperor/internal/link"
	"emperor/internal/logsink"
	"emperor/internal/proc"
	"emperor/vassal/clock"
	"emperor/vassal/sockets"
)

// Front is what a vassal asks of the router. The emperor implements it over the
// link; without a router everything is answered at once. All methods may be
// called from any goroutine. An error (the router is being restarted, too old,
// gone) never stops a vassal: it goes on without the router's word.
type Front interface {
	// Publish tells the router a changed row of the vassal table and returns when
	// the router has acknowledged it.
	Publish(ctx context.Context, row link.Vassal) error
	// Try asks the router whether it could serve a row of static files, and makes it
	// able to read files at all, which takes another router when there are such rows for the first
	// time. The error is why it could not.
	Try(ctx context.Context, row link.Vassal) error
	// Hold makes the router keep new requests for the vassal back; it returns
	// when the router has acknowledged.
	Hold(ctx context.Context, vassal string) error
	// Release lets them go.
	Release(vassal string)
	// Drained returns nil when no request to a generation older than that is under way.
	Drained(ctx context.Context, vassal string, generation uint64) error
	// Unused returns nil when no request to the vassal is under way and none has been
	// for that long; it waits until then. With 0 it answers at once, and the error says
	// what is under way; connections to the vassal that are only kept are closed.
	Unused(ctx context.Context, vassal string, quiet time.Duration) error
	// Answered returns nil when that generation has sent anything of an answer since
	// the call, whatever the requests; it waits until then.
	Answered(ctx context.Context, vassal string, generation uint64) error
}

// Slots bounds how many vassals start at the same time.
type Slots interface {
	// Acquire waits for a slot. The vassal calls release once: when it answers, has
	// failed, or two seconds after it got the slot.
	Acquire(ctx context.Context, turn Turn) (release func(), err error)
}

// Turn says how urgent a start is.
type Turn struct {
	Name string // the vassal's
	// Again: the vassal has failed, and nobody has changed anything since.
	Again bool
	// Visited ends when somebody waits for the vassal: requests, or who gave an order.
	Visited context.Context
}

// Deps is everything a vassal needs from the world. Log and Starter must be
// given; the zero value of every other field is usable.
type Deps struct {
	Log     *slog.Logger
	Starter *proc.Starter
	// Front is the router; nil when there is none.
	Front Front
	// Sockets is shared by all vassals of one emperor, so that two of them cannot
	// hold one address and a renamed file takes over its socket. nil: its own.
	Sockets *sockets.Registry
	Clock   clock.Clock
	// Changed is called with each new Status, in order, from the goroutine that
	// owns the vassal: it must return quickly and must not call the vassal.
	Changed func(Status)
	Slots   Slots
	// Hooks are the main file's as they are now; nil: there are none.
	Hooks    func() *MainHooks
	Defaults Defaults
	// Logs are where the output goes; nil: nowhere, unless the vassal's file says.
	Logs *logsink.Set
	// Groups makes control groups; nil: vassals have none.
	Groups *cgroup.Tree
}

// Defaults are the emperor's settings for all its vassals. Zero fields have the
// values of DefaultDefaults.
type Defaults struct {
	// Environment is what vassals inherit; nil: this process's. Variables between
	// the emperor and its own manager (PORT, NOTIFY_SOCKET, LISTEN_*, …) are
	// dropped from it here.
	Environment []string
	// UWSGI is the program for uWSGI vassals that do not say binary-path: a path,
	// or a name looked up on PATH.
	UWSGI string
	// Wrappers are tried before and after it.
	Wrappers Wrappers
	// Boot is how long a generation may take until it is ready.
	Boot time.Duration
	// Stop is how long a process may take from the request to end until it is killed.
	Stop time.Duration
	// Mercy is how long an old generation may finish what it has (reload-mercy).
	Mercy time.Duration
	// Heartbeat is how long a uWSGI that promised a heartbeat may be without one until
	// it is asked whether it works (emperor-required-heartbeat).
	Heartbeat time.Duration
	// Answer is how long the router lets a vassal be silent while it works on a request
	// (http-timeout): so long a vassal may be too busy for other questions.
	Answer time.Duration
	// Throttle and MaxThrottle bound the wait after a crash (see nextDelay).
	Throttle, MaxThrottle time.Duration
	// SocketGroup: sockets without chmod-socket and chown-socket get this group
	// and mode 0660, so that an unprivileged router can connect. 0: left alone.
	SocketGroup int
}

// DefaultDefaults are the documented defaults.
func DefaultDefaults() Defaults {
	return Defaults{
		UWSGI:       "uwsgi",
		Boot:        60 * time.Second,
		Stop:        10 * time.Second,
		Mercy:       10 * time.Minute,
		Heartbeat:   30 * time.Second,
		Answer:      60 * time.Second,
		Throttle:    time.Second,
		MaxThrottle: 180 * time.Second,
	}
}
