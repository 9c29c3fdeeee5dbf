package proc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"emperor/internal/proc"
	"emperor/internal/testvassal"
)

func TestMain(m *testing.M) {
	testvassal.MaybeRun()
	// What tests leave behind comes to us, so that a test can find it.
	if err := proc.BecomeSubreaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(bothWays{m})
}

// bothWays runs all tests twice: a child is the same whichever way it has come to be.
type bothWays struct{ *testing.M }

func (b bothWays) Run() int {
	short := b.M.Run()
	proc.CloseShortWay()
	return max(short, b.M.Run())
}

// deadline is generous: it only ends a test that hangs.
const deadline = 60 * time.Second

// ours is in all marks: who kills by one does not kill what another run of these tests has
// started.
var ours = "-" + strconv.Itoa(os.Getpid())

func newStarter(t *testing.T, mark string) *proc.Starter {
	t.Helper()
	s := proc.NewStarter(mark + ours)
	t.Cleanup(s.Close)
	return s
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// scripted is the Command of a scripted child; its output goes where ours does.
func scripted(t *testing.T, words ...string) *proc.Command {
	t.Helper()
	path, args, env := testvassal.Command(t, words...)
	return &proc.Command{Name: "site", Generation: 1, Path: path, Args: args, Env: env, Umask: -1}
}

func mustStart(t *testing.T, s *proc.Starter, c *proc.Command) *proc.Process {
	t.Helper()
	p, err := s.Start(testContext(t), c)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := p.KillTree(testContext(t)); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	})
	return p
}

// output runs the command to its end and gives what it wrote to stdout and stderr.
func output(t *testing.T, s *proc.Starter, c *proc.Command) (string, proc.Exit) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, err := proc.Duplicate(w)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if c.Files == nil {
		c.Files = map[int]int{}
	}
	c.Files[1], c.Files[2] = fd, fd
	p := mustStart(t, s, c)
	unix.Close(fd)
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), p.Exit()
}

// waitFile waits until a file with a process number appears and gives the number.
func waitFile(t *testing.T, path string) int {
	t.Helper()
	var pid int
	eventually(t, "the file "+path, func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(string(text))
		return err == nil
	})
	return pid
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// alive says whether a process exists and is no zombie.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := text[bytes.LastIndexByte(text, ')')+1:]
	return !bytes.HasPrefix(rest, []byte(" Z"))
}

func TestExitIsReportedInWords(t *testing.T) {
	s := newStarter(t, "mark")
	for _, test := range []struct {
		word, want string
	}{
		{"exit=0", "exit status 0"},
		{"exit=3", "exit status 3"},
		{"kill=KILL", "killed by SIGKILL"},
		{"kill=TERM", "killed by SIGTERM"},
	} {
		p := mustStart(t, s, scripted(t, test.word))
		if got := p.Exit().String(); got != test.want {
			t.Errorf("%s: %q, want %q", test.word, got, test.want)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s: signal after the end: %v, want os.ErrProcessDone", test.word, err)
		}
	}
}

func TestSignalReachesTheProcess(t *testing.T) {
	s := newStarter(t, "mark")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		p := mustStart(t, s, scripted(t, "sleep=1h"))
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if got := p.Exit(); got.Signal != sig {
			t.Errorf("%v: %v", sig, got)
		}
	}
}

func TestChildBelongsToItself(t *testing.T) {
	// Own session and group, no ignored or blocked signals, the mark, our own
	// descriptors and environment nowhere.
	t.Setenv("MUST_NOT_LEAK", "1")
	leak, err := unix.Open("/dev/zero", unix.O_RDONLY, 0) // no O_CLOEXEC, on purpose
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	s := newStarter(t, "m1")
	c := scripted(t, "env=EMPEROR_MARK", "env=MUST_NOT_LEAK", "env=GOGC", "env=GOMAXPROCS", "env=EMPEROR_SHIM", "env=LISTEN_FDS", "proc=SigIgn", "proc=SigBlk", "fds")
	c.Name, c.Generation = "dir/site", 7
	c.Env = append(c.Env, "EMPEROR_MARK=somebody/else/1")
	text, _ := output(t, s, c)
	for _, want := range []string{"EMPEROR_MARK=m1" + ours + "/dir/site/7\n", "MUST_NOT_LEAK unset\n", "GOGC unset\n", "GOMAXPROCS unset\n", "EMPEROR_SHIM unset\n", "LISTEN_FDS unset\n", "SigIgn=0000000000000000\n", "SigBlk=0000000000000000\n", "0=/dev/null\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "/dev/zero") || strings.Contains(text, "memfd") || strings.Count(text, "=pipe:") != 2 {
		t.Errorf("descriptors leaked:\n%s", text)
	}

	p := mustStart(t, s, scripted(t, "wait"))
	if sid, err := unix.Getsid(p.PID()); err != nil || sid != p.PID() {
		t.Errorf("session %d, %v; want %d", sid, err, p.PID())
	}
	if !p.Contains(p.PID()) || p.Contains(os.Getpid()) || p.Contains(1) {
		t.Error("Contains is wrong about the child, about us, or about PID 1")
	}
}

