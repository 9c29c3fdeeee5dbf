package proc

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
	"emperor/internal/steps"
)

// The short way from a new process to the program is a list of system calls that the
// process executes (internal/steps), for orders that need no more: it takes a third of
// the processor time of the long way, through the shim. The list does what
// shim.Order's become does, in the same order, and says the same before the exec; and
// where it fails it says no more than that. Then the long way is gone with a new process,
// which puts the reason into words, or finds that there is none.

// shortWayClosed is set when the system is found to refuse such processes.
var shortWayClosed atomic.Bool

// shortWayFits tells whether a list can count on what it does without asking: that
// descriptors are closed by range (before Linux 5.11 they are not), and that the link
// which tells a process its number does so (in a namespace of processes whose /proc is
// another's it does not).
var shortWayFits = sync.OnceValue(func() bool {
	const nobody = 1<<31 - 1
	self, err := os.Readlink(ownNumber)
	return err == nil && self == strconv.Itoa(os.Getpid()) && unix.CloseRange(nobody, nobody, unix.CLOSE_RANGE_CLOEXEC) == nil
})

const (
	ownNumber  = "/proc/self" // a link to the number of whoever follows it
	numberRoom = 20           // for a number, and zeros behind it

	failed = "?" // makes the answer none of a program that is executed

	signalSetSize = 8 // of the kernel
)

// shortImage gives an executable file that does what the order says, for a process whose
// descriptors from 0 on are those of files, the file, and the pipe for the answer; -1
// when there is none. The caller closes it.
func shortImage(o *shim.Order, files []int) int {
	if shortWayClosed.Load() || !shortWayFits() {
		return -1
	}
	list, ok := shortList(o, files)
	if !ok {
		return -1
	}
	image, err := list.Image()
	if errors.Is(err, steps.ErrUnsupported) {
		shortWayClosed.Store(true)
		return -1
	}
	fd, err := executableFile(image)
	if err != nil {
		closeIfRefused(err)
		return -1 // too few descriptors, for one: the long way tells
	}
	return fd
}

