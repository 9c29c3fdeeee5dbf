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
)

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
	if err != nil {
		t.Fatal(err)
	}
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
