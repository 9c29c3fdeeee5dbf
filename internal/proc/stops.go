package proc

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stop is news of a child that was stopped, as by SIGSTOP, or goes on.
type Stop struct {
	PID    int
	Signal syscall.Signal // that stopped it
	GoesOn bool
}

// WatchStops reports, until ctx ends, which children of this process are stopped by a
// signal and which go on. Nobody else may wait for that.
func WatchStops(ctx context.Context, report func(Stop)) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGCHLD)
	defer signal.Stop(changed)
	for {
		for s, ok := nextStop(); ok; s, ok = nextStop() {
			report(s)
		}
		select {
		case <-changed: // one signal may stand for many children
		case <-ctx.Done():
			return
		}
	}
}

// nextStop takes one piece of news from the kernel, if there is one.
func nextStop() (Stop, bool) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		const continued = 6 // CLD_CONTINUED (sigaction(2))
		pid, status := childOf(&info)
		if err != nil || pid == 0 {
			return Stop{}, false
		}
		return Stop{PID: pid, Signal: syscall.Signal(status), GoesOn: info.Code == continued}, true
	}
}

// childOf gives si_pid and si_status, which follow three ints, aligned to a pointer, and
// have si_uid between them (waitid(2); the package unix does not name them).
func childOf(info *unix.Siginfo) (pid, status int) {
	words := (*[8]int32)(unsafe.Pointer(info))
	first := 3
	if unsafe.Sizeof(uintptr(0)) == 8 {
		first = 4
	}
	return int(words[first]), int(words[first+2])
}
