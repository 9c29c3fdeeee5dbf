package sockets

import (
	"fmt"
	"maps"
	"slices"

	"emperor/vassal/spec"

	"golang.org/x/sys/unix"
)

// AdoptListener makes the listener that was described, or finds it, and takes hold of it.
func (s *Registry) AdoptListener(c CarriedListener) (*Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.adopted[c.FD]; l != nil {
		return l.retain(), nil
	}
	if on, err := unix.GetsockoptInt(c.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, fmt.Errorf("descriptor %d is not the listening socket %s", c.FD, c.Path)
	}
	l := &Listener{FD: c.FD, Path: c.Path, dev: c.Dev, ino: c.Ino, as: c.As}
	l.uses.Store(1)
	if s.adopted == nil {
		s.adopted = map[int]*Listener{}
	}
	s.adopted[c.FD] = l
	return l, nil
}

// Adopt takes over what an earlier binary has held. What is not there any more is left
// out: it is bound anew when a vassal wants it.
func (s *Registry) Adopt(c Carried) (problems []error) {
	for _, one := range c.Held {
		l, err := s.AdoptListener(one.Listener)
		if err != nil {
			problems = append(problems, fmt.Errorf("the socket %s of vassal %s: %w", one.Key, one.Owner, err))
			continue
		}
		s.mu.Lock()
		h := &holding{owner: one.Owner, leaving: one.Leaving, where: one.Where, listener: l}
		s.held[one.Key] = h
		s.own(one.Key, h)
		s.mu.Unlock()
	}
	return problems
}

// Adopted ends the time in which descriptors are found by their numbers.
func (s *Registry) Adopted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adopted = nil
}

// Describe writes one down.
func (l *Listener) Describe() CarriedListener {
	return CarriedListener{FD: l.FD, Path: l.Path, Dev: l.dev, Ino: l.ino, As: l.as}
}

// Carried are the addresses that are held for vassals.
type Carried struct {
	Held []CarriedHolding
}

// CarriedHolding is one address and who has it.
type CarriedHolding struct {
	Key, Owner string
	Leaving    bool
	Where      string
	Listener   CarriedListener
}

// Describe writes down what is held. No vassal may be taking a step.
func (s *Registry) Describe() Carried {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c Carried
	for _, key := range slices.Sorted(maps.Keys(s.held)) {
		h := s.held[key]
		c.Held = append(c.Held, CarriedHolding{Key: key, Owner: h.owner, Leaving: h.leaving, Where: h.where, Listener: h.listener.Describe()})
	}
	return c
}

// CarriedListener is a listening socket that is held.
type CarriedListener struct {
	FD       int
	Path     string
	Dev, Ino uint64
	As       *spec.Account
}
