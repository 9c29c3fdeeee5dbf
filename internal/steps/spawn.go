//go:build amd64 || arm64

package steps

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Spawn makes a process that does the list (of Here), and returns when that has become
// another program. When the last step that was done has failed, the error is its, and no
// process is left. A list that ends otherwise has exited with status 127. (A step that
// may fail must not come right before another program: its error would be taken for
// that.)
//
// The process has our memory, and until a step changes that (CLOSE_RANGE_UNSHARE, say)
// also our descriptors, and the calling thread stands still meanwhile, and with it the
// whole program if it wants to collect garbage. So the list must hold nothing that can take
// long, and nothing that makes the process somebody else's: what another user may do to
// it, he would do to us. It has all signals blocked.
//
// The caller reaps the process, and closes pidfd, which names it.
func (l *List) Spawn() (pid, pidfd int, err error) {
	for i, step := range l.Steps {
		if step.Call == syscall.SYS_EXECVE && i > 0 && l.Steps[i-1].Otherwise != Fail {
			panic("steps: what may fail is followed by another program")
		}
	}
	// Room for the steps comes first: they know their addresses.
	program := make([]uint64, len(l.program(0)))
	s := &spawning{
		first: &program[0], all: ^uint64(0), pidfd: -1,
		flags: syscall.CLONE_VM | syscall.CLONE_VFORK | syscall.CLONE_FILES | syscall.CLONE_PIDFD | uint64(syscall.SIGCHLD),
	}
	copy(program, l.program(uint64(uintptr(unsafe.Pointer(s.first)))))
	spawn(s)
	runtime.KeepAlive(l)
	if errno := failure(s.pid); errno != 0 {
		return 0, -1, errno
	}
	pid, pidfd = int(s.pid), int(s.pidfd)
	if errno := failure(s.last); errno != 0 {
		for err = syscall.EINTR; err == syscall.EINTR; { //nolint:errorlint // as it comes from the kernel
			_, err = syscall.Wait4(pid, nil, 0, nil)
		}
		syscall.Close(pidfd)
		return 0, -1, errno
	}
	return pid, pidfd, nil
}

// failure is the error that the result of a system call is, or 0.
func failure(result uint64) syscall.Errno {
	if result > ^uint64(4095) {
		return syscall.Errno(-result)
	}
	return 0
}

// spawning is what spawn and the process work with; run_*.s has it, too.
type spawning struct {
	last  uint64  // what the last call of the list has given
	first *uint64 // step: a pointer, which keeps the steps where they are
	flags uint64  // of clone(2)
	pid   uint64  // or an error
	all   uint64  // a set of signals
	//lint:ignore U1000 run_*.s keeps them there
	before uint64 // those that were blocked
	pidfd  int32
}

// spawn makes the process, on this stack. The list does not use it.
func spawn(s *spawning)
