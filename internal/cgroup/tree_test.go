package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fake is a tree of plain files that looks like the kernel's, for what this machine's
// kernel may not offer: it has the files, and does nothing by itself.
func fake(t *testing.T, controllers, self string) (s *system, mount string) {
	t.Helper()
	dir := t.TempDir()
	mount = filepath.Join(dir, "sys fs")
	s = &system{proc: filepath.Join(dir, "proc"), systemd: filepath.Join(dir, "systemd")}
	s.mkdir = func(dir string) error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		return fill(dir, map[string]string{
			"cgroup.controllers": controllers, "cgroup.subtree_control": "", "cgroup.procs": "", "cgroup.kill": "", "cgroup.type": "domain",
			"cgroup.events": "populated 0\nfrozen 0\n", "memory.max": "max", "cpu.max": "max 100000", "pids.max": "max",
		})
	}
	s.rmdir = os.RemoveAll
	must(t, s.mkdir(mount))
	must(t, os.Remove(filepath.Join(mount, "cgroup.type")))
	for at, rest := mount, strings.TrimPrefix(self, "/"); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		at = filepath.Join(at, name)
		must(t, s.mkdir(at))
	}
	must(t, os.MkdirAll(filepath.Join(s.proc, "self"), 0o755))
	must(t, fill(filepath.Join(s.proc, "self"), map[string]string{
		"mountinfo": "24 1 0:22 / /proc rw - proc proc rw\n41 31 0:38 / " + strings.ReplaceAll(mount, " ", `\040`) + " rw,relatime shared:9 - cgroup2 cgroup2 rw\n",
		"cgroup":    "4:memory:/elsewhere\n0::" + self + "\n",
	}))
	return s, mount
}

func fill(dir string, files map[string]string) error {
	var errs []error
	for name, text := range files {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return errors.Join(errs...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, elements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elements...))
	must(t, err)
	return string(data)
}

var limits = Settings{Values: []Value{{"memory.max", "1000", "memory-max"}, {"pids.max", "20", "pids-max"}}}

func TestMake(t *testing.T) {
	s, mount := fake(t, "cpu memory pids\n", "/system.slice/emperor.service")
	own := filepath.Join(mount, "system.slice/emperor.service")
	tree := New("tag")
	tree.system = s
	g, errs := tree.Make("a/b", 7, limits)
	if len(errs) > 0 || g.Path != filepath.Join(own, "a_b@7-tag") {
		t.Fatal(g, errs)
	}
	if got := text(t, g.Path, "memory.max") + " " + text(t, g.Path, "pids.max") + " " + text(t, own, "cgroup.subtree_control"); got != "1000 20 +pids" {
		t.Error(got) // the last controller that was enabled: a plain file keeps no set
	}
	// The same number again, left behind by an emperor that was killed: what is in it ends.
	if _, errs := tree.Make("a/b", 7, limits); len(errs) > 0 || text(t, g.Path, "cgroup.kill") != "1" {
		t.Error(errs)
	}
	for events, want := range map[string]bool{"": false, "low 0\noom 1\noom_kill 0\n": false, "oom 1\noom_kill 2\noom_group_kill 0\n": true} {
		must(t, os.WriteFile(filepath.Join(g.Path, "memory.events"), []byte(events), 0o644))
		if got := g.OutOfMemory(); got != want {
			t.Errorf("%q: %v", events, got)
		}
	}
	must(t, g.End(context.Background()))
	if _, err := os.Stat(g.Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the group is still there", err)
	}
	must(t, g.End(context.Background())) // it is gone already
}

// TestWhatCannotBeHad is told once, and the rest is done.
func TestWhatCannotBeHad(t *testing.T) {
	s, mount := fake(t, "cpu pids\n", "/")
	tree := New("tag")
	tree.system = s
	g, errs := tree.Make("a", 1, limits)
	want := "memory-max has no effect: the kernel has no memory controller in " + mount + " (it has cpu, pids; those of version 1 do not count)"
	if len(errs) != 1 || errs[0].Error() != want || text(t, g.Path, "pids.max") != "20" || text(t, g.Path, "memory.max") != "max" {
		t.Error(errs)
	}
	if _, errs := tree.Make("b", 1, limits); len(errs) > 0 {
		t.Errorf("said again: %v", errs)
	}
	without, whole := s.outlook(0, limits)
	if whole != "" || len(without) != 1 || !strings.HasPrefix(want, "memory-max has no effect: "+without["memory-max"]) {
		t.Error(without, whole)
	}

	for _, test := range []struct {
		name, want string
		spoil      func()
	}{
		{"systemd", "systemd has not handed " + mount + "/a.service over: the unit needs Delegate=yes", func() {
			must(t, s.mkdir(mount+"/a.service"))
			must(t, os.Mkdir(s.systemd, 0o755))
			must(t, os.WriteFile(s.proc+"/self/cgroup", []byte("0::/a.service\n"), 0o644))
		}},
		{"outside", "the group it is in (/../x) is not below " + mount, func() {
			must(t, os.WriteFile(s.proc+"/self/cgroup", []byte("0::/../x\n"), 0o644))
		}},
		{"version 1", "no cgroup2 file system is mounted", func() {
			must(t, os.WriteFile(s.proc+"/self/mountinfo", []byte("24 1 0:22 / /proc rw - proc proc rw\n"), 0o644))
		}},
	} {
		test.spoil()
		if g, errs := tree.Make("c", 1, limits); g != nil || len(errs) != 1 || errs[0].Error() != "vassals with limits run without a control group: "+test.want {
			t.Errorf("%s: %v", test.name, errs)
		}
		if _, whole := s.outlook(0, limits); whole != test.want {
			t.Errorf("%s: %s", test.name, whole)
		}
	}
}

