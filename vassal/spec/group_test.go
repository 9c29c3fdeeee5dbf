package spec

import (
	"os"
	"strings"
	"testing"

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
	g := &spec.Limits.Group
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
