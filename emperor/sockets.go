package emperor

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"syscall"

	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/internal/sysd"
)

// Sockets are the front's listening sockets of a router that runs without an
// emperor. They are named, opened, taken from a service manager and kept over a
// change of the main file as the emperor's own are.
type Sockets struct {
	log       *slog.Logger
	held      []*bound
	inherited []*sysd.Inherited
}

// NewSockets takes what the service manager has handed over; nothing is opened.
func NewSockets(log *slog.Logger) (*Sockets, error) {
	inherited, err := inheritedSockets()
	return &Sockets{log: log, inherited: inherited}, err
}

// Open opens what m's front wants. It returns the configuration for the router
// with a descriptor for each of its listeners, which are the caller's, and what is
// to be called with whether the router accepted them: until then nothing that is
// listened on is given up.
func (s *Sockets) Open(m *Main) (c *link.Configuration, descriptors []int, accepted func(bool), err error) {
	next, fresh, err := openListeners(m.Front.Listeners, s.held, s.inherited, frontModeOf(m))
	if err != nil {
		return nil, nil, nil, err
	}
	front := m.Front
	front.Listeners = make([]link.Listener, len(next))
	for i, b := range next {
		front.Listeners[i] = b.Listener
		fd, err := proc.DuplicateDescriptor(b.fd)
		if err != nil {
			for _, fd := range descriptors {
				_ = syscall.Close(fd)
			}
			closeListeners(fresh)
			return nil, nil, nil, fmt.Errorf("%s = %s: %w", b.Option, b.Address, err)
		}
		descriptors = append(descriptors, fd)
	}
	return &front, descriptors, func(accepted bool) {
		if !accepted {
			closeListeners(fresh)
			return
		}
		replaceListeners(s.log, s.held, next, fresh)
		s.held = next
	}, nil
}

// Close gives up all of them.
func (s *Sockets) Close() {
	closeListeners(s.held)
	s.held = nil
}

// inheritedSockets are what the service manager has handed over, in its order.
func inheritedSockets() ([]*sysd.Inherited, error) {
	handed, err := sysd.Listeners()
	if err != nil {
		return nil, fmt.Errorf("the service manager's sockets: %w", err)
	}
	var all []*sysd.Inherited
	for _, list := range handed {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b *sysd.Inherited) int { return cmp.Compare(a.FD, b.FD) })
	return all, nil
}