func TestParent(t *testing.T) {
	s, mount := fake(t, "memory pids", "/")
	tree := New("tag")
	tree.system = s
	g, errs := tree.Make("a", 1, Settings{Parent: mount + "/sites", Values: limits.Values})
	if len(errs) > 0 || filepath.Dir(g.Path) != mount+"/sites" {
		t.Error(g, errs)
	}
	if _, errs := tree.Make("a", 1, Settings{Parent: t.TempDir()}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "is no control group of version 2") {
		t.Error(errs)
	}
}

// TestEmperorMovesAside: with the kernel's own rule, that a group with limits below it
// has no processes. (The fake does not know it.)
func TestEmperorMovesAside(t *testing.T) {
	s, mount := fake(t, "memory", "/box")
	own := place{dir: mount + "/box", own: true}
	tree := New("tag")
	tree.system = s
	// Once we are moved the list is empty; the fake's stays as it is.
	must(t, os.WriteFile(own.dir+"/cgroup.procs", []byte(fmt.Sprintln(os.Getpid())), 0o644))
	if err := tree.moveAside(own); err == nil || !strings.Contains(err.Error(), "always new processes") {
		t.Error(err)
	}
	if got := text(t, own.dir, leafName, "cgroup.procs"); got != fmt.Sprint(os.Getpid()) {
		t.Errorf("moved %q", got)
	}
	must(t, os.WriteFile(own.dir+"/cgroup.procs", []byte("1\n"), 0o644))
	if err := tree.moveAside(own); err == nil || !strings.Contains(err.Error(), "process 1, which the emperor has not started") {
		t.Error(err)
	}
	// From its leaf the emperor still knows the place.
	must(t, os.WriteFile(s.proc+"/self/cgroup", []byte("0::/box/"+leafName+"\n"), 0o644))
	if p, err := s.ownPlace(0); err != nil || p.dir != own.dir {
		t.Error(p, err)
	}
}

// TestNobodyStays: also for controllers that the kernel enables although there are
// processes, the emperor moves aside first; and a group that nobody could enter is none.
func TestNobodyStays(t *testing.T) {
	s, mount := fake(t, "cpu pids", "/box")
	tree := New("tag")
	tree.system = s
	only := Settings{Values: []Value{{"pids.max", "20", "pids-max"}}}
	must(t, os.WriteFile(mount+"/box/cgroup.procs", []byte("1\n"), 0o644))
	g, errs := tree.Make("a", 1, only)
	if g != nil || len(errs) != 1 || !strings.Contains(errs[0].Error(), "run without a control group: process 1, which the emperor has not started") {
		t.Error(g, errs)
	}
	if got := text(t, mount, "box/cgroup.subtree_control"); got != "" {
		t.Errorf("%s was enabled", got)
	}
	must(t, s.mkdir(mount+"/sites"))
	mkdir := s.mkdir
	s.mkdir = func(dir string) error {
		return errors.Join(mkdir(dir), os.WriteFile(dir+"/cgroup.type", []byte("domain invalid\n"), 0o644))
	}
	only.Parent = mount + "/sites"
	g, errs = tree.Make("a", 1, only)
	if g != nil || len(errs) != 1 || !strings.Contains(errs[0].Error(), "/sites has processes of its own") {
		t.Error(g, errs)
	}
	if _, err := os.Stat(tree.Path(only.Parent, "a", 1)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the group is still there", err)
	}
}

// TestKernel: a real group, where the kernel and its permissions allow one: what is in it
// dies, whoever its parent is.
func TestKernel(t *testing.T) {
	at, err := kernel.ownPlace(0)
	if err == nil {
		err = unix.Access(filepath.Join(at.dir, "cgroup.procs"), unix.W_OK)
	}
	if err != nil {
		t.Logf("no group can be made here, so only the fake was tried: %v", err)
		return
	}
	tree := New(fmt.Sprint("test", os.Getpid()))
	g, errs := tree.Make("site", 1, Settings{})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	child := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs"; (env -i setsid sleep 1000 &) ; echo in; exec sleep 1000`, g.Path)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	in := make([]byte, 3)
	if _, err := out.Read(in); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(t, g.End(ctx))
	if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Error(err)
	}
	if _, err := os.Stat(g.Path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the group is still there", err)
	}
}
