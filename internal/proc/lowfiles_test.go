package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
)

// TestBeginnings: what a process is made of does not depend on which way it was made, and
// nothing of it is left with us.
func TestBeginnings(t *testing.T) {
	t.Run("this kernel", beginnings)
	t.Run("a kernel that does it wrong", func(t *testing.T) {
		found, whole := tablesAre.found, tablesAre.whole
		tablesAre.found, tablesAre.whole = true, false
		defer func() { tablesAre.found, tablesAre.whole = found, whole }()
		beginnings(t)
	})
}

func beginnings(t *testing.T) {
	low := newLowFiles()
	defer low.close()
	if !shortWayFits() || startedWith() == nil {
		t.Fatal("no process is begun with few descriptors here")
	}
	// What the runtime keeps for itself as soon as somebody reads from a pipe is none of ours.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	before, err := OpenDescriptors()
	if err != nil {
		t.Fatal(err)
	}
	type way func(path string, environment []string, files []int, dies bool) (int, int, error)
	ways := map[string]way{
		"few": func(p string, e []string, f []int, d bool) (int, int, error) {
			return low.begin(p, shim.Arguments, e, f, d)
		},
		"all": forkExec,
	}
	if !low.wholeTables() { // a kernel that does it wrong: nobody is begun so
		if _, _, err := low.begin("/bin/true", shim.Arguments, nil, []int{0, 1, 2}, false); !errors.Is(err, errTooHigh) {
			t.Errorf("begun with a wrong table: %v", err)
		}
		delete(ways, "few")
	}
	// It writes its variables, its limits, what it has at some numbers, and whether it
	// leads a session.
	const script = `#!/bin/sh
echo $A; ulimit -Sn; ulimit -Hn
for i in 0 2 3 4 5 6 7 8 30; do test -e /proc/$$/fd/$i && echo $i; done
cut -d' ' -f6 /proc/$$/stat | grep -qx $$ && echo leads
`
	program := t.TempDir() + "/program"
	write(t, program, script)
	said := map[string]string{}
	for name, begin := range ways {
		for _, dies := range []bool{false, true} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			files := []int{0, int(w.Fd()), 2, -1, 0, -1, 0}
			for len(files) < 31 { // more than are kept
				files = append(files, -1, 0)
			}
			pid, pidfd, err := begin(program, []string{"A=b"}, files, dies)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			w.Close()
			text, err := io.ReadAll(r) // nothing of ours has it open still
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			unix.Close(pidfd)
			if status, err := waitFor(pid); err != nil || status != 0 {
				t.Errorf("%s: %v, %v", name, status, err)
			}
			said[name] = string(text)
			if !strings.HasPrefix(said[name], "b\n") || !strings.HasSuffix(said[name], "\n0\n2\n4\n6\n8\n30\nleads\n") {
				t.Errorf("%s, dies %v: %q", name, dies, text)
			}
		}
		if _, _, err := begin("/no/such/program", nil, []int{0, 1, 2}, false); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%s: no such program: %v", name, err)
		}
		if _, _, err := begin(program, nil, []int{0, 1, 899}, false); !errors.Is(err, map[string]error{"few": errTooHigh, "all": syscall.EBADF}[name]) {
			t.Errorf("%s: no such descriptor: %v", name, err)
		}
	}
	t.Logf("%q", said["all"])
	if ways["few"] != nil && said["few"] != said["all"] {
		t.Errorf("%q by one way, %q by the other", said["few"], said["all"])
	}
	after, err := OpenDescriptors()
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range after {
		if !slices.Contains(before, fd) && !slices.Contains(low.numbers, fd) {
			t.Errorf("descriptor %d is left", fd)
		}
	}
	if len(low.numbers) == commonFiles && ways["few"] != nil {
		t.Error("no more numbers are kept than before")
	}
}

// TestBeginningsAndLimits: Go has raised the limit of open files for itself; what it was
// is what programs get, either way.
func TestBeginningsAndLimits(t *testing.T) {
	for _, limit := range []string{"1013", "20"} { // the second is lower than the numbers that it gets
		command := exec.Command("sh", "-c", `ulimit -Sn $1; exec "$0" -test.v -test.run '^TestBeginnings$'`, os.Args[0], limit)
		if text, err := command.CombinedOutput(); err != nil || !strings.Contains(string(text), `\n`+limit+`\n`) {
			t.Errorf("%v: %s", err, text)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock() // nobody executes a file that a new process has open for writing
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestManyFiles: a program gets as many as it wants, whichever way it has to be made.
func TestManyFiles(t *testing.T) {
	s := NewStarter("many-" + strconv.Itoa(os.Getpid()))
	defer s.Close()
	for _, count := range []int{1, commonFiles, leastLow - 2, leastLow, 3 * leastLow} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := &Command{Name: "site", Path: "sh", Args: []string{"sh", "-c", "echo $LISTEN_FDS; i=0; while test -e /proc/$$/fd/$i; do i=$((i+1)); done; echo $i"}, Umask: -1, Files: map[int]int{1: int(w.Fd())}, ListenFDs: count}
		for i := range count {
			c.Files[3+i] = 0
		}
		p, err := s.Start(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		<-p.Done()
		if want := fmt.Sprintf("%d\n%d\n", count, count+3); string(text) != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

// BenchmarkStart is how long it takes until a program is begun, in a process that has many
// files open: with few descriptors, and by copying all.
func BenchmarkStart(b *testing.B) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(null)
	low := newLowFiles()
	defer low.close()
	for _, open := range []int{0, 2_500, 10_000} {
		var many []int
		for range open {
			fd, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, 100)
			if err != nil {
				b.Fatal(err)
			}
			many = append(many, fd)
		}
		for _, way := range []struct {
			name  string
			begin func() (int, int, error)
		}{
			{"few", func() (int, int, error) {
				return low.begin("/bin/true", shim.Arguments, nil, []int{null, null, null}, false)
			}},
			{"all", func() (int, int, error) { return forkExec("/bin/true", nil, []int{null, null, null}, false) }},
		} {
			b.Run(fmt.Sprintf("open=%d/%s", open, way.name), func(b *testing.B) {
				for range b.N {
					pid, pidfd, err := way.begin()
					if err != nil {
						b.Fatal(err)
					}
					unix.Close(pidfd)
					if _, err := waitFor(pid); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		for _, fd := range many {
			unix.Close(fd)
		}
	}
}
