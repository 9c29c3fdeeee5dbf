// Package sysd speaks with the service manager: sockets it opened for us, the
// notifications it waits for, the watchdog it keeps. Without systemd every call
// is a quiet no-op.
package sysd

import (
	"context"
	"errors"
	"time"
)

var errStub = errors.New("sysd: not written yet")

// Inherited is one descriptor that the service manager handed over. It is
// close-on-exec; who takes it owns it and closes it.
type Inherited struct {
	Name    string // FileDescriptorName=, or LISTEN_FD_<n>
	FD      int
	Kind    Kind
	Network string // "tcp", "udp", "unix", "unixgram", "unixpacket"; empty for what is not a socket
	Address string // "0.0.0.0:80", "[::]:80", "/run/x.sock", "@name"
}

// Kind is what an inherited descriptor can be used for.
type Kind int

// The kinds.
const (
	Other    Kind = iota // not a socket
	Listener             // a stream or packet socket that listens
	Datagram             // a datagram socket
	Stream               // a connected stream (Accept=yes), or one that does not listen
)

// Listeners gives what was handed over, by name. It works once, and clears LISTEN_*.
func Listeners() (map[string][]*Inherited, error) { return nil, errStub }

// Notify sends assignments ("READY=1", "STATUS=…") to the service manager.
func Notify(assignments ...string) error { return errStub }

// ExtendTimeout is the assignment that asks for d more to start, reload or stop.
func ExtendTimeout(d time.Duration) string { return "" }

// Reloading are the assignments that announce a reload.
func Reloading() string { return "" }

// Watchdog pings at half the interval while alive says true, until ctx ends.
// It returns at once when no watchdog is kept.
func Watchdog(ctx context.Context, alive func() bool) {}

// StripEnv drops what is between us and our service manager: NOTIFY_SOCKET, WATCHDOG_*, LISTEN_*.
func StripEnv(env []string) []string { return env }

// NotifySocket is a private notify socket for one generation of one vassal.
type NotifySocket struct{}

// NewNotifySocket binds one. Messages queue until Receive.
func NewNotifySocket() (*NotifySocket, error) { return nil, errStub }

// Address is the value for the child's NOTIFY_SOCKET.
func (n *NotifySocket) Address() string { return "" }

// Receive starts to read messages of senders of whom belongs says true (nil: all).
func (n *NotifySocket) Receive(belongs func(pid, uid int) bool) {}

// Ready is closed at the first READY=1.
func (n *NotifySocket) Ready() <-chan struct{} { return nil }

// Status is the last STATUS= text.
func (n *NotifySocket) Status() string { return "" }

// Close removes the socket and waits for its reader.
func (n *NotifySocket) Close() error { return nil }
