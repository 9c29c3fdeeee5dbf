package proc

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience is how late a timer of ours may be. Nothing that we do is that precise, and
// the Go runtime's watchman, which wants to look after us every 20 µs while anything runs,
// looks once in this time instead: that had been a quarter of our processor time while
// many programs started.
const patience = 2_000_000 // nanoseconds

// ordinaryPatience is the kernel's own, which programs have unless somebody has said
// otherwise.
const ordinaryPatience = 50_000 // nanoseconds

// noPriority is a struct sched_param; a variable of the package stays where it is.
var noPriority struct{ priority int32 }

// GiveWay makes this process one that leaves the processors to the programs that it has
// started, as long as they have something to do: it is run when its turn has come, and
// does not interrupt them (SCHED_BATCH); and its timers may be some milliseconds late. When
// many programs start at once, each event of theirs would otherwise stop one of them, for
// the moment that it takes to note it. On an idle machine nothing changes.
//
// Programs inherit none of it: they are made by the main thread, which stays as it is (see
// KeepMainThread, without which this does nothing). Only what is run for a line of
// configuration (exec://) is made elsewhere, and waits for its turn as we do. Whoever has
// chosen a policy or a precision for us, as with chrt or TimerSlackNSec= of systemd, keeps
// it.
//
// What the kernel refuses stays as it was. A program with cgo, as one with the race
// detector is, cannot change all its threads; and under a filter of system calls, which
// may kill us for asking, only timers are late.
func GiveWay() {
	kept := mainThread.Load()
	if kept == nil {
		return
	}
	onMainThread(*kept, func() {
		if ask(unix.SYS_PRCTL, unix.PR_GET_TIMERSLACK, 0) == ordinaryPatience {
			allButThis(unix.SYS_PRCTL, [3]uintptr{unix.PR_SET_TIMERSLACK, patience}, [3]uintptr{unix.PR_SET_TIMERSLACK, ordinaryPatience})
		}
		if ask(unix.SYS_PRCTL, unix.PR_GET_SECCOMP, 0) == 0 && ask(unix.SYS_SCHED_GETSCHEDULER, 0, 0) == unix.SCHED_NORMAL {
			address := uintptr(unsafe.Pointer(&noPriority))
			allButThis(unix.SYS_SCHED_SETSCHEDULER, [3]uintptr{0, unix.SCHED_BATCH, address}, [3]uintptr{0, unix.SCHED_NORMAL, address})
		}
	})
}

// onMainThread returns when f has. Nobody makes a child meanwhile.
func onMainThread(work chan func(), f func()) {
	done := make(chan struct{})
	work <- func() { defer close(done); f() }
	<-done
}

// ask makes a system call on this thread. -1: it was refused.
func ask(call, a, b uintptr) int {
	result, _, errno := syscall.RawSyscall(call, a, b, 0)
	if errno != 0 {
		return -1
	}
	return int(result)
}

// allButThis makes a system call on all threads, and another one, which undoes it, on this
// one. Threads to come are made by the others, and inherit what those have.
func allButThis(call uintptr, all, undo [3]uintptr) {
	if _, _, errno := syscall.AllThreadsSyscall(call, all[0], all[1], all[2]); errno == 0 {
		_, _, _ = syscall.RawSyscall(call, undo[0], undo[1], undo[2])
	}
}
