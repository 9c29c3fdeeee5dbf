package steps

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpawn: the list is done by another process, whose end is told from its failure.
func TestSpawn(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := uint64(w.Fd())
	say := func(l *List, text string) { l.Do(syscall.SYS_WRITE, out, l.Text(text), uint64(len(text))) }
	execute := func(l *List, words ...string) {
		var arguments []uint64
		for _, word := range words {
			arguments = append(arguments, l.Text(word))
		}
		l.Do(syscall.SYS_EXECVE, arguments[0], l.Words(append(arguments, 0)...), l.Words(l.Text("A=b"), 0))
	}
	for _, test := range []struct {
		name   string
		write  func(l *List)
		err    error
		status int
	}{
		{"nothing", func(*List) {}, nil, 127},
		{"an end", func(l *List) { say(l, "one "); l.Do(syscall.SYS_EXIT_GROUP, 3) }, nil, 3},
		{"another program", func(l *List) {
			l.Do(unix.SYS_DUP3, out, 1, 0)
			execute(l, "/bin/sh", "-c", "echo two $A; exit 4")
		}, nil, 4},
		{"no such program", func(l *List) { say(l, "three\n"); execute(l, "/no/such/program") }, syscall.ENOENT, 0},
		{"no such descriptor", func(l *List) { l.Do(syscall.SYS_CLOSE, 1<<30); say(l, "not said") }, syscall.EBADF, 0},
		{"a failure that is none", func(l *List) { l.Do(syscall.SYS_CLOSE, 1<<30).Otherwise = GoOn; say(l, "four") }, nil, 127},
	} {
		t.Run(test.name, func(t *testing.T) {
			// The descriptors are ours until they are not shared any more, and 1 is to be another.
			l := Here()
			l.Do(unix.SYS_CLOSE_RANGE, 1<<30, ^uint64(0)>>32, unix.CLOSE_RANGE_UNSHARE)
			test.write(l)
			pid, pidfd, err := l.Spawn()
			if !errors.Is(err, test.err) || err == nil && (pid <= 0 || pidfd < 0) {
				t.Fatalf("%d, %d, %v; want %v", pid, pidfd, err, test.err)
			}
			if err != nil {
				return
			}
			defer unix.Close(pidfd)
			if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil {
				t.Error(err)
			}
			var status syscall.WaitStatus
			if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status.ExitStatus() != test.status {
				t.Errorf("exit status %d, %v; want %d", status.ExitStatus(), err, test.status)
			}
		})
	}
	w.Close()
	text, err := io.ReadAll(r)
	if want := "one two b\nthree\nfour"; string(text) != want || err != nil {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a process is left: %d, %v", pid, err)
	}
	var blocked unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &blocked); err != nil || blocked != (unix.Sigset_t{}) {
		t.Errorf("signals are blocked: %v, %v", blocked, err)
	}
}
