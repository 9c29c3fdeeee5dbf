package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The exec shim: the child side of Start. What the child must be is written to
// an anonymous file by the emperor (an argument vector and an environment show
// in ps, and are limited in size); its descriptor is the only argument. The next
// descriptor is a pipe for the answer: aboutToExec, then nothing when the program
// was executed (the pipe is close-on-exec), else a shimFailure.

const (
	shimWord    = "__exec"
	aboutToExec = '!'
	// defaultPath is for a Command whose Env has no PATH: what a login shell has.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// shimOrder is what the shim must do. Byte slices, because paths and
// environments need not be valid UTF-8, which JSON strings must be.
type shimOrder struct {
	Label, Path, Dir, Chroot []byte
	Args, Env                [][]byte
	Files                    []int // descriptors to keep, ascending
	Listen                   bool  // add LISTEN_PID
	Credential               *Credential
	Umask                    int
	MaxOpenFiles             uint64
	Restrictions             Restrictions
	Confined, MayRead        bool
	Parent                   int // pid that must still be our parent; 0: no parent-death signal
	DeathSignal              syscall.Signal
}

type shimFailure struct {
	Text  string
	Errno syscall.Errno
}

func newShimOrder(c *Command, mark string, files []int) *shimOrder {
	o := &shimOrder{
		Label: []byte(c.label()), Path: []byte(c.Path), Dir: []byte(c.Dir), Chroot: []byte(c.Chroot),
		Env:    byteSlices(c.environment(mark)),
		Listen: c.ListenFDs > 0, Credential: c.Credential, Umask: c.Umask, MaxOpenFiles: c.MaxOpenFiles,
		Restrictions: c.Restrictions, Confined: c.Confined, MayRead: c.MayRead,
	}
	if o.Args = byteSlices(c.Args); len(o.Args) == 0 {
		o.Args = [][]byte{o.Path}
	}
	for child, ours := range files {
		if ours >= 0 {
			o.Files = append(o.Files, child)
		}
	}
	if c.ParentDeathSignal {
		o.Parent = os.Getpid()
		if o.DeathSignal = c.DeathSignal; o.DeathSignal == 0 {
			o.DeathSignal = syscall.SIGKILL
		}
	}
	return o
}

// file writes the order to an anonymous file and gives its descriptor, to be
// closed by the caller.
func (o *shimOrder) file() (int, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return -1, err
	}
	fd, err := unix.MemfdCreate("exec", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	for at := 0; at < len(text); {
		n, err := unix.Pwrite(fd, text[at:], int64(at))
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		at += n
	}
	return fd, nil
}

func shimArguments(order int) []string {
	return []string{"emperor", shimWord, strconv.Itoa(order)}
}

// Shim must be the first thing in main. If this process was started as the exec
// shim it becomes the program it was started for and never returns; otherwise it
// does nothing. (In tests: testvassal.MaybeRun.)
func Shim() {
	if len(os.Args) != 3 || os.Args[1] != shimWord {
		return
	}
	fd, err := strconv.Atoi(os.Args[2])
	if err != nil || fd < 3 {
		fmt.Fprintf(os.Stderr, "emperor: %s is for the emperor's own use\n", shimWord)
		os.Exit(2)
	}
	// Credentials, parent-death signal and exec belong to one thread.
	runtime.LockOSThread()
	status := fd + 1
	unix.CloseOnExec(fd)
	unix.CloseOnExec(status)

	order, err := readShimOrder(fd)
	if err == nil {
		err = order.become(status)
	}
	answer := shimFailure{Text: err.Error()}
	errors.As(err, &answer.Errno)
	text, _ := json.Marshal(answer)
	unix.Write(status, text)
	os.Exit(127)
}

func readShimOrder(fd int) (*shimOrder, error) {
	text, err := io.ReadAll(io.NewSectionReader(preader(fd), 0, 1<<40))
	if err != nil {
		return nil, fmt.Errorf("reading the description of the child: %w", err)
	}
	o := new(shimOrder)
	if err := json.Unmarshal(text, o); err != nil {
		return nil, fmt.Errorf("reading the description of the child: %w", err)
	}
	return o, nil
}

// preader reads a raw descriptor without an os.File, whose finalizer would close it.
type preader int

func (fd preader) ReadAt(b []byte, offset int64) (int, error) {
	n, err := unix.Pread(int(fd), b, offset)
	if n == 0 && err == nil && len(b) > 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

// become turns this process into the program. It returns only with an error.
// The order of the steps matters: the control group and higher limits while we may
// still have them, the root directory before we lose the right to change it, the
// working directory, the search and the exec as the user that the program will be,
// the parent-death signal after the change of user, which clears it (prctl(2)), and
// lower limits last, because they hold for this program, too.
func (o *shimOrder) become(status int) error {
	label := string(o.Label)
	fail := func(doing string, err error) error { return fmt.Errorf("%s: %s: %w", label, doing, err) }

	if err := o.sealDescriptors(); err != nil {
		return fail("closing descriptors", err)
	}
	restrict := &o.Restrictions
	if err := errors.Join(restrict.join(), restrict.raise()); err != nil {
		return fail("restricting it", err)
	}
	if o.Umask >= 0 {
		syscall.Umask(o.Umask)
	}
	if err := o.limitFiles(); err != nil {
		return err
	}
	if len(o.Chroot) > 0 {
		root := string(o.Chroot)
		if err := syscall.Chroot(root); err != nil {
			return explainDirectory(label, "chroot", root, err)
		}
		if err := syscall.Chdir("/"); err != nil {
			return fail("chroot "+root, err)
		}
	}
	if err := errors.Join(restrict.bound(), restrict.keep()); err != nil {
		return fail("restricting it", err)
	}
	if err := o.changeUser(); err != nil {
		return err
	}
	if err := restrict.grant(); err != nil {
		return fail("restricting it", err)
	}
	if dir := string(o.Dir); dir != "" {
		if err := syscall.Chdir(dir); err != nil {
			return explainDirectory(label, "working directory", dir, err)
		}
	}
	if o.Parent != 0 {
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(o.DeathSignal), 0, 0, 0); err != nil {
			return fail("asking for a signal when the emperor ends", err)
		}
		if os.Getppid() != o.Parent {
			return fail("starting", errors.New("the emperor ended meanwhile"))
		}
	}
	env := stringSlices(o.Env)
	if o.Listen {
		env = append(env, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	}
	path, err := lookPath(string(o.Path), env)
	if err != nil {
		return err
	}
	if o.Confined {
		if err := confine(path, temporaryDir(env), o.MayRead); err != nil {
			return fail("confining it", err)
		}
	}
	if err := errors.Join(restrict.renounce(), restrict.limit()); err != nil {
		return fail("restricting it", err)
	}
	resetSignals()
	unix.Write(status, []byte{aboutToExec})
	// syscall.Exec gives back the limit of open files that Go raised for itself,
	// unless limitFiles has set one.
	err = syscall.Exec(path, stringSlices(o.Args), env)
	return explainExec(label, path, err)
}

// sealDescriptors leaves open across the exec what was asked for and nothing
// else. The emperor marks its own close-on-exec, but a descriptor that a library
// or a parent left open would reach every child.
func (o *shimOrder) sealDescriptors() error {
	for _, fd := range o.Files {
		// ForkExec has cleared the flag already; a descriptor that vanished is a bug.
		if !isOpen(fd) {
			return fmt.Errorf("descriptor %d is missing", fd)
		}
	}
	return SealDescriptors(o.Files...)
}

// limitFiles sets the soft limit of open files, as far as the hard one allows.
func (o *shimOrder) limitFiles() error {
	if o.MaxOpenFiles == 0 {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%s: reading the limit of open files: %w", o.Label, err)
	}
	limit.Cur = min(o.MaxOpenFiles, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%s: setting the limit of open files to %d: %w", o.Label, limit.Cur, err)
	}
	return nil
}

// changeUser drops to the credential. Supplementary groups first, while we still
// may. Without privileges a credential that is our own already needs no change.
func (o *shimOrder) changeUser() error {
	c := o.Credential
	if c == nil {
		return nil
	}
	if os.Geteuid() != 0 && os.Getuid() == int(c.UID) && os.Getgid() == int(c.GID) {
		return nil
	}
	groups := make([]int, len(c.Groups))
	for i, g := range c.Groups {
		groups[i] = int(g)
	}
	explain := func(what string, id uint32, err error) error {
		if errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("%s: cannot become %s %d: only root with the capabilities setuid and setgid may change user, and the emperor runs as uid %d: %w", o.Label, what, id, os.Getuid(), err)
		}
		return fmt.Errorf("%s: cannot become %s %d: %w", o.Label, what, id, err)
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

// resetSignals gives every signal its default action and blocks none. exec does
// that for handlers, but keeps what is ignored: under nohup, and for SIGPIPE in
// a systemd unit, a program would not get what it counts on.
func resetSignals() {
	// struct sigaction of the kernel; all zero is SIG_DFL with no flags. It is at
	// most this large on every architecture.
	var none [8]uint64
	const kernelSetSize = 8
	for sig := uintptr(1); sig <= 64; sig++ {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&none)), 0, kernelSetSize, 0, 0)
	}
	var empty unix.Sigset_t
	unix.PthreadSigmask(unix.SIG_SETMASK, &empty, nil)
}

func byteSlices(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

func stringSlices(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}
