package shim

import (
	"strconv"
	"syscall"
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
	// NoAmbient: of those that the emperor itself was given so (a unit's
	// AmbientCapabilities=) it has none but the granted ones.
	NoAmbient bool
	// Group is the directory of the control group (version 2) that it is put into; empty:
	// it stays in ours.
	Group string
}

// Limit is one resource limit (setrlimit(2)).
type Limit struct {
	Name       string // as the user knows it, for errors: "rlimit-nofile"
	Resource   int    // RLIMIT_…
	Soft, Hard uint64 // RLIM_INFINITY: none
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
	fd, err := syscall.Open(r.Group+"/cgroup.procs", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err == nil {
		_, err = syscall.Write(fd, []byte("0"))
		syscall.Close(fd)
	}
	return because("entering the control group "+r.Group, err)
}

// raise makes room for hard limits above ours, as long as we may.
func (r *Restrictions) raise() error {
	for i := range r.Limits {
		l := &r.Limits[i]
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.Resource, &now); err != nil {
			return because(l.Name, err)
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
		case err == syscall.EPERM:
			return because(l.Name+": the limit of the emperor itself is "+strconv.FormatUint(above, 10)+", and only root with the capability sys_resource may raise it", err)
		case err != nil:
			return because(l.Name, err)
		}
	}
	return nil
}

// limit sets the limits. It comes last: with little address space this program, which
// reserves a lot of it, could do nothing else.
func (r *Restrictions) limit() error {
	for _, l := range r.Limits {
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: min(l.Soft, l.Hard), Max: l.Hard}); err != nil {
			return because(l.Name, err)
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
		has, err := prctl(prCapbsetRead, uintptr(c), 0)
		if err != nil {
			break // the kernel knows no more of them
		}
		if has == 0 || r.Bounding.Has(c) {
			continue
		}
		switch _, err := prctl(prCapbsetDrop, uintptr(c), 0); err {
		case nil:
		case syscall.EPERM:
			return because("taking the capability "+capabilityName(c)+" away: the emperor (uid "+strconv.Itoa(syscall.Geteuid())+") has not the capability setpcap, which that takes", err)
		default:
			return because("taking the capability "+capabilityName(c)+" away", err)
		}
	}
	return nil
}

// keep makes the capabilities outlast the change of user, which is about to come.
func (r *Restrictions) keep() error {
	if r.Granted == 0 {
		return nil
	}
	_, err := prctl(prSetKeepcaps, 1, 0)
	return because("prctl(PR_SET_KEEPCAPS)", err)
}

// grant makes the granted capabilities, and no other, those of the program.
func (r *Restrictions) grant() error {
	if r.Granted == 0 {
		if !r.NoAmbient {
			return nil
		}
		_, err := prctl(prCapAmbient, prAmbientClear, 0)
		if err == syscall.EINVAL {
			return nil // a kernel before 4.3
		}
		return because("prctl(PR_CAP_AMBIENT)", err)
	}
	if err := capset(r.Granted); err != nil {
		return because("keeping the capabilities "+r.Granted.String(), err)
	}
	for c := range 64 {
		if !r.Granted.Has(c) {
			continue
		}
		if _, err := prctl(prCapAmbient, prAmbientRaise, uintptr(c)); err != nil {
			return because("keeping the capability "+capabilityName(c), err)
		}
	}
	return nil
}

// renounce gives up whatever could be gained by executing something.
func (r *Restrictions) renounce() error {
	if !r.NoNewPrivileges {
		return nil
	}
	_, err := prctl(prSetNoNewPrivs, 1, 0)
	return because("prctl(PR_SET_NO_NEW_PRIVS)", err)
}
