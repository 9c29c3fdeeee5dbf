package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
)

// MarkVariable is the environment variable that tells whose child a process
// is: EMPEROR_MARK=<mark>/<name>/<generation>. It is inherited by everything a
// vassal starts, also by what leaves its session, so it is how such processes
// are found again.
const MarkVariable = "EMPEROR_MARK"

// Credential is who the child runs as.
type Credential = shim.Credential

// Restrictions are what is taken away from a child before it becomes the program.
type Restrictions = shim.Restrictions

// Limit is one resource limit (setrlimit(2)).
type Limit = shim.Limit

// Command describes one child. Start does not keep it.
type Command struct {
	// Name and Generation are those of the vassal; they go into the mark and
	// into messages. The name may contain "/".
	Name       string
	Generation uint64

	// Path is the program. Without a slash it is looked up on the PATH of Env,
	// as the child sees it: after Chroot and with its Credential. A relative
	// path with a slash counts from Dir.
	Path string
	// Args is the whole argument vector: Args[0] is what the program sees as its
	// own name. Empty: Path alone.
	Args []string
	// Env is the whole environment; nothing is taken from ours. MarkVariable is
	// added, and with ListenFDs the LISTEN_ variables; earlier values of these
	// are dropped.
	Env []string
	// Dir is the working directory, inside Chroot if that is given. Empty: ours,
	// or "/" with Chroot.
	Dir string

	// Files maps descriptors of the child to ours (raw numbers, any holes). The
	// child gets duplicates of these and no other descriptor. O_NONBLOCK is
	// left as it is. Missing ones: 0 is /dev/null, 1 and 2 are ours. The caller
	// keeps its descriptors open until Start returns and closes them when it likes.
	Files map[int]int
	// ListenFDs says how many of Files, from 3 on, are sockets handed over by the
	// LISTEN_FDS protocol (sd_listen_fds(3)). 0: no LISTEN_ variables at all.
	ListenFDs int
	// ListenNames are their names for LISTEN_FDNAMES; empty, or as many as ListenFDs.
	ListenNames []string

	// Credential is nil for our own.
	Credential *Credential
	// Umask is -1 to keep ours. Mind that the zero value means 000.
	Umask int
	// Chroot is a directory to change the root to, before Credential and Dir take
	// effect. Empty: none.
	Chroot string
	// MaxOpenFiles is the soft RLIMIT_NOFILE. 0: the one this process was started
	// with (not the raised one Go gives itself).
	MaxOpenFiles uint64
	// Restrictions take more away from it.
	Restrictions Restrictions
	// Confined keeps the child from what only a taken-over process would do: it
	// gains no rights by executing something, and opens no file but its own program
	// and those in the directory for temporary files. Sockets, also unix ones, stay
	// reachable. As far as the kernel offers it (Landlock).
	Confined bool
	// MayRead lets a confined child read whatever files its user may read: it serves
	// folders of which only some are known when it starts, and a folder that it is
	// handed open is no exception from Confined. Everything else stays refused.
	MayRead bool
	// ParentDeathSignal asks the kernel to send SIGKILL to the child when the
	// emperor dies, however it dies. It reaches the child itself, not its children.
	ParentDeathSignal bool
	// DeathSignal is sent then in place of SIGKILL: a program whose children carry no
	// mark has to be asked, because only it can end them.
	DeathSignal unix.Signal
}

// mark is what the child carries in its environment.
func (c *Command) mark(starter string) string {
	return starter + "/" + c.Name + "/" + strconv.FormatUint(c.Generation, 10)
}

// label names the command in errors of this package.
func (c *Command) label() string {
	if c.Path == "" {
		return "command of " + strconv.Quote(c.Name)
	}
	return c.Path
}

