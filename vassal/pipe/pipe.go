// Package pipe is the conversation between an emperor and a uWSGI vassal on the
// descriptor that UWSGI_EMPEROR_FD names: a stream socketpair on which each
// message is one byte.
package pipe

import "errors"

// Byte is one message.
type Byte byte

// Orders, emperor to vassal.
const (
	Stop         Byte = 0 // brutal stop: workers get SIGINT
	Reload       Byte = 1 // graceful reload in place
	StopGraceful Byte = 2 // workers finish their request, then the master exits
)

// Reports, vassal to emperor.
const (
	Spawned     Byte = 1  // master initialised, workers not yet forked; not sent after a reload
	WantsConfig Byte = 2  // a reloading vassal asks for its configuration
	Accepting   Byte = 5  // worker 1 enters its accept loop
	Loyal       Byte = 17 // a worker completed its first request
	Idle        Byte = 22 // idle with die-on-idle: back to on-demand
	Heartbeat   Byte = 26 // sign of life
	WantsZerg   Byte = 30 // asks for reinforcement
)

var errStub = errors.New("pipe: not written yet")

// Conn is the emperor's end.
type Conn struct{}

// Pair makes a socketpair. childFD is raw and close-on-exec: hand it to the
// child through proc.Command.Files, then close it.
func Pair() (c *Conn, childFD int, err error) { return nil, -1, errStub }

// Send sends one order; it never blocks.
func (c *Conn) Send(b Byte) error { return errStub }

// Events are the vassal's reports; closed when the vassal closed its end.
func (c *Conn) Events() <-chan Byte { return nil }

// Close closes our end (to uWSGI: the emperor is gone) and ends Events.
func (c *Conn) Close() error { return nil }
