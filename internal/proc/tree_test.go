package proc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
	"emperor/internal/testvassal"
)

func TestKillTree(t *testing.T) {
	// Each script leaves processes behind that write their number to files; the
	// child itself ignores TERM.
	for _, test := range []struct {
		name  string
		words func(file func(string) string) []string
		files []string
		ends  bool // the child ends by itself, before KillTree
	}{
		{"the child alone", func(f func(string) string) []string { return []string{"ignore=TERM", "file=" + f("a"), "wait"} }, []string{"a"}, false},
		{"a child of the child", func(f func(string) string) []string {
			return []string{"child=ignore=TERM,file=" + f("a") + ",wait", "wait"}
		}, []string{"a"}, false},
		{"an orphan in its session", func(f func(string) string) []string {
			return []string{"child=file=" + f("a") + ",wait", "exit=0"}
		}, []string{"a"}, true},
		{"a daemon", func(f func(string) string) []string {
			return []string{"daemon=ignore=TERM,file=" + f("a") + ",wait", "wait"}
		}, []string{"a"}, false},
		{"a daemon whose maker is gone", func(f func(string) string) []string {
			return []string{"daemon=ignore=TERM,file=" + f("a") + ",wait", "exit=0"}
		}, []string{"a"}, true},
		{"no environment but in the session", func(f func(string) string) []string {
			return []string{"child=clean-env,file=" + f("a") + ",wait", "exit=0"}
		}, []string{"a"}, true},
		{"several", func(f func(string) string) []string {
			return []string{"daemon=file=" + f("a") + ",wait", "daemon=file=" + f("b") + ",wait", "child=file=" + f("c") + ",wait", "wait"}
		}, []string{"a", "b", "c"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := func(name string) string { return filepath.Join(dir, name) }
			s := newStarter(t, "tree")
			c := scripted(t, test.words(file)...)
			c.Name = test.name
			p := mustStart(t, s, c)
			// Same program, same vassal, another generation: must survive.
			other := scripted(t, "daemon=file="+file("other")+",wait", "wait")
			other.Name, other.Generation = test.name, 2
			mustStart(t, s, other)
			survivor := waitFile(t, file("other"))

			var pids []int
			for _, name := range test.files {
				pids = append(pids, waitFile(t, file(name)))
			}
			if test.ends {
				p.Exit()
			}
			for i, pid := range pids {
				if !p.Contains(pid) {
					t.Errorf("%s, process %d, is not seen as part of the tree", test.files[i], pid)
				}
			}
			if p.Contains(survivor) {
				t.Error("another generation's daemon is seen as part of the tree")
			}
			if err := p.KillTree(testContext(t)); err != nil {
				t.Fatal(err)
			}
			for i, pid := range pids {
				if alive(pid) {
					t.Errorf("%s, process %d, survived", test.files[i], pid)
				}
			}
			if !alive(survivor) {
				t.Error("another generation's daemon was killed")
			}
			if err := p.KillTree(testContext(t)); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestSignalTree(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	p := mustStart(t, newStarter(t, "tree"), scripted(t, "child=file="+file("child")+",wait", "daemon=file="+file("daemon")+",wait", "wait"))
	child, daemon := waitFile(t, file("child")), waitFile(t, file("daemon"))
	if err := p.SignalTree(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := p.Exit(); got.Signal != syscall.SIGKILL {
		t.Error(got)
	}
	eventually(t, "the rest to end", func() bool { return !alive(child) && !alive(daemon) })
}

func TestKillTreeOutrunsForks(t *testing.T) {
	// Each process starts a successor in a session of its own and ends: whoever is
	// found is gone a moment later.
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Fatal(err)
	}
	started := filepath.Join(t.TempDir(), "started")
	script := `n=$1; : > "$2"; while [ $n -gt 0 ]; do n=$((n-1)); setsid sh -c 'sleep 3600' & done; exec setsid sh -c 'while :; do setsid sleep 3600 & sleep 0.005; done'`
	p := mustStart(t, newStarter(t, "tree"), &proc.Command{
		Name: "bomb", Path: "sh", Args: []string{"sh", "-c", script, "sh", "5", started}, Env: os.Environ(), Umask: -1,
	})
	eventually(t, "the first forks", func() bool { _, err := os.Stat(started); return err == nil })
	if err := p.KillTree(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if left := marked(t, "EMPEROR_MARK=tree/bomb/0"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// marked lists living processes with that environment entry.
func marked(t *testing.T, entry string) (pids []int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, _ := os.ReadFile(name)
		if strings.Contains("\x00"+string(text), "\x00"+entry+"\x00") {
			var pid int
			fmt.Sscanf(name, "/proc/%d/", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestManyTreesAtOnce(t *testing.T) {
	s := newStarter(t, "crowd")
	var group sync.WaitGroup
	for i := range 50 {
		c := &proc.Command{Name: fmt.Sprint("site", i), Path: "sh", Args: []string{"sh", "-c", "sleep 3600 & sleep 3600"}, Umask: -1}
		p, err := s.Start(testContext(t), c)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			if err := p.KillTree(testContext(t)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range 50 {
		if left := marked(t, fmt.Sprintf("EMPEROR_MARK=crowd/site%d/0", i)); len(left) > 0 {
			t.Errorf("left of %d: %v", i, left)
		}
	}
}

func TestKillTreeObeysItsContext(t *testing.T) {
	p := mustStart(t, newStarter(t, "tree"), scripted(t, "wait"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.KillTree(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

// startEmperor starts a fake emperor process outside of any Starter.
func startEmperor(t *testing.T, words ...string) *exec.Cmd {
	t.Helper()
	path, args, env := testvassal.Command(t, words...)
	c := &exec.Cmd{Path: path, Args: args, Env: env, Stdout: os.Stdout, Stderr: os.Stderr}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return c
}

func TestChildrenDieWithTheEmperor(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	emperor := startEmperor(t, "emperor=dying;bound;ignore=TERM;file="+child+";wait", "wait")
	pid := waitFile(t, child)
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := emperor.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	emperor.Wait()
	eventually(t, "the child to die", func() bool { return !alive(pid) })
}

func TestParentDeathSignalSurvivesTheChangeOfUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("without root there is no change of user; TestChildrenDieWithTheEmperor covers the rest")
		return
	}
	s := proc.NewStarter("dying")
	p, err := s.Start(testContext(t), &proc.Command{
		Path: "sleep", Args: []string{"sleep", "3600"}, Umask: -1,
		Credential: &proc.Credential{UID: 65534, GID: 65534}, ParentDeathSignal: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // the end of the thread is the end of the parent
	if got := p.Exit().String(); got != "killed by SIGKILL" {
		t.Error(got)
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	identity := proc.Identity(file("emperor.ini"))
	if identity != proc.Identity(file("emperor.ini")) || identity == proc.Identity(file("other.ini")) || strings.ContainsAny(identity, "/.") {
		t.Fatalf("identity %q", identity)
	}

	// An emperor dies by SIGKILL and leaves a site and the site's daemon, both
	// deaf to TERM; the daemon holds a port. A second one with the same main file
	// lives, and so does its site.
	dead := startEmperor(t, "emperor="+identity+";free;ignore=TERM;daemon=ignore=TERM,tcp=127.0.0.1:0,file="+file("daemon")+",serve;daemon=file="+file("gentle")+",wait;file="+file("site")+";wait", "wait")
	living := startEmperor(t, "emperor="+identity+";free;file="+file("living")+";wait", "wait")
	daemon, gentle, site, spared := waitFile(t, file("daemon")), waitFile(t, file("gentle")), waitFile(t, file("site")), waitFile(t, file("living"))

	if found, err := proc.Leftovers(identity); err != nil || len(found) != 0 {
		t.Fatalf("while both emperors live: %v, %v", found, err)
	}
	dead.Process.Kill()
	dead.Wait()
	found, err := proc.Leftovers(identity)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]bool{daemon: true, gentle: true, site: true}
	for _, l := range found {
		if !want[l.PID] || l.Vassal != "site" || l.Generation != 1 || l.Program == "" {
			t.Errorf("unexpected: %+v", l)
		}
		delete(want, l.PID)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v among %+v", want, found)
	}

	ended, err := proc.EndLeftovers(testContext(t), identity, 100*time.Millisecond)
	if err != nil || len(ended) != 3 {
		t.Errorf("%v, %v", ended, err)
	}
	for _, pid := range []int{daemon, gentle, site} {
		if alive(pid) {
			t.Errorf("%d survived", pid)
		}
	}
	if !alive(spared) || !alive(living.Process.Pid) {
		t.Error("a living emperor's site was ended")
	}
	if found, err := proc.EndLeftovers(testContext(t), identity, time.Hour); err != nil || len(found) != 0 {
		t.Errorf("again: %v, %v", found, err)
	}
	living.Process.Kill()
	living.Wait()
	if _, err := proc.EndLeftovers(testContext(t), identity, time.Hour); err != nil {
		t.Error(err)
	}
	eventually(t, "the other site to end", func() bool { return !alive(spared) })
}

func TestReapOrphans(t *testing.T) {
	// This test process is a subreaper (TestMain): daemons become our children.
	ctx, cancel := context.WithCancel(context.Background())
	// os/exec has children of its own; the owner must still get their status.
	command := exec.Command("sh", "-c", "read line; exit 7")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	// A child with an owner who takes his time: the kernel shows it first, for
	// ever, and those behind it must be reaped all the same.
	slow := exec.Command("true")
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	known := map[int]bool{command.Process.Pid: true, slow.Process.Pid: true}
	var reaper sync.WaitGroup
	reaper.Go(func() { proc.ReapOrphans(ctx, func(pid int) bool { return known[pid] }) })

	s := newStarter(t, "reap")
	dir := t.TempDir()
	var daemons []int
	for i := range 5 {
		name := filepath.Join(dir, fmt.Sprint(i))
		// Children that end at once race with their registration.
		for range 10 {
			if got, err := s.Start(testContext(t), &proc.Command{Path: "sh", Args: []string{"sh", "-c", "exit 5"}, Umask: -1}); err != nil || got.Exit().Code != 5 {
				t.Fatalf("status stolen: %v, %v", got, err)
			}
		}
		p := mustStart(t, s, scripted(t, "daemon=file="+name+",exit=0", "exit=6"))
		daemons = append(daemons, waitFile(t, name))
		if got := p.Exit(); got.Code != 6 {
			t.Errorf("status stolen: %v", got)
		}
	}
	for _, pid := range daemons {
		eventually(t, "an orphan to be reaped", func() bool { _, err := os.Stat(fmt.Sprint("/proc/", pid)); return err != nil })
	}
	input.Close()
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("status stolen from os/exec: %v", err)
	}
	if err := slow.Wait(); err != nil {
		t.Errorf("status stolen from os/exec: %v", err)
	}
	cancel()
	reaper.Wait()
}

func TestSealDescriptors(t *testing.T) {
	// In a scripted process of its own this would need no care; here the flags of
	// two descriptors tell.
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil { // no O_CLOEXEC, on purpose
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	if err := proc.SealDescriptors(pipe[1]); err != nil {
		t.Fatal(err)
	}
	sealed := func(fd int) bool {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil {
			t.Fatal(err)
		}
		return flags&unix.FD_CLOEXEC != 0
	}
	if !sealed(pipe[0]) || sealed(pipe[1]) {
		t.Errorf("sealed: %t, kept: %t", sealed(pipe[0]), !sealed(pipe[1]))
	}
	if err := proc.SealDescriptors(); err != nil || !sealed(pipe[1]) {
		t.Errorf("without exceptions: %v, sealed %t", err, sealed(pipe[1]))
	}
	if sealed(1) || sealed(2) {
		t.Error("standard descriptors must stay")
	}
}

func TestDuplicateKeepsTheListenerUsable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := proc.Duplicate(listener.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	accepted := make(chan error)
	go func() { _, err := listener.Accept(); accepted <- err }()
	// With O_NONBLOCK cleared, Close would wait for Accept for ever.
	listener.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