// check finds the mistakes a caller can make, before anything is started.
func (c *Command) check() error {
	switch {
	case c.Path == "":
		return fmt.Errorf("%s: no program given", c.label())
	case strings.ContainsRune(c.Name, 0), strings.ContainsRune(c.Path, 0), strings.ContainsRune(c.Dir, 0), strings.ContainsRune(c.Chroot, 0):
		return fmt.Errorf("%s: a NUL byte in name, path or directory", c.label())
	case c.ListenFDs < 0:
		return fmt.Errorf("%s: negative number of sockets to hand over", c.label())
	case len(c.ListenNames) != 0 && len(c.ListenNames) != c.ListenFDs:
		return fmt.Errorf("%s: %d socket names for %d sockets", c.label(), len(c.ListenNames), c.ListenFDs)
	case c.Umask < -1 || c.Umask > 0o777:
		return fmt.Errorf("%s: umask %#o: want 0 to 0777", c.label(), c.Umask)
	}
	for _, s := range c.ListenNames {
		if strings.ContainsAny(s, ":\x00") {
			return fmt.Errorf("%s: socket name %q: a name handed over cannot contain ':'", c.label(), s)
		}
	}
	for _, list := range [][]string{c.Args, c.Env} {
		for _, s := range list {
			if strings.ContainsRune(s, 0) {
				return fmt.Errorf("%s: a NUL byte in %q", c.label(), s)
			}
		}
	}
	for i := range c.ListenFDs {
		if _, ok := c.Files[3+i]; !ok {
			return fmt.Errorf("%s: %d sockets to hand over, but descriptor %d is not among the files", c.label(), c.ListenFDs, 3+i)
		}
	}
	for child, ours := range c.Files {
		if child < 0 {
			return fmt.Errorf("%s: descriptor %d asked for in the child", c.label(), child)
		}
		if !isOpen(ours) {
			return fmt.Errorf("%s: our descriptor %d, wanted as %d in the child, is not open", c.label(), ours, child)
		}
	}
	return nil
}

// environment is Env with what this package adds, in the order of Env.
func (c *Command) environment(mark string) []string {
	env := make([]string, 0, len(c.Env)+4)
	for _, kv := range c.Env {
		name, _, _ := strings.Cut(kv, "=")
		if name == MarkVariable || c.ListenFDs > 0 && (name == "LISTEN_FDS" || name == "LISTEN_PID" || name == "LISTEN_FDNAMES") {
			continue
		}
		env = append(env, kv)
	}
	env = append(env, MarkVariable+"="+mark)
	if c.ListenFDs > 0 {
		// LISTEN_PID is added by the child: only that knows its number.
		env = append(env, "LISTEN_FDS="+strconv.Itoa(c.ListenFDs))
		if len(c.ListenNames) > 0 {
			env = append(env, "LISTEN_FDNAMES="+strings.Join(c.ListenNames, ":"))
		}
	}
	return env
}

// order is what the shim must do. files are those of layout.
func (c *Command) order(mark string, files []int) *shim.Order {
	o := &shim.Order{
		Label: c.label(), Path: c.Path, Dir: c.Dir, Chroot: c.Chroot,
		Args: c.Args, Env: c.environment(mark),
		Listen: c.ListenFDs > 0, Credential: c.Credential, Umask: c.Umask, MaxOpenFiles: c.MaxOpenFiles,
		Restrictions: c.Restrictions, Confined: c.Confined, MayRead: c.MayRead,
	}
	if len(o.Args) == 0 {
		o.Args = []string{o.Path}
	}
	for child, ours := range files {
		if ours >= 0 {
			o.Files = append(o.Files, child)
		}
	}
	if c.ParentDeathSignal {
		o.Parent = os.Getpid()
		if o.DeathSignal = c.DeathSignal; o.DeathSignal == 0 {
			o.DeathSignal = unix.SIGKILL
		}
	}
	return o
}

// layout gives, for each descriptor of the child, ours; -1 is closed. null is
// an open /dev/null. The two after the last are for what the child first executes.
func (c *Command) layout(null int) []int {
	highest := 2
	for child := range c.Files {
		highest = max(highest, child)
	}
	files := make([]int, highest+1)
	for i := range files {
		files[i] = -1
	}
	files[0] = null
	for _, standard := range []int{1, 2} {
		files[standard] = standard
		if !isOpen(standard) {
			files[standard] = null // a daemon that closed them; a child would get its first socket as stdout
		}
	}
	for child, ours := range c.Files {
		files[child] = ours
	}
	return files
}

func isOpen(fd int) bool {
	if fd < 0 {
		return false
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// ownExecutable is what is executed as the shim. The link in /proc still leads
// to the running binary when its file was replaced by an upgrade.
func ownExecutable() (string, error) {
	const link = "/proc/self/exe"
	if _, err := os.Stat(link); err == nil {
		return link, nil
	}
	return os.Executable()
}