func TestStartErrorsAreForUsers(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	noInterpreter := write("no-interpreter", "#!/no/such/python -u\n", 0o755)
	windows := write("windows", "#!/bin/sh\r\necho\r\n", 0o755)
	plain := write("plain", "echo\n", 0o644)
	garbage := write("garbage", "\x00\x01\x02", 0o755)
	s := newStarter(t, "mark")
	for _, test := range []struct {
		name    string
		command proc.Command
		want    string
		is      error
	}{
		{"not on PATH", proc.Command{Path: "gunicorn-of-nobody", Env: []string{"PATH=/usr/bin:/bin"}}, "gunicorn-of-nobody: not found on PATH (/usr/bin:/bin)", fs.ErrNotExist},
		{"no PATH", proc.Command{Path: "gunicorn-of-nobody"}, "gunicorn-of-nobody: not found on PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)", fs.ErrNotExist},
		{"on PATH but not executable", proc.Command{Path: "plain", Env: []string{"PATH=/bin:" + dir}}, "plain: " + plain + " is there, but may not be executed by uid", fs.ErrPermission},
		{"no such file", proc.Command{Path: "/no/such/program"}, "/no/such/program: no such file", fs.ErrNotExist},
		{"relative", proc.Command{Path: "./app", Dir: dir}, "./app: no such file in " + dir, fs.ErrNotExist},
		{"not executable", proc.Command{Path: plain}, plain + ": not executable (chmod +x?)", fs.ErrPermission},
		{"a directory", proc.Command{Path: dir}, dir + ": is a directory, not a program", fs.ErrPermission},
		{"interpreter", proc.Command{Path: noInterpreter}, noInterpreter + ": its first line asks for /no/such/python, which does not exist", fs.ErrNotExist},
		{"interpreter on PATH", proc.Command{Path: "no-interpreter", Env: []string{"PATH=" + dir}}, "no-interpreter: " + noInterpreter + ": its first line asks for /no/such/python, which does not exist", fs.ErrNotExist},
		{"windows line ends", proc.Command{Path: windows}, windows + `: its first line asks for "/bin/sh\r", which does not exist`, fs.ErrNotExist},
		{"not a program", proc.Command{Path: garbage}, garbage + ": not a program: no #! line and no binary of this machine", syscall.ENOEXEC},
		{"directory missing", proc.Command{Path: "/bin/true", Dir: "/no/such/dir"}, "/bin/true: working directory /no/such/dir does not exist", fs.ErrNotExist},
		{"directory is a file", proc.Command{Path: "/bin/true", Dir: plain}, "/bin/true: working directory " + plain + " is not a directory", syscall.ENOTDIR},
		{"chroot missing", proc.Command{Path: "/bin/true", Chroot: "/no/such/dir"}, "/bin/true: chroot /no/such/dir does not exist", fs.ErrNotExist},
		{"environment too long", proc.Command{Path: "/bin/true", Env: []string{"A=" + strings.Repeat("x", 1<<20)}}, "/bin/true: arguments and environment are too long", syscall.E2BIG},
		{"closed descriptor", proc.Command{Path: "/bin/true", Files: map[int]int{3: 987}}, "/bin/true: our descriptor 987, wanted as 3 in the child, is not open", nil},
		{"sockets missing", proc.Command{Path: "/bin/true", ListenFDs: 1}, "/bin/true: 1 sockets to hand over, but descriptor 3 is not among the files", nil},
		{"nothing", proc.Command{Name: "shop"}, `command of "shop": no program given`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.command.Umask = -1
			p, err := s.Start(testContext(t), &test.command)
			if err == nil {
				p.Signal(syscall.SIGKILL)
				t.Fatal("started")
			}
			var failure *proc.StartError
			if !errors.As(err, &failure) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%q, want %q", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%q is not %v", err, test.is)
			}
		})
	}
}

