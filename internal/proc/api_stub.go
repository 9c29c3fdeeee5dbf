package proc

import (
	"context"
	"errors"
	"syscall"
	"time"
)

var errStub = errors.New("proc: not written yet")

// Starter makes child processes, all on one operating system thread.
type Starter struct{}

// NewStarter starts the thread. mark is this emperor's identity (see NewMark);
// each child carries EMPEROR_MARK=<mark>/<name>/<generation> in its environment.
func NewStarter(mark string) *Starter { return &Starter{} }

// Close ends the thread, and with it every child that has ParentDeathSignal.
// Call it last. It does not wait for children.
func (s *Starter) Close() {}

// Start runs a command; see Command.
func (s *Starter) Start(ctx context.Context, c *Command) (*Process, error) { return nil, errStub }

// Credential is who the child runs as.
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups, all of them; nil means none
}

// Command describes one child.
type Command struct {
	Name       string // vassal name, for the mark and messages
	Generation uint64

	Path string   // program; looked up on the PATH of Env if it has no slash
	Args []string // Args[0] is argv[0]
	Env  []string // the whole environment; the mark and LISTEN_* are added
	Dir  string   // working directory, inside Chroot if that is given; empty: ours

	Files       map[int]int // child descriptor → our raw descriptor; 0 defaults to /dev/null, 1 and 2 to ours
	ListenFDs   int         // >0: LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES are set; the sockets are Files[3]…
	ListenNames []string

	Credential        *Credential // nil: ours
	Umask             int         // -1: ours
	Chroot            string
	MaxOpenFiles      uint64 // soft RLIMIT_NOFILE; 0: what the emperor was started with
	ParentDeathSignal bool   // SIGKILL when the emperor dies
}

// Process is one child that was started.
type Process struct{}

// PID is the process number.
func (p *Process) PID() int { return 0 }

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return nil }

// Exit waits for Done and says how the process ended.
func (p *Process) Exit() Exit { return Exit{} }

// Signal sends a signal to the process alone; os.ErrProcessDone when it has ended.
func (p *Process) Signal(sig syscall.Signal) error { return errStub }

// SignalTree sends a signal once to every process of the tree; see KillTree.
func (p *Process) SignalTree(sig syscall.Signal) error { return errStub }

// KillTree kills every process of the tree and returns when none is left.
func (p *Process) KillTree(ctx context.Context) error { return errStub }

// Contains says whether pid belongs to the tree: session, descendant or mark.
func (p *Process) Contains(pid int) bool { return false }

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit status, when Signal is 0
	Signal syscall.Signal // the signal that killed it
	Core   bool
}

// String is "exit status 1" or "killed by SIGKILL".
func (e Exit) String() string { return "" }

// Success says whether the process ended by itself with status 0.
func (e Exit) Success() bool { return e.Code == 0 && e.Signal == 0 }

// StartError says why a child could not be started, in words for a user.
type StartError struct {
	Name string
	Text string
	Err  error // usually a syscall.Errno: errors.Is(err, fs.ErrNotExist) works
}

func (e *StartError) Error() string { return e.Text }
func (e *StartError) Unwrap() error { return e.Err }

// Shim must be the first thing in main (tests: testvassal.MaybeRun does it).
func Shim() {}

// Identity names the emperor of one main file of one user on one machine.
func Identity(configFile string) string { return "" }

// NewMark is this run of the emperor with that identity.
func NewMark(identity string) string { return "" }

// Leftover is a process that an earlier emperor started and did not end.
type Leftover struct {
	PID        int
	Vassal     string
	Generation uint64
	Program    string
}

// Leftovers lists processes of dead emperors with that identity.
func Leftovers(identity string) ([]Leftover, error) { return nil, errStub }

// EndLeftovers ends them: TERM, after mercy KILL; returns when none is left.
func EndLeftovers(ctx context.Context, identity string, mercy time.Duration) ([]Leftover, error) {
	return nil, errStub
}

// BecomeSubreaper makes orphaned descendants children of this process.
func BecomeSubreaper() error { return errStub }

// ReapOrphans reaps children nobody waits for until ctx ends. Children of any
// Starter are left alone; known (may be nil) names others that have an owner.
func ReapOrphans(ctx context.Context, known func(pid int) bool) {}

// KillDescendants kills every descendant of this process; none is left when it returns nil.
func KillDescendants(ctx context.Context) error { return errStub }

// SealDescriptors marks every descriptor from 3 on, but those, close-on-exec.
func SealDescriptors(keep ...int) error { return errStub }

// SetBlocking clears O_NONBLOCK, which every holder of the socket shares.
func SetBlocking(fd int) error { return errStub }

// Duplicate gives a close-on-exec duplicate of a listener's or connection's
// descriptor without touching O_NONBLOCK; the caller closes it.
func Duplicate(c syscall.Conn) (fd int, err error) { return -1, errStub }
