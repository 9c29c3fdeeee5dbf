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
// letter, so a name beside it will not do.
//
// The name of a socket is what it was bound to, wherever its file is moved. So
// the old file goes aside, the new one is bound, and the two change places. For
// some tens of microseconds nobody can connect at the path. The caller lets the
// router hold its requests meanwhile; only a client that comes without the router,
// just then, sees it. (Binding below another root would avoid it, and takes
// rights that an emperor need not have.)
func (s *Registry) Twin(owner string, socket spec.Socket, rules spec.SocketRules, generation uint64) (*Listener, error) {
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
