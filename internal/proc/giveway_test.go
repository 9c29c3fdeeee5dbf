package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGiveWay: all threads of a program that gives way do, but the one that makes
// children, and the children do not; what somebody has chosen for it holds. The program
// is a real one, because a test with the race detector is a program with cgo.
func TestGiveWay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "giveway")
	build := exec.Command("go", "build", "-o", path, "./testdata/giveway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	policy := "thread policy 3"
	if filter, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil || filter != 0 {
		policy = "thread policy 0" // in a container, for example
	}
	for _, test := range []struct {
		name    string
		command []string
		want    []string
	}{
		{"ordinary", []string{"chrt", "--other", "0", path}, []string{"child policy 0", "child timers 50000", "main policy 0", policy, "timers 2000000"}},
		{"idle", []string{"chrt", "--idle", "0", path}, []string{"child policy 5", "child timers 50000", "main policy 5", "thread policy 5", "timers 2000000"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := exec.Command(test.command[0], test.command[1:]...).CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			slices.Sort(lines)
			if lines = slices.Compact(lines); err != nil || !slices.Equal(lines, test.want) {
				t.Errorf("%v: %q, want %q", err, lines, test.want)
			}
		})
	}
}
