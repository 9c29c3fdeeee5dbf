package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// groupsOf makes a control group for the test's vassals; "" where none can be made.
func groupsOf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 2 && words[2] == "cgroup2" {
			dir := filepath.Join(words[1], fmt.Sprint("emperor-groups-", os.Getpid()))
			if err = unix.Mkdir(dir, 0o755); err != nil {
				break
			}
			t.Cleanup(func() {
				if err := unix.Rmdir(dir); err != nil {
					t.Errorf("%s is not empty: %v", dir, err)
				}
			})
			return dir
		}
	}
	t.Logf("not tested: no control group can be made here: %v", err)
	return ""
}

// groupOf is the control group of a process, below all of version 2.
func groupOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path
		}
	}
	return ""
}

// TestGroupsOverUpgrades: vassals and daemons stay in their control groups while the
// emperor is replaced, and the groups are gone when the vassal is.
func TestGroupsOverUpgrades(t *testing.T) {
	t.Parallel()
	parent := groupsOf(t)
	if parent == "" {
		return
	}
	m := sitesMachine(t)
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\ncgroup = "+parent+"\nattach-daemon = sleep 5825\n")
	m.start()
	m.waitReady()
	m.eventually("the daemon runs", func() bool { d := m.known("site").Daemons; return len(d) == 1 && d[0].PID > 0 })
	v := m.known("site")
	site, daemon := v.PIDs[0], v.Daemons[0].PID
	before := []string{groupOf(t, site), groupOf(t, daemon)}
	for _, group := range before {
		if !strings.HasPrefix(group, "/"+filepath.Base(parent)+"/") {
			t.Fatalf("groups: %q, want them below %s", before, parent)
		}
	}
	m.upgrade()
	if now := []string{groupOf(t, site), groupOf(t, daemon)}; fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("groups %q, before %q", now, before)
	}
	m.page("site.test", "/")
	m.remove("vassals.d/site.ini")
	m.eventually("the groups are gone", func() bool {
		left, err := filepath.Glob(parent + "/*/cgroup.procs")
		return err == nil && len(left) == 0
	})
	m.stop()
}
