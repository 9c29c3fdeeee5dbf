package proc

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
)

// whether tells whether the short way leads to the program, and what that wrote.
func whether(t *testing.T, s *Starter, c *Command) (string, bool) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if c.Files == nil {
		c.Files = map[int]int{}
	}
	c.Files[1] = int(w.Fd())
	files := c.layout(int(null.Fd()))
	p, err := s.startShort(context.Background(), c, c.order("mark", files), files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p == nil {
		return "", false
	}
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	return string(text), true
}

// TestShortWay: what vassals ask for is had the short way, and what only the long one can
// do, or put into words, is left to that.
func TestShortWay(t *testing.T) {
	if !shortWayFits() {
		t.Fatal("the short way fits no order here")
	}
	if shortWayClosed.Load() {
		shortWayClosed.Store(false)
		defer shortWayClosed.Store(true)
	}
	s := NewStarter("short-" + strconv.Itoa(os.Getpid()))
	defer s.Close()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("a/app", "#!/bin/sh\necho a\n", 0o644)
	write("b/app", "#!/bin/sh\necho b\n", 0o755)
	write("c/app", "#!/no/such/interpreter\n", 0o755)
	write("d/app/file", "", 0o644)
	write("group/cgroup.procs", "", 0o644)
	path := func(folders ...string) []string {
		for i := range folders {
			folders[i] = filepath.Join(dir, folders[i])
		}
		return []string{"PATH=" + strings.Join(folders, ":")}
	}
	limit := func(l Limit) Restrictions { return Restrictions{Limits: []Limit{l}} }
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	long := "-" // the way
	for _, test := range []struct {
		name    string
		command Command
		want    string
	}{
		{"a path", Command{Path: filepath.Join(dir, "b/app")}, "b\n"},
		{"a relative path", Command{Path: "./app", Dir: filepath.Join(dir, "b")}, "b\n"},
		{"the first on PATH that may be executed", Command{Path: "app", Env: path("none", "a", "b", "c")}, "b\n"},
		{"what a command of a site asks for", Command{
			Path: "sh", Args: []string{"sh", "-c", `test $LISTEN_PID = $$ && echo $LISTEN_FDS; umask; ulimit -n; ulimit -c; grep NoNewPrivs /proc/self/status`},
			ListenFDs: 1, Files: map[int]int{3: 0}, Umask: 0o027, MaxOpenFiles: 99, ParentDeathSignal: true,
			Restrictions: Restrictions{NoNewPrivileges: true, NoAmbient: true, Limits: []Limit{{Resource: unix.RLIMIT_CORE}}},
		}, "1\n0027\n99\n0\nNoNewPrivs:\t1\n"},
		{"as itself", Command{Path: "id", Args: []string{"id", "-u"}, Credential: &Credential{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}}, fmt.Sprintln(os.Getuid())},
		{"a group", Command{Path: "cat", Args: []string{"cat", filepath.Join(dir, "group/cgroup.procs")}, Files: map[int]int{7: 0}, Restrictions: Restrictions{Group: filepath.Join(dir, "group")}}, "0"},
		{"a limit that may only be lowered", Command{Path: "sh", Args: []string{"sh", "-c", "ulimit -Hn"},
			Restrictions: limit(Limit{Resource: unix.RLIMIT_NOFILE, Soft: unix.RLIM_INFINITY, Hard: unix.RLIM_INFINITY, LowerOnly: true})}, fmt.Sprintln(files.Max)},

		{"no such program", Command{Path: "/no/such/program"}, long},
		{"nothing on PATH", Command{Path: "app", Env: path("none", "a")}, long},
		{"the first on PATH is no program", Command{Path: "app", Env: path("c", "b")}, long},
		{"a folder on PATH", Command{Path: "app", Env: path("d", "b")}, long},
		{"no such folder", Command{Path: "true", Dir: "/no/such/folder"}, long},
		{"no such group", Command{Path: "true", Restrictions: Restrictions{Group: "/no/such/group"}}, long},
		{"a limit above ours", Command{Path: "true", Restrictions: limit(Limit{Resource: unix.RLIMIT_NOFILE, Hard: files.Max + 1})}, long},
		{"a limit that is none", Command{Path: "true", Restrictions: limit(Limit{Resource: 99})}, long},
		{"another root", Command{Path: "true", Chroot: "/"}, long},
		{"confined", Command{Path: "true", Confined: true}, long},
		{"bounded", Command{Path: "true", Restrictions: Restrictions{Bounded: true}}, long},
		{"granted", Command{Path: "true", Restrictions: Restrictions{Granted: SetPCap}}, long},
	} {
		if test.command.Umask == 0 {
			test.command.Umask = -1
		}
		got, short := whether(t, s, &test.command)
		if !short {
			got = long
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestShortWayAfterTheEmperor: a process whose parent has ended meanwhile does not become
// the program.
func TestShortWayAfterTheEmperor(t *testing.T) {
	files := []int{0, 1, 2}
	order := &shim.Order{Path: "/bin/true", Args: []string{"true"}, Files: files, Umask: -1, Parent: os.Getpid() + 1, DeathSignal: unix.SIGKILL}
	s := NewStarter("short-" + strconv.Itoa(os.Getpid()))
	defer s.Close()
	if p, err := s.startShort(context.Background(), &Command{Path: "true"}, order, files, nil); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}

// TestShortWayIsClosed: where lists are not executed it is not tried again and again.
func TestShortWayIsClosed(t *testing.T) {
	before := shortWayClosed.Load()
	defer shortWayClosed.Store(before)
	for _, test := range []struct {
		name  string
		learn func()
		want  bool
	}{
		{"a step failed", func() { closeIfKilled(Exit{Code: 127}) }, false},
		{"memory ran out", func() { closeIfKilled(Exit{Signal: unix.SIGKILL}) }, false},
		{"a call was forbidden", func() { closeIfKilled(Exit{Signal: unix.SIGSYS}) }, true},
		{"its pages were", func() { closeIfKilled(Exit{Signal: unix.SIGSEGV, Core: true}) }, true},
		{"too many processes", func() { closeIfRefused(&StartError{Err: unix.EAGAIN}) }, false},
		{"its file was refused", func() { closeIfRefused(&StartError{Err: unix.EACCES}) }, true},
	} {
		shortWayClosed.Store(false)
		if test.learn(); shortWayClosed.Load() != test.want {
			t.Errorf("%s: closed is %v", test.name, !test.want)
		}
	}
}