func TestStartAfterClose(t *testing.T) {
	s := proc.NewStarter("mark" + ours)
	s.Close()
	s.Close()
	if _, err := s.Start(testContext(t), scripted(t, "exit=0")); !errors.Is(err, proc.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

func TestStartWithEndedContext(t *testing.T) {
	s := newStarter(t, "mark")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Start(ctx, scripted(t, "exit=0")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

func TestFilesMapAnyLayout(t *testing.T) {
	// Five files whose numbers on our side collide with the wanted ones in every
	// way: swapped, shifted, the same twice, far away.
	dir := t.TempDir()
	open := func(name string) int {
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	a, b, c := open("a"), open("b"), open("c")
	s := newStarter(t, "mark")
	for _, files := range []map[int]string{
		{a: "b", b: "a"},
		{a: "b", b: "c", c: "a"},
		{3: "a", 4: "a", 9: "c"},
		{a: "a"},
		{200: "a", 3: "b", 100: "c"},
		{c + 1: "a", c + 2: "b", c + 3: "c"}, // where the shim's own would be
		{0: "a"},
		{},
	} {
		cmd := scripted(t, "fds")
		cmd.Files = map[int]int{}
		want := map[int]string{0: "/dev/null"}
		for child, name := range files {
			cmd.Files[child] = map[string]int{"a": a, "b": b, "c": c}[name]
			want[child] = filepath.Join(dir, name)
		}
		text, _ := output(t, s, cmd)
		got := map[int]string{}
		for line := range strings.Lines(text) {
			number, target, _ := strings.Cut(strings.TrimSpace(line), "=")
			fd, _ := strconv.Atoi(number)
			if fd != 1 && fd != 2 {
				got[fd] = target
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v (a=%d b=%d c=%d):\n got %v\nwant %v", files, a, b, c, got, want)
		}
	}
}

func TestListenFDs(t *testing.T) {
	// The socket keeps its O_NONBLOCK, whichever it has, and works as fd 3.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	fd, err := proc.Duplicate(listener.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	nonblocking := func() bool {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			t.Fatal(err)
		}
		return flags&unix.O_NONBLOCK != 0
	}
	if !nonblocking() {
		t.Fatal("Duplicate has cleared O_NONBLOCK")
	}
	s := newStarter(t, "mark")
	c := scripted(t, "pid", "env=LISTEN_PID", "env=LISTEN_FDS", "env=LISTEN_FDNAMES", "fds")
	c.Files, c.ListenFDs, c.ListenNames = map[int]int{3: fd, 4: fd}, 2, []string{"http", "admin"}
	c.Env = append(c.Env, "LISTEN_PID=1", "LISTEN_FDS=9")
	text, _ := output(t, s, c)
	pid, rest, _ := strings.Cut(text, "\n")
	if want := "LISTEN_PID=" + pid + "\nLISTEN_FDS=2\nLISTEN_FDNAMES=http:admin\n"; !strings.HasPrefix(rest, want) || strings.Count(rest, "=socket:") != 2 {
		t.Errorf("got\n%s\nwant\n%s", rest, want)
	}
	if !nonblocking() {
		t.Error("handing the socket over has cleared O_NONBLOCK")
	}
	if err := proc.SetBlocking(fd); err != nil || nonblocking() {
		t.Errorf("SetBlocking: %v", err)
	}
}

func TestProcessAttributes(t *testing.T) {
	s := newStarter(t, "mark")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := scripted(t, "dir", "proc=Umask")
	c.Dir, c.Umask = dir, 0o027
	text, _ := output(t, s, c)
	if want := dir + "\nUmask=0027\n"; text != want {
		t.Errorf("got %q, want %q", text, want)
	}

	limits := proc.Command{Path: "sh", Args: []string{"sh", "-c", "ulimit -Sn; ulimit -Hn"}, Umask: -1}
	inherited, _ := output(t, s, &limits)
	limits.MaxOpenFiles = 123
	limited, _ := output(t, s, &limits)
	_, hard, _ := strings.Cut(inherited, "\n")
	if limited != "123\n"+hard {
		t.Errorf("limit of open files: %q, want 123 and %q", limited, hard)
	}
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	limits.MaxOpenFiles = own.Max + 5
	if got, exit := output(t, s, &limits); !exit.Success() || got != strings.TrimSpace(hard)+"\n"+hard {
		t.Errorf("more than the hard limit %q: %q, %v", hard, got, exit)
	}
}

func TestCredentialAndChroot(t *testing.T) {
	if os.Getuid() != 0 {
		// Without privileges the same call must say so, and our own ids must work.
		s := newStarter(t, "mark")
		c := &proc.Command{Path: "true", Umask: -1, Credential: &proc.Credential{UID: 0, GID: 0}}
		if _, err := s.Start(testContext(t), c); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("became root: %v", err)
		}
		c.Credential = &proc.Credential{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
		if _, exit := output(t, s, c); !exit.Success() {
			t.Error(exit)
		}
		return
	}
	s := newStarter(t, "mark")
	c := &proc.Command{Path: "id", Umask: -1, Credential: &proc.Credential{UID: 12345, GID: 23456, Groups: []uint32{7, 8}}, ParentDeathSignal: true}
	if text, _ := output(t, s, c); !strings.HasPrefix(text, "uid=12345 gid=23456 groups=23456,7(lp),8(mail)") {
		t.Errorf("id: %s", text)
	}

	// The program is looked up inside the new root, by the new user.
	root := t.TempDir()
	source := filepath.Join(t.TempDir(), "pwd.go")
	if err := os.WriteFile(source, []byte("package main\nimport \"os\"\nfunc main() { dir, _ := os.Getwd(); os.Stdout.WriteString(dir + \" \" + os.Args[0]) }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(root, "pwd"), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // static: there are no libraries inside
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if text, _ := output(t, s, &proc.Command{Path: "pwd", Args: []string{"found"}, Env: []string{"PATH=/bin:/"}, Chroot: root, Umask: -1}); text != "/ found" {
		t.Errorf("in the new root it says %q", text)
	}
	_, err := s.Start(testContext(t), &proc.Command{Path: "true", Env: []string{"PATH=/bin"}, Chroot: root, Umask: -1})
	if err == nil || err.Error() != "true: not found on PATH (/bin)" {
		t.Errorf("search outside of the new root: %v", err)
	}
}

func TestManyChildrenCostNoThreads(t *testing.T) {
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	s := newStarter(t, "mark")
	// A first child, so that the threads any child costs are there.
	first := mustStart(t, s, &proc.Command{Path: "sleep", Args: []string{"sleep", "3600"}, Umask: -1})
	before := threads()
	children := []*proc.Process{first}
	for range 200 {
		p, err := s.Start(testContext(t), &proc.Command{Name: "many", Path: "sleep", Args: []string{"sleep", "3600"}, Umask: -1})
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, p)
	}
	// The runtime makes threads for its own reasons, some per core; one per child
	// would be 200.
	if grown := threads() - before; grown > 50 {
		t.Errorf("200 children cost %d threads", grown)
	}
	for _, p := range children {
		if err := p.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	for _, p := range children {
		if got := p.Exit().String(); got != "killed by SIGKILL" {
			t.Error(got)
		}
	}
}

// TestConfined: a confined child opens no file but in the directory for temporary
// ones, and gains nothing by executing something. One that may read still changes
// nothing elsewhere.
func TestConfined(t *testing.T) {
	outside, temporary := t.TempDir(), t.TempDir() // which are where other programs have them
	tries := "read line < /etc/hostname && echo hostname opened || echo hostname refused\n" +
		"echo x > \"$1\" && echo temporary written || echo temporary refused\n" +
		"(echo x > \"$2\") && echo outside written || echo outside refused\n" +
		"exit 0\n"
	_, _, none := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)
	for _, test := range []struct {
		confined, mayRead bool
		hostname, outside string
	}{
		{false, false, "opened", "written"},
		{true, false, "refused", "refused"},
		{true, true, "opened", "refused"},
	} {
		if none != 0 {
			test.hostname, test.outside = "opened", "written" // this kernel has nothing to confine files with
		}
		c := &proc.Command{
			Name: "site", Generation: 1, Path: "/bin/sh", Umask: -1, Env: append(os.Environ(), "TMPDIR="+temporary), Confined: test.confined, MayRead: test.mayRead,
			Args: []string{"sh", "-c", tries, "sh", filepath.Join(temporary, "file"), filepath.Join(outside, "file")},
		}
		text, _ := output(t, newStarter(t, "confined"), c)
		for _, want := range []string{"hostname " + test.hostname, "temporary written", "outside " + test.outside} {
			if !strings.Contains(text, want) {
				t.Errorf("confined %v, may read %v: %q, want %q", test.confined, test.mayRead, text, want)
			}
		}
	}
}
