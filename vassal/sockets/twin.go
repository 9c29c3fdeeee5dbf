package sockets

import (
	"errors"
	"fmt"

	"emperor/vassal/spec"

	"golang.org/x/sys/unix"
)

// Twin binds a second socket under exactly the name of the one that is held, for
// a uWSGI that must prove itself before it takes the path over: among what it
// inherits uWSGI takes the socket whose name is the text of its option, letter by
// letter, so a name beside it will not do. The one at the path stays there and is
// not touched. An emperor that may not do that (bindElsewhere) gets ErrOnlyInPlace.
func (s *Registry) Twin(owner string, socket spec.Socket, rules spec.SocketRules, generation uint64) (*Listener, error) {
	return s.twin(owner, socket, rules, generation, func(fd int, _, aside string, rules spec.SocketRules) error {
		if err := bindElsewhere(fd, socket.At.Path, aside, rules); err != nil {
			return fmt.Errorf("%w: %w", ErrOnlyInPlace, err)
		}
		return nil
	})
}

// ErrOnlyInPlace is what Twin and Renew give when a socket of the same name can only be
// bound by taking the path away from the first for a moment.
var ErrOnlyInPlace = errors.New("a second socket of the same name can only be bound at its path")

// TwinInPlace is Twin for an emperor without those rights. The name of a socket is
// what it was bound to, wherever its file is moved. So the old file goes aside, the
// new one is bound, and the two change places. For some tens of microseconds nobody
// can connect at the path. The caller lets the router hold its requests meanwhile;
// only a client that comes without the router, just then, sees it.
func (s *Registry) TwinInPlace(owner string, socket spec.Socket, rules spec.SocketRules, generation uint64) (*Listener, error) {
	return s.twin(owner, socket, rules, generation, func(fd int, path, aside string, _ spec.SocketRules) error {
		if err := unix.Rename(path, aside); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: socket.At.Path}); err != nil {
			return errors.Join(err, putBack(aside, path))
		}
		if err := swap(path, aside); err != nil {
			return errors.Join(err, unix.Rename(aside, path))
		}
		return nil
	})
}

// twin is what they share: bind is called with the rights of the vassal, and puts the
// new socket's file at aside, where there is none.
func (s *Registry) twin(owner string, socket spec.Socket, rules spec.SocketRules, generation uint64,
	bind func(fd int, path, aside string, rules spec.SocketRules) error) (*Listener, error) {
	rules = rules.Of(socket)
	s.mu.Lock()
	defer s.mu.Unlock()
	path := socket.At.In(rules.Dir)
	if h := s.held[path]; h == nil || h.owner != owner || !h.listener.AtPath() {
		return nil, fmt.Errorf("the file at %s was replaced by somebody else; it was not touched", path)
	}
	aside := besidePath(path, generation)
	return listenAt(aside, socket.Address, rules, func(fd int) error {
		// Left over from an earlier emperor whose numbers were the same.
		if err := clearPath(aside); err != nil {
			return err
		}
		return bind(fd, path, aside, rules)
	})
}

// Renew puts a new socket of the same name in the place of the one that is held, for
// whoever comes from now on; who waits in the old one's queue is left to those who have
// it. The number makes the name of a file beside the path, for the moment.
func (s *Registry) Renew(owner string, socket spec.Socket, rules spec.SocketRules, number uint64) error {
	fresh, err := s.Twin(owner, socket, rules, number)
	if err != nil {
		return err
	}
	defer fresh.Release()
	return s.Exchange(owner, socket, rules, fresh)
}

// putBack undoes the first step of twin, unless somebody has taken the path.
func putBack(aside, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, aside, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) { // not on this file system
		err = unix.Rename(aside, path)
	}
	return err
}

// swap lets two files change places; where the file system cannot, in three steps.
func swap(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	third := b + "~"
	if err := unix.Rename(a, third); err != nil {
		return err
	}
	return errors.Join(unix.Rename(b, a), unix.Rename(third, b))
}