// shortList writes down what the order says; false when a list cannot do it.
func shortList(o *shim.Order, files []int) (*steps.List, bool) {
	r := &o.Restrictions
	if o.Chroot != "" || o.Confined || r.Bounded || r.Granted != 0 {
		return nil, false
	}
	w := shortWriter{status: len(files) + 1}
	w.seal(o.Files)
	w.join(r.Group, files)
	if o.Umask >= 0 {
		w.Do(unix.SYS_UMASK, uint64(o.Umask))
	}
	if !w.limitFiles(o.MaxOpenFiles) {
		return nil, false
	}
	w.changeUser(o.Credential)
	if r.NoAmbient {
		w.Do(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	}
	if o.Dir != "" {
		w.Do(unix.SYS_CHDIR, w.Text(o.Dir))
	}
	if o.Parent != 0 {
		dieWith(&w.List, o.Parent, o.DeathSignal)
	}
	environment := w.environment(o)
	if r.NoNewPrivileges {
		w.Do(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	if !w.limit(r.Limits) {
		return nil, false
	}
	w.resetSignals()
	w.say(string(shim.AboutToExec))
	w.execute(o, environment)
	w.Failed = []steps.Step{w.saying(failed)}
	return &w.List, true
}

// shortWriter writes the parts of a list.
type shortWriter struct {
	steps.List
	status int // the descriptor for the answer
}

func (w *shortWriter) say(text string) { w.Steps = append(w.Steps, w.saying(text)) }

func (w *shortWriter) saying(text string) steps.Step {
	return steps.Step{Call: unix.SYS_WRITE, Arguments: [4]uint64{uint64(w.status), w.Text(text), uint64(len(text))}}
}

// seal marks all descriptors from 3 on close-on-exec, but those, which are ascending.
func (w *shortWriter) seal(keep []int) {
	closeRange := func(first, last uint32) {
		if first <= last {
			w.Do(unix.SYS_CLOSE_RANGE, uint64(first), uint64(last), unix.CLOSE_RANGE_CLOEXEC)
		}
	}
	next := uint32(3)
	for _, fd := range keep {
		if fd >= 3 {
			closeRange(next, uint32(fd)-1)
			next = uint32(fd) + 1
		}
	}
	closeRange(next, ^uint32(0))
}

// join enters a control group. The file gets the first number that is free: if it has
// another, somebody has left a descriptor open, and the list fails.
func (w *shortWriter) join(group string, files []int) {
	if group == "" {
		return
	}
	free := w.status + 1
	for i, fd := range files {
		if fd < 0 {
			free = i
			break
		}
	}
	here := int64(unix.AT_FDCWD)
	open := w.Do(unix.SYS_OPENAT, uint64(here), w.Text(group+"/cgroup.procs"), unix.O_WRONLY|unix.O_CLOEXEC)
	open.Exactly, open.Result = true, uint64(free)
	w.Do(unix.SYS_WRITE, uint64(free), w.Text("0"), 1)
	w.Do(unix.SYS_CLOSE, uint64(free))
}

// limitFiles sets the soft limit of open files, as far as the hard one allows, which is
// the same for us.
func (w *shortWriter) limitFiles(soft uint64) bool {
	if soft == 0 {
		return true
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return false
	}
	setLimit(&w.List, unix.RLIMIT_NOFILE, min(soft, own.Max), own.Max)
	return true
}

// limit sets limits. Those above ours, that have to be raised as long as we may, are
// for the long way.
func (w *shortWriter) limit(limits []shim.Limit) bool {
	for _, l := range limits {
		var own unix.Rlimit
		if err := unix.Getrlimit(l.Resource, &own); err != nil {
			return false
		}
		if l.Hard > own.Max {
			if !l.LowerOnly {
				return false
			}
			l.Hard = own.Max
		}
		setLimit(&w.List, l.Resource, min(l.Soft, l.Hard), l.Hard)
	}
	return true
}

// changeUser drops to the credential, groups first. Without privileges a credential that
// is our own already needs no change.
func (w *shortWriter) changeUser(c *shim.Credential) {
	if c == nil || os.Geteuid() != 0 && os.Getuid() == int(c.UID) && os.Getgid() == int(c.GID) {
		return
	}
	var groups []byte
	for _, group := range c.Groups {
		groups = binary.NativeEndian.AppendUint32(groups, group)
	}
	w.Words() // aligns what comes
	w.Do(unix.SYS_SETGROUPS, uint64(len(c.Groups)), w.Bytes(groups))
	w.Do(unix.SYS_SETGID, uint64(c.GID))
	w.Do(unix.SYS_SETUID, uint64(c.UID))
}

// environment gives the address of the environment, with LISTEN_PID if that is asked
// for: the number is written into it by the process.
func (w *shortWriter) environment(o *shim.Order) uint64 {
	variables := addresses(&w.List, o.Env)
	if o.Listen {
		const name = "LISTEN_PID="
		variable := w.Text(name + strings.Repeat("\x00", numberRoom))
		here := int64(unix.AT_FDCWD)
		w.Do(unix.SYS_READLINKAT, uint64(here), w.Text(ownNumber), variable+uint64(len(name)), numberRoom)
		variables = append(variables, variable)
	}
	return vector(&w.List, variables)
}

// resetSignals gives every signal its default action, as far as it can have one, and
// blocks none: what is ignored stays so through an exec.
func (w *shortWriter) resetSignals() {
	const signals, setMask = 64, 2
	none := w.Words(0, 0, 0, 0) // a struct sigaction, and an empty set
	for signal := uint64(1); signal <= signals; signal++ {
		w.Do(unix.SYS_RT_SIGACTION, signal, none, 0, signalSetSize).Otherwise = steps.GoOn
	}
	w.Do(unix.SYS_RT_SIGPROCMASK, setMask, none, 0, signalSetSize)
}

// execute becomes the first candidate that may be executed. If that cannot be, none of
// those behind it is tried, and the list fails.
func (w *shortWriter) execute(o *shim.Order, environment uint64) {
	arguments := vector(&w.List, addresses(&w.List, o.Args))
	candidates := shim.Candidates(o.Path, o.Env)
	here := int64(unix.AT_FDCWD)
	for _, candidate := range candidates {
		path := w.Text(candidate)
		if len(candidates) > 1 {
			w.Do(unix.SYS_FACCESSAT2, uint64(here), path, unix.X_OK, unix.AT_EACCESS).Otherwise = steps.GoOver
		}
		w.Do(unix.SYS_EXECVE, path, arguments, environment)
	}
}

// executableFile writes an anonymous file and gives a descriptor of it that it can be
// executed by. While it is open for writing, in whatever process, it cannot be: so
// nobody forks meanwhile.
func executableFile(image []byte) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.MemfdCreate(anonymous, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all were executable
		fd, err = unix.MemfdCreate(anonymous, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	if err := writeAll(fd, image); err != nil {
		return -1, err
	}
	return unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// closeIfRefused closes the short way where anonymous files are not to be executed: by
// the setting vm.memfd_noexec, or by a security module.
func closeIfRefused(err error) {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		shortWayClosed.Store(true)
	}
}

// closeIfKilled closes it where a process has ended in a way that a list cannot end in,
// unless the kernel does not let it.
func closeIfKilled(exit Exit) {
	switch exit.Signal {
	case unix.SIGILL, unix.SIGSEGV, unix.SIGBUS, unix.SIGSYS:
		shortWayClosed.Store(true)
	}
}
