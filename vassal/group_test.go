package vassal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"emperor/internal/cgroup"
	"emperor/internal/config"
)

func TestGroups(t *testing.T) {
	const command, uwsgi = "[uwsgi]\nsocket = /tmp/x\ncommand = x\n", "[uwsgi]\nsocket = /tmp/x\nmodule = x\n"
	for _, test := range []struct{ text, want string }{
		{command, ""},
		{command + "memory-max = 512M\ncpu-max = 1.5\npids-max = 40", "memory.max=536870912 cpu.max=150000 100000 pids.max=40"},
		{uwsgi + "memory-max = 1G", "memory.max=1073741824"},
		{uwsgi + "cgroup = /cgroup/site", ""},
		{command + "cgroup = /cgroup/site/\ncgroup-opt = io.weight=50\ncgroup-opt = memory.high:1G", "/cgroup/site io.weight=50 memory.high=1G"},
		{command + "cpu-max = 5000 10000\nmemory-max = max", "memory.max=max cpu.max=5000 10000"},
		{command + "cpu-max = half", `cpu-max: want a number of processors such as 0.5 or 2, or QUOTA PERIOD in microseconds, or max, got "half"`},
		{command + "memory-max = 0", `memory-max: want bytes such as 512M or 2G, or max, got "0"`},
		{command + "pids-max = 1K", `pids-max: want a number, or max, got "1K"`},
		{command + "cgroup = site", `cgroup: want the directory of a control group such as /sys/fs/cgroup/sites, got "site"`},
		{command + "cgroup-opt = ../x.y=1", `cgroup-opt: want FILE=VALUE such as io.weight=50, got "../x.y=1"`},
	} {
		spec, problems, _ := readText(t, "site.ini", test.text, nil)
		if got := groupOf(spec, problems); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func groupOf(spec *Spec, problems config.Problems) string {
	var out []string
	for _, p := range problems {
		_, text, _ := strings.Cut(p.Error(), ".ini:")
		_, text, _ = strings.Cut(text, ": ")
		out = append(out, text)
	}
	if spec == nil {
		return strings.Join(out, " ")
	}
	g := &spec.limits.group
	if g.parent != "" {
		out = append(out, g.parent)
	}
	for _, v := range g.values {
		out = append(out, v.file+"="+v.text)
	}
	return strings.Join(out, " ")
}

// TestTenantsGroups: what root has said for all holds for a tenant who says otherwise,
// unless he wants less.
func TestTenantsGroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("there are no tenants")
		return
	}
	for _, test := range []struct{ text, want string }{
		{"memory-max = 2G", "memory-max: no effect: memory-max (main.ini:3) allows 1G memory.max=1073741824"},
		{"memory-max = max", "memory-max: no effect: memory-max (main.ini:3) allows 1G memory.max=1073741824"},
		{"memory-max = 1M", "memory.max=1048576"},
		{"cgroup = /cgroup/init", "cgroup: control groups are root's to choose, and it runs as user 54331 from its start (memory-max, cpu-max and pids-max are allowed)"},
	} {
		dir := openDir(t)
		owned(t, dir+"/site.ini", "[uwsgi]\nsocket = /tmp/x\ncommand = x\n"+test.text+"\n", anna, 0o644)
		got := Read(Reading{Name: "site", File: dir + "/site.ini", Tyrant: &Tyrant{},
			Set: []config.Value{{Key: "memory-max", Value: "1G", HasValue: true, Pos: config.Pos{File: "main.ini", Line: 3}}}})
		if got := groupOf(got.Spec, got.Problems); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

// TestGroupOfEachGeneration: processes are in the group before they run, each generation
// in its own; when it ends nothing is left in it, wherever it has hidden.
func TestGroupOfEachGeneration(t *testing.T) {
	t.Parallel()
	if _, whole := cgroup.Outlook(0, cgroup.Settings{}); whole != "" {
		t.Logf("no group can be made here (package cgroup has a fake): %s", whole)
		return
	}
	text := strings.Replace(commandSite(t, "file=DIR/pid", "daemon=clean-env,file=DIR/hidden,wait", "serve", "fd=3"), "\ncommand",
		"\ncgroup-opt = cgroup.max.depth=3\ncommand", 1)
	s := newSite(t, text, func(d *Deps) { d.Groups = cgroup.New(fmt.Sprint("test", os.Getpid())) })
	first := s.ready(1)
	group := groupOfProcess(t, first.PIDs[0])
	if !strings.HasPrefix(filepath.Base(group), "site@1-test") {
		t.Errorf("it is in %q", group)
	}
	hidden := number(t, s.dir+"/hidden")
	if got := groupOfProcess(t, hidden); got != group {
		t.Errorf("what it has started is in %q", got)
	}
	s.write(text + "env = CHANGED=1\n")
	s.want()
	second := s.ready(2)
	if next := groupOfProcess(t, second.PIDs[0]); !strings.HasPrefix(filepath.Base(next), "site@2-test") {
		t.Errorf("the next generation is in %q", next)
	}
	eventually(t, "the first generation's hidden process ends", func() bool { return !runs(hidden) })
	last := number(t, s.dir+"/hidden")
	s.Remove()
	<-s.ended
	if runs(last) {
		t.Error("a hidden process outlives its vassal")
	}
}

func groupOfProcess(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path)
		}
	}
	return ""
}

func number(t *testing.T, path string) (n int) {
	t.Helper()
	eventually(t, path, func() bool {
		text, err := os.ReadFile(path)
		if err == nil {
			n, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil && runs(n)
	})
	return n
}

func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return !errors.Is(err, os.ErrNotExist) && err == nil && !strings.Contains(string(text), ") Z ")
}
