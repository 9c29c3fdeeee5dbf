package rights

import (
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Apart runs f on a thread that ends afterwards, so that f may change what the
// kernel keeps for each thread: user, working directory, file mask. f only makes
// system calls that do not wait. (The process's first thread cannot end, and
// /proc shows its state as that of the process: it is never that one.)
func Apart(f func()) {
	done := make(chan struct{})
	go func() { // ends with f
		defer close(done)
		throwaway(f)
	}()
	<-done
}

func throwaway(f func()) {
	runtime.LockOSThread() // and never unlocked
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() { throwaway(f); close(done) }() // on another thread: this one is taken
	<-done
	runtime.UnlockOSThread()
}

// able tells whether this process can take other users' rights: it is root, and
// nothing has taken away what makes root root.
var able = sync.OnceValue(func() bool {
	if os.Geteuid() != 0 {
		return false
	}
	ok := false
	Apart(func() { ok = (&User{UID: overflow, GID: overflow}).Assume() == nil })
	return ok
})

// thread is a thread with the rights of one user.
type thread struct {
	work  chan func()
	ended chan struct{}
	err   error // why it has not got the rights
}

func newThread(u *User) *thread {
	t := &thread{work: make(chan func()), ended: make(chan struct{})}
	ready := make(chan error)
	go func() { // ends with close
		defer close(t.ended)
		Apart(func() {
			err := u.Assume()
			ready <- err
			if err != nil {
				return
			}
			for f := range t.work {
				f()
			}
		})
	}()
	t.err = <-ready
	return t
}

// do runs f on the thread. Where it has not got the rights f is not run.
func (t *thread) do(f func()) error {
	if t.err != nil {
		return t.err
	}
	done := make(chan struct{})
	t.work <- func() { defer close(done); f() }
	<-done
	return nil
}

func (t *thread) close() {
	close(t.work)
	<-t.ended
}
