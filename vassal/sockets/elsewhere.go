package sockets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"emperor/internal/rights"
	"emperor/vassal/spec"

	"golang.org/x/sys/unix"
)

// The name of a socket is the text that bind(2) was given, letter by letter, and stays
// when its file is moved. Where the text leads is a matter of the root and the working
// directory of the thread that binds. So a second socket gets the same name, and the
// first keeps the path, when it is bound below a folder in which the name leads to an
// empty place.

// bindElsewhere binds fd to the name, as a vassal with these rules would, and puts the
// file at the path aside. It is called with the vassal's rights, and makes a folder beside
// aside for the moment. A name that begins with / takes an emperor that may change its
// root (CAP_SYS_CHROOT).
func bindElsewhere(fd int, name, aside string, rules spec.SocketRules) (err error) {
	steps := strings.Split(name, "/")
	steps = slices.DeleteFunc(steps, func(step string) bool { return step == "" || step == "." })
	if len(steps) == 0 || slices.Contains(steps, "..") {
		return fmt.Errorf("the way to %s goes up", name) // to where it would lead from here
	}
	steps, base := steps[:len(steps)-1], steps[len(steps)-1]
	place, err := makePlace(aside+"~", steps)
	if err != nil {
		return err
	}
	// What cannot be removed holds something that somebody else has put there.
	defer func() { _ = place.remove() }()
	rights.Apart(func() { err = place.bind(fd, name, rules) })
	if err != nil {
		return err
	}
	if err := unix.Renameat(place.innermost(), base, unix.AT_FDCWD, aside); err != nil {
		return errors.Join(err, unix.Unlinkat(place.innermost(), base, 0))
	}
	return nil
}

// place is a folder and one below the other in it, open. Every step is taken from the
// folder before, so nobody who may write around it leads us elsewhere.
type place struct {
	names []string // the first is a path
	fds   []int
}

func makePlace(root string, steps []string) (p *place, err error) {
	p = &place{}
	at := unix.AT_FDCWD
	for _, name := range append([]string{root}, steps...) {
		err := unix.Mkdirat(at, name, 0o700)
		if errors.Is(err, unix.EEXIST) && at == unix.AT_FDCWD {
			// Left over from an emperor that was killed; if anything is in it, it stays.
			if err = unix.Rmdir(name); err == nil {
				err = unix.Mkdirat(at, name, 0o700)
			}
		}
		var fd int
		if err == nil {
			p.names = append(p.names, name)
			fd, err = unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("making %s for a moment: %w", name, err), p.remove())
		}
		p.fds = append(p.fds, fd)
		at = fd
	}
	return p, nil
}

func (p *place) innermost() int { return p.fds[len(p.fds)-1] }

// bind changes the calling thread: call it within rights.Apart.
func (p *place) bind(fd int, name string, rules spec.SocketRules) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Fchdir(p.fds[0]); err != nil {
		return err
	}
	if strings.HasPrefix(name, "/") {
		// Before the vassal's rights are taken, which are too few for it. Whatever the
		// vassal does to the folder, nothing outside it can be reached.
		if err := unix.Chroot("."); err != nil {
			return fmt.Errorf("chroot: %w", err)
		}
	}
	if err := rules.Assume(); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrUnix{Name: name})
}

func (p *place) remove() error {
	var errs []error
	for i := len(p.names) - 1; i >= 0; i-- {
		at := unix.AT_FDCWD
		if i > 0 {
			at = p.fds[i-1]
		}
		if i < len(p.fds) {
			_ = unix.Close(p.fds[i])
		}
		errs = append(errs, unix.Unlinkat(at, p.names[i], unix.AT_REMOVEDIR))
	}
	return errors.Join(errs...)
}
