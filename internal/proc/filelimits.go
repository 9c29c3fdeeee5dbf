package proc

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
	"emperor/internal/steps"
)

// fileLimits are how many files this process may have open. Go raises the soft limit for
// itself, and gives what it was before to the processes that syscall.ForkExec makes, but
// tells it to nobody.
type fileLimits struct {
	soft, hard uint64 // those it was started with
	own        uint64 // the soft one that Go has set
}

// raised tells whether the limit is that of Go still; else somebody has set it for us and
// our children (prlimit(1)).
func (f *fileLimits) raised() bool {
	var now unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &now) == nil && now.Cur == f.own && now.Max == f.hard
}

var knownLimits atomic.Pointer[fileLimits]

// startedWith asks a process that ForkExec has made for its limits, once; nil if that
// cannot be. Only whoever keeps others from reaping may call it (registry.fork).
func startedWith() *fileLimits {
	if known := knownLimits.Load(); known != nil {
		return known
	}
	found := askForLimits()
	knownLimits.Store(found)
	return found
}

func askForLimits() *fileLimits {
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) != nil {
		return nil
	}
	const size = 16 // of a struct rlimit
	var list steps.List
	room := list.Words(0, 0)
	list.Do(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, 0, room)
	list.Do(unix.SYS_WRITE, 1, room, size)
	list.Do(unix.SYS_EXIT_GROUP, 0)
	image, err := list.Image()
	if err != nil {
		return nil
	}
	program, err := executableFile(image)
	if err != nil {
		return nil
	}
	defer unix.Close(program)
	var pipe [2]int
	if unix.Pipe2(pipe[:], unix.O_CLOEXEC) != nil {
		return nil
	}
	defer unix.Close(pipe[0])
	files := []uintptr{uintptr(program), uintptr(pipe[1])}
	pid, err := syscall.ForkExec("/proc/self/fd/0", shim.Arguments, &syscall.ProcAttr{Files: files, Sys: &syscall.SysProcAttr{Setsid: true}})
	unix.Close(pipe[1])
	if err != nil {
		return nil
	}
	text := make([]byte, size)
	n, err := unix.Read(pipe[0], text)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(pipe[0], text)
	}
	if _, waitErr := waitFor(pid); waitErr != nil || err != nil || n != size {
		return nil
	}
	return &fileLimits{soft: binary.NativeEndian.Uint64(text), hard: binary.NativeEndian.Uint64(text[size/2:]), own: own.Cur}
}
