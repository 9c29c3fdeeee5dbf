// Package sockets holds the listening sockets of vassals, so that a restart, a crash or a
// sleep never refuses a connection: the kernel queues it until the next generation accepts.
//
// A Registry has each address for one vassal at a time and hands its socket to one
// generation after the other. A generation that starts beside another gets a fresh one:
// bound beside the path for a command (Beside), under exactly the same name for a uWSGI,
// which finds its sockets by name (Twin). rename(2) gives it the path when it is ready
// (Exchange).
//
// listener.go binds and gives back, with the rights of the vassal; elsewhere.go binds a name
// while another socket has it; sentry.go watches the sockets of all that sleep with one
// epoll; carried.go hands everything to the emperor's next binary. Nothing here knows generations or states.
package sockets

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"emperor/vassal/spec"

	"golang.org/x/sys/unix"
)

// Registry has the listening sockets held for vassals: bound once, handed to one
// generation after the other, so that a restart or a crash never refuses a
// connection. One Registry is shared by all vassals of an emperor; it is safe for
// concurrent use.
//
// An address belongs to one vassal. A second one that names it gets an error,
// unless the first is leaving: then it takes the socket over as it is, with the
// connections that wait in it (a file was renamed).
type Registry struct {
	mu   sync.Mutex // guards what follows and everything in it
	held map[string]*holding
	// owned are the keys of held, by owner: one vassal's step must not cost more for the
	// thousands of others.
	owned map[string]map[string]*holding
	// waiting has, for an address that somebody could not have, whom to tell when it
	// is free: each vassal once.
	waiting map[string]map[string]func()
	adopted map[int]*Listener // by descriptor; nil when nothing is being adopted

	// Listen binds a socket, and Watch tells when somebody connects to one whose vassal
	// sleeps (see sentry). Replaced by tests.
	Listen func(a spec.Address, rules spec.SocketRules) (*Listener, error)
	Watch  func(fd int, somebody func()) (stop func(), err error)
}

// holding is one address and who has it.
type holding struct {
	owner    string
	leaving  bool
	where    string // file:line, for messages
	listener *Listener
}

// New makes an empty one.
func New() *Registry {
	return &Registry{held: map[string]*holding{}, owned: map[string]map[string]*holding{}, waiting: map[string]map[string]func(){}, Listen: listen, Watch: newSentry().watch}
}

// TakenError is what Hold gives when another vassal has the address.
type TakenError struct {
	Key  string // what the Registry knows the address by
	text string
}

func (e *TakenError) Error() string { return e.text }

// Hold gives the owner's listener for a socket, bound now if it was not. The
// caller must release it; the registry keeps its own until Keep.
func (s *Registry) Hold(owner string, socket spec.Socket, rules spec.SocketRules) (*Listener, error) {
	rules = rules.Of(socket)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := socket.At.In(rules.Dir)
	h := s.held[key]
	if h != nil && h.owner != owner {
		if !h.leaving {
			return nil, &TakenError{key, fmt.Sprintf("socket %s belongs to vassal %s (%s)", socket.Address, h.owner, h.where)}
		}
		s.disown(key, h)
		h.owner, h.leaving = owner, false
		s.own(key, h)
	}
	if h != nil && h.listener.Path != "" && !h.listener.AtPath() {
		// Somebody removed or replaced the file: what we hold is out of reach.
		h.listener.Release()
		delete(s.held, key)
		s.disown(key, h)
		h = nil
	}
	if h == nil {
		l, err := s.Listen(socket.At, rules)
		if err != nil {
			return nil, err
		}
		h = &holding{owner: owner, listener: l}
		s.held[key] = h
		s.own(key, h)
	} else {
		if err := h.listener.own(rules); err != nil {
			return nil, fmt.Errorf("socket %s: %w", socket.Address, err)
		}
		_ = unix.Listen(h.listener.FD, rules.Backlog) // again: only the length of the queue changes
	}
	h.leaving = false
	h.where = socket.Pos.String()
	return h.listener.retain(), nil
}

