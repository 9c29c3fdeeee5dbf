package proc

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTitle runs in a child of its own: the name of this process is nobody's business.
func TestTitle(t *testing.T) {
	if want := os.Getenv("TITLE_OF_TEST"); want != "" {
		KeepArguments()
		before := strings.Join(os.Args, " ")
		if err := SetTitle(want); err != nil {
			t.Fatal(err)
		}
		shown, err := os.ReadFile("/proc/self/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimRight(string(shown), "\x00"); got != want && !(len(got) > 0 && strings.HasPrefix(want, got)) {
			t.Errorf("ps shows %q, want %q", got, want)
		}
		if comm, err := os.ReadFile("/proc/self/comm"); err != nil || strings.TrimSpace(string(comm)) != want[:min(len(want), 15)] {
			t.Errorf("top shows %q, %v", comm, err)
		}
		if after := strings.Join(os.Args, " "); after != before {
			t.Errorf("our own arguments are %q, were %q", after, before)
		}
		return
	}
	for _, name := range []string{"short", strings.Repeat("a long name ", 30)} {
		child := exec.Command(os.Args[0], "-test.run=^TestTitle$", "some", "arguments")
		child.Env = append(os.Environ(), "TITLE_OF_TEST="+name)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
