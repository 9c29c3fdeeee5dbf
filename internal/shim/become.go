package shim

import (
	"errors"
	"strconv"
	"syscall"
)

// become turns this process into the program. It returns only with an error.
// The order of the steps matters: the control group and higher limits while we may
// still have them, the root directory before we lose the right to change it, the
// working directory, the search and the exec as the user that the program will be,
// the parent-death signal after the change of user, which clears it (prctl(2)), and
// lower limits last, because they hold for this program, too. Most children do the same
// without this program: what is changed here is changed in proc's short way, too.
func (o *Order) become(status int) error {
	fail := func(doing string, err error) error { return because(o.Label+": "+doing, err) }

	if err := o.sealDescriptors(); err != nil {
		return fail("closing descriptors", err)
	}
	restrict := &o.Restrictions
	if err := first(restrict.join, restrict.raise); err != nil {
		return fail("restricting it", err)
	}
	if o.Umask >= 0 {
		syscall.Umask(o.Umask)
	}
	if err := o.limitFiles(); err != nil {
		return err
	}
	if o.Chroot != "" {
		if err := syscall.Chroot(o.Chroot); err != nil {
			return explainDirectory(o.Label, "chroot", o.Chroot, err)
		}
		if err := syscall.Chdir("/"); err != nil {
			return fail("chroot "+o.Chroot, err)
		}
	}
	if err := first(restrict.bound, restrict.keep); err != nil {
		return fail("restricting it", err)
	}
	if err := o.changeUser(); err != nil {
		return err
	}
	restrict.NoAmbient = restrict.NoAmbient || o.Confined
	if err := restrict.grant(); err != nil {
		return fail("restricting it", err)
	}
	if o.Dir != "" {
		if err := syscall.Chdir(o.Dir); err != nil {
			return explainDirectory(o.Label, "working directory", o.Dir, err)
		}
	}
	if o.Parent != 0 {
		if _, err := prctl(prSetPdeathsig, uintptr(o.DeathSignal), 0); err != nil {
			return fail("asking for a signal when the emperor ends", err)
		}
		if syscall.Getppid() != o.Parent {
			return fail("starting", errors.New("the emperor ended meanwhile"))
		}
	}
	env := o.Env
	if o.Listen {
		env = append(env, "LISTEN_PID="+strconv.Itoa(syscall.Getpid()))
	}
	path, err := LookPath(o.Path, env)
	if err != nil {
		return err
	}
	if o.Confined {
		if err := confine(path, temporaryDir(env), o.MayRead); err != nil {
			return fail("confining it", err)
		}
	}
	if err := first(restrict.renounce, restrict.limit); err != nil {
		return fail("restricting it", err)
	}
	resetSignals()
	write(status, []byte{AboutToExec})
	// syscall.Exec gives back the limit of open files that Go raised for itself,
	// unless limitFiles has set one.
	err = syscall.Exec(path, o.Args, env)
	return ExplainExec(o.Label, path, err)
}

// first does one step after the other until one fails.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// sealDescriptors leaves open across the exec what was asked for and nothing
// else. The emperor marks its own close-on-exec, but a descriptor that a library
// or a parent left open would reach every child.
func (o *Order) sealDescriptors() error {
	for _, fd := range o.Files {
		// ForkExec has cleared the flag already; a descriptor that vanished is a bug.
		if !isOpen(fd) {
			return errors.New("descriptor " + strconv.Itoa(fd) + " is missing")
		}
	}
	return SealDescriptors(o.Files...)
}

// limitFiles sets the soft limit of open files, as far as the hard one allows.
func (o *Order) limitFiles() error {
	if o.MaxOpenFiles == 0 {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return because(o.Label+": reading the limit of open files", err)
	}
	limit.Cur = min(o.MaxOpenFiles, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return because(o.Label+": setting the limit of open files to "+strconv.FormatUint(limit.Cur, 10), err)
	}
	return nil
}

// changeUser drops to the credential. Supplementary groups first, while we still
// may. Without privileges a credential that is our own already needs no change.
func (o *Order) changeUser() error {
	c := o.Credential
	if c == nil {
		return nil
	}
	if syscall.Geteuid() != 0 && syscall.Getuid() == int(c.UID) && syscall.Getgid() == int(c.GID) {
		return nil
	}
	groups := make([]int, len(c.Groups))
	for i, g := range c.Groups {
		groups[i] = int(g)
	}
	explain := func(what string, id uint32, err error) error {
		text := o.Label + ": cannot become " + what + " " + strconv.FormatUint(uint64(id), 10)
		if err == syscall.EPERM {
			text += ": only root with the capabilities setuid and setgid may change user, and the emperor runs as uid " + strconv.Itoa(syscall.Getuid())
		}
		return because(text, err)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return explain("group", c.GID, err)
	}
	if err := syscall.Setgid(int(c.GID)); err != nil {
		return explain("group", c.GID, err)
	}
	if err := syscall.Setuid(int(c.UID)); err != nil {
		return explain("user", c.UID, err)
	}
	return nil
}