// Beside binds a fresh socket next to the one at the path of socket, for a
// generation that must be asked on its own before it takes the path over.
func (s *Registry) Beside(owner string, socket spec.Socket, rules spec.SocketRules, generation uint64) (*Listener, error) {
	rules = rules.Of(socket)
	fresh := besidePath(socket.At.In(rules.Dir), generation)
	// Left over from an earlier emperor whose numbers were the same.
	rules.Dir = ""
	return s.Listen(spec.Address{Text: fresh, Path: fresh}, rules)
}

// besidePath names the file of a generation's own socket until it takes the path over.
func besidePath(path string, generation uint64) string {
	fresh := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), generation))
	if len(fresh) > spec.MaxUnixPath {
		fresh = filepath.Join(filepath.Dir(path), fmt.Sprintf(".%d.%d", os.Getpid()%100000, generation))
	}
	return fresh
}

// Exchange puts a fresh listener in the place of the one at socket's path:
// rename(2) switches new connections in one step. Before it the file at the path
// is compared with ours: what somebody else put there is left alone.
func (s *Registry) Exchange(owner string, socket spec.Socket, rules spec.SocketRules, fresh *Listener) error {
	rules = rules.Of(socket)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := socket.At.In(rules.Dir)
	h := s.held[key]
	switch {
	case h == nil || h.owner != owner:
		return fmt.Errorf("socket %s is not held for %s any more", socket.Address, owner)
	case !h.listener.AtPath():
		return fmt.Errorf("the file at %s was replaced by somebody else; it was not touched", key)
	}
	if !fresh.retainLiving() {
		return fmt.Errorf("socket %s: the generation it is for has ended", socket.Address)
	}
	rename := func() error { return os.Rename(fresh.Path, key) }
	if err := (spec.SocketRules{Umask: -1, As: rules.As}).OnBehalf(rename); err != nil {
		fresh.Release()
		return fmt.Errorf("socket %s: %w", socket.Address, err)
	}
	fresh.Path = key
	old := h.listener
	h.listener = fresh
	old.Release()
	return nil
}

// Has says whether the listener is one that a next generation would get.
func (s *Registry) Has(l *Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		if h.listener == l {
			return true
		}
	}
	return false
}

// Keep lets go of all addresses of the owner but these.
func (s *Registry) Keep(owner string, addresses map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, h := range s.owned[owner] {
		if !addresses[key] {
			h.listener.Release()
			delete(s.held, key)
			s.disown(key, h)
			s.tell(key)
		}
	}
}

// own and disown keep the index by owner. The caller holds mu.
func (s *Registry) own(key string, h *holding) {
	if s.owned[h.owner] == nil {
		s.owned[h.owner] = map[string]*holding{}
	}
	s.owned[h.owner][key] = h
}

func (s *Registry) disown(key string, h *holding) {
	if delete(s.owned[h.owner], key); len(s.owned[h.owner]) == 0 {
		delete(s.owned, h.owner)
	}
}

// Leave marks the owner's addresses as free to be taken over.
func (s *Registry) Leave(owner string, leaving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, h := range s.owned[owner] {
		h.leaving = leaving
		if leaving {
			s.tell(key)
		}
	}
}

// Await calls freed, once, when the owner can have the address: at once, or when
// whoever has it lets go of it. freed must return quickly and not call s. A
// second await of the same owner replaces the first.
func (s *Registry) Await(key, owner string, freed func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(owner)
	if h := s.held[key]; h == nil || h.leaving || h.owner == owner {
		freed()
		return
	}
	if s.waiting[key] == nil {
		s.waiting[key] = map[string]func(){}
	}
	s.waiting[key][owner] = freed
}

// Abandon ends what the owner awaits.
func (s *Registry) Abandon(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(owner)
}

// forget is abandon. The caller holds mu.
func (s *Registry) forget(owner string) {
	for key, waiting := range s.waiting {
		if delete(waiting, owner); len(waiting) == 0 {
			delete(s.waiting, key)
		}
	}
}

// tell calls those who wait for an address. The caller holds mu.
func (s *Registry) tell(key string) {
	for _, freed := range s.waiting[key] {
		freed()
	}
	delete(s.waiting, key)
}
