package vassal

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Sockets are the listening sockets held for vassals: bound once, handed to one
// generation after the other, so that a restart or a crash never refuses a
// connection. One Sockets is shared by all vassals of an emperor; it is safe for
// concurrent use.
//
// An address belongs to one vassal. A second one that names it gets an error,
// unless the first is leaving: then it takes the socket over as it is, with the
// connections that wait in it (a file was renamed).
type Sockets struct {
	mu   sync.Mutex // guards what follows and everything in it
	held map[string]*holding
	// owned are the keys of held, by owner: one vassal's step must not cost more for the
	// thousands of others.
	owned map[string]map[string]*holding
	// waiting has, for an address that somebody could not have, whom to tell when it
	// is free: each vassal once.
	waiting map[string]map[string]func()
	adopted map[int]*listener // by descriptor; nil when nothing is being adopted

	// listen binds a socket, and watch tells when somebody connects to one whose vassal
	// sleeps (see sentry). Replaced by tests.
	listen func(a address, rules socketRules) (*listener, error)
	watch  func(fd int, somebody func()) (stop func(), err error)
}

// holding is one address and who has it.
type holding struct {
	owner    string
	leaving  bool
	where    string // file:line, for messages
	listener *listener
}

// NewSockets makes an empty one.
func NewSockets() *Sockets {
	return &Sockets{held: map[string]*holding{}, owned: map[string]map[string]*holding{}, waiting: map[string]map[string]func(){}, listen: listen, watch: newSentry().watch}
}

// takenError is what hold gives when another vassal has the address.
type takenError struct {
	key  string // what Sockets knows the address by
	text string
}

func (e *takenError) Error() string { return e.text }

// hold gives the owner's listener for a socket, bound now if it was not. The
// caller must release it; the registry keeps its own hold until forget.
func (s *Sockets) hold(owner string, socket Socket, rules socketRules) (*listener, error) {
	rules = rules.of(socket)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := socket.address.in(rules.dir)
	h := s.held[key]
	if h != nil && h.owner != owner {
		if !h.leaving {
			return nil, &takenError{key, fmt.Sprintf("socket %s belongs to vassal %s (%s)", socket.Address, h.owner, h.where)}
		}
		s.disown(key, h)
		h.owner, h.leaving = owner, false
		s.own(key, h)
	}
	if h != nil && h.listener.path != "" && !h.listener.atPath() {
		// Somebody removed or replaced the file: what we hold is out of reach.
		h.listener.release()
		delete(s.held, key)
		s.disown(key, h)
		h = nil
	}
	if h == nil {
		l, err := s.listen(socket.address, rules)
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
		_ = unix.Listen(h.listener.fd, rules.backlog) // again: only the length of the queue changes
	}
	h.leaving = false
	h.where = socket.Pos.String()
	return h.listener.retain(), nil
}

// beside binds a fresh socket next to the one at the path of socket, for a
// generation that must be asked on its own before it takes the path over.
func (s *Sockets) beside(owner string, socket Socket, rules socketRules, generation uint64) (*listener, error) {
	rules = rules.of(socket)
	fresh := besidePath(socket.address.in(rules.dir), generation)
	// Left over from an earlier emperor whose numbers were the same.
	rules.dir = ""
	return s.listen(address{text: fresh, path: fresh}, rules)
}

// besidePath names the file of a generation's own socket until it takes the path over.
func besidePath(path string, generation uint64) string {
	fresh := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), generation))
	if len(fresh) > maxUnixPath {
		fresh = filepath.Join(filepath.Dir(path), fmt.Sprintf(".%d.%d", os.Getpid()%100000, generation))
	}
	return fresh
}

// exchange puts a fresh listener in the place of the one at socket's path:
// rename(2) switches new connections in one step. Before it the file at the path
// is compared with ours: what somebody else put there is left alone.
func (s *Sockets) exchange(owner string, socket Socket, rules socketRules, fresh *listener) error {
	rules = rules.of(socket)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := socket.address.in(rules.dir)
	h := s.held[key]
	switch {
	case h == nil || h.owner != owner:
		return fmt.Errorf("socket %s is not held for %s any more", socket.Address, owner)
	case !h.listener.atPath():
		return fmt.Errorf("the file at %s was replaced by somebody else; it was not touched", key)
	}
	if !fresh.retainLiving() {
		return fmt.Errorf("socket %s: the generation it is for has ended", socket.Address)
	}
	rename := func() error { return os.Rename(fresh.path, key) }
	if err := (socketRules{umask: -1, as: rules.as}).onBehalf(rename); err != nil {
		fresh.release()
		return fmt.Errorf("socket %s: %w", socket.Address, err)
	}
	fresh.path = key
	old := h.listener
	h.listener = fresh
	old.release()
	return nil
}

// has says whether the listener is one that a next generation would get.
func (s *Sockets) has(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		if h.listener == l {
			return true
		}
	}
	return false
}

// keep lets go of all addresses of the owner but these.
func (s *Sockets) keep(owner string, addresses map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, h := range s.owned[owner] {
		if !addresses[key] {
			h.listener.release()
			delete(s.held, key)
			s.disown(key, h)
			s.tell(key)
		}
	}
}

// own and disown keep the index by owner. The caller holds mu.
func (s *Sockets) own(key string, h *holding) {
	if s.owned[h.owner] == nil {
		s.owned[h.owner] = map[string]*holding{}
	}
	s.owned[h.owner][key] = h
}

func (s *Sockets) disown(key string, h *holding) {
	if delete(s.owned[h.owner], key); len(s.owned[h.owner]) == 0 {
		delete(s.owned, h.owner)
	}
}

// leave marks the owner's addresses as free to be taken over.
func (s *Sockets) leave(owner string, leaving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, h := range s.owned[owner] {
		h.leaving = leaving
		if leaving {
			s.tell(key)
		}
	}
}

// await calls freed, once, when the owner can have the address: at once, or when
// whoever has it lets go of it. freed must return quickly and not call s. A
// second await of the same owner replaces the first.
func (s *Sockets) await(key, owner string, freed func()) {
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

// abandon ends what the owner awaits.
func (s *Sockets) abandon(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(owner)
}

// forget is abandon. The caller holds mu.
func (s *Sockets) forget(owner string) {
	for key, waiting := range s.waiting {
		if delete(waiting, owner); len(waiting) == 0 {
			delete(s.waiting, key)
		}
	}
}

// tell calls those who wait for an address. The caller holds mu.
func (s *Sockets) tell(key string) {
	for _, freed := range s.waiting[key] {
		freed()
	}
	delete(s.waiting, key)
}
