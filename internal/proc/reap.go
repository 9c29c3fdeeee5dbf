package proc

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeSubreaper makes orphaned descendants children of this process, as PID 1
// has them anyway: what a vassal leaves behind stays in our tree. Run ReapOrphans
// then.
func BecomeSubreaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// ReapOrphans reaps, until ctx ends, the children that nobody waits for: those
// that came to us because their parent died. Children made by a Starter are left
// to it; known, which may be nil, names others that have an owner, such as those
// of os/exec (whose Wait would otherwise fail with "no child processes"). known
// is called often and under a lock that Start needs: it must be quick and start nothing.
func ReapOrphans(ctx context.Context, known func(pid int) bool) {
	// Subscribe first, then look: an orphan that ended before is seen by the look.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		children.reapOrphans(known)
		select {
		case <-ended: // one signal may stand for many children
		case <-ctx.Done():
			return
		}
	}
}

// reapOrphans reaps every dead child that has no owner. The lock keeps it from
// seeing a child that is made but not registered.
func (r *registry) reapOrphans(known func(pid int) bool) {
	r.reaping.RLock()
	defer r.reaping.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	owned := func(pid int) bool { return r.pids[pid] || known != nil && known(pid) }
	for {
		pid, err := firstDeadChild()
		if err != nil || pid == 0 {
			return
		}
		if owned(pid) {
			break
		}
		waitFor(pid)
	}
	// The kernel shows the same child until its owner has reaped it, and with it
	// hides those behind. They are found in the process table.
	t, err := readTable(false)
	if err != nil {
		return
	}
	self := os.Getpid()
	for pid, e := range t {
		if e.parent == self && e.dead && !owned(pid) {
			var status syscall.WaitStatus
			syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		}
	}
}

// firstDeadChild gives a child that has ended, without reaping it; 0: none.
func firstDeadChild() (int, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		pid, _ := childOf(&info)
		return pid, err
	}
}
