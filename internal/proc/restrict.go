package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Restrictions are what is taken away from a child before it becomes the program.
// Where one of them cannot be had the program is not started: who asked for it
// counts on it.
type Restrictions struct {
	// NoNewPrivileges: nothing that it executes gives it rights that it has not (set-uid
	// programs, file capabilities), for it and all its children.
	NoNewPrivileges bool
	// Limits of resources.
	Limits []Limit
	// Bounded: it never has any capability but those of Bounding, whatever it executes.
	Bounded  bool
	Bounding Capabilities
	// Granted are capabilities that it has although its user is not root.
	Granted Capabilities
	// Group is the directory of the control group (version 2) that it is put into; empty:
	// it stays in ours.
	Group string
}

// Limit is one resource limit (setrlimit(2)).
type Limit struct {
	Name       string // as the user knows it, for errors: "rlimit-nofile"
	Resource   int    // RLIMIT_…
	Soft, Hard uint64 // unix.RLIM_INFINITY: none
	// LowerOnly: a hard limit above ours is taken as ours, because whoever asks for it
	// may not raise it.
	LowerOnly bool
}

// join moves this process, with all its threads, into the group. It is done before
// anything else is taken away, since it takes our rights.
func (r *Restrictions) join() error {
	if r.Group == "" {
		return nil
	}
	path := filepath.Join(r.Group, "cgroup.procs")
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, []byte("0"))
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("entering the control group %s: %w", r.Group, err)
	}
	return nil
}

// raise makes room for hard limits above ours, as long as we may.
func (r *Restrictions) raise() error {
	for i := range r.Limits {
		l := &r.Limits[i]
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.Resource, &now); err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		if l.Hard <= now.Max {
			continue
		}
		if l.LowerOnly {
			l.Hard = now.Max
			l.Soft = min(l.Soft, l.Hard)
			continue
		}
		above := now.Max
		now.Max = l.Hard
		switch err := syscall.Setrlimit(l.Resource, &now); {
		case errors.Is(err, unix.EPERM):
			return fmt.Errorf("%s: the limit of the emperor itself is %d, and only root with the capability sys_resource may raise it: %w", l.Name, above, err)
		case err != nil:
			return fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	return nil
}

// limit sets the limits. It comes last: with little address space this program, which
// reserves a lot of it, could do nothing else.
func (r *Restrictions) limit() error {
	for _, l := range r.Limits {
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: min(l.Soft, l.Hard), Max: l.Hard}); err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	return nil
}

// bound drops capabilities from the bounding set of this thread, and so of the program.
func (r *Restrictions) bound() error {
	if !r.Bounded {
		return nil
	}
	for c := range 64 {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			break // the kernel knows no more of them
		}
		if has == 0 || r.Bounding.Has(c) {
			continue
		}
		switch err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); {
		case errors.Is(err, unix.EPERM):
			return fmt.Errorf("taking the capability %s away: the emperor (uid %d) has not the capability setpcap, which that takes: %w", capabilityName(c), os.Geteuid(), err)
		case err != nil:
			return fmt.Errorf("taking the capability %s away: %w", capabilityName(c), err)
		}
	}
	return nil
}

// keep makes the capabilities outlast the change of user, which is about to come.
func (r *Restrictions) keep() error {
	if r.Granted == 0 {
		return nil
	}
	return os.NewSyscallError("prctl(PR_SET_KEEPCAPS)", unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0))
}

// grant makes the granted capabilities, and no other, those of the program.
func (r *Restrictions) grant() error {
	if r.Granted == 0 {
		return nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(r.Granted), uint32(r.Granted>>32)
	data := [2]unix.CapUserData{{Effective: low, Permitted: low, Inheritable: low}, {Effective: high, Permitted: high, Inheritable: high}}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("keeping the capabilities %s: %w", r.Granted, err)
	}
	for c := range 64 {
		if !r.Granted.Has(c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("keeping the capability %s: %w", capabilityName(c), err)
		}
	}
	return nil
}

// renounce gives up whatever could be gained by executing something.
func (r *Restrictions) renounce() error {
	if !r.NoNewPrivileges {
		return nil
	}
	return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}
