package proc

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/steps"
)

// tablesAre is what wholeTables has found.
var tablesAre struct {
	sync.Mutex
	found, whole bool
}

// wholeTables tries whether numbers above those that were copied are free in the new
// process. Before Linux 5.15.166, 6.1.107, 6.6.48 and 6.10.7 the kernel took blocks of 64
// that were all open with us for taken there, too (CVE-2024-45025): of a thousand files
// that a program may have open, it would have got a hundred.
func (l *lowFiles) wholeTables() bool {
	tablesAre.Lock()
	defer tablesAre.Unlock()
	if tablesAre.found {
		return tablesAre.whole
	}
	const first = 2 * leastLow
	var block []int
	defer func() {
		for _, fd := range block {
			unix.Close(fd)
		}
	}()
	for len(block) == 0 || block[len(block)-1] < first+tableStep {
		fd, err := unix.FcntlInt(uintptr(l.null), unix.F_DUPFD_CLOEXEC, first)
		if err != nil {
			return false // for now: too few descriptors
		}
		block = append(block, fd)
	}
	list := steps.Here()
	leave(list, first-1)
	open := list.Do(unix.SYS_FCNTL, uint64(l.null), unix.F_DUPFD_CLOEXEC, first)
	open.Exactly, open.Result = true, first
	list.Do(unix.SYS_EXIT_GROUP, 0)
	pid, pidfd, err := list.Spawn()
	if err == nil {
		unix.Close(pidfd)
		var status syscall.WaitStatus
		status, err = waitFor(pid)
		tablesAre.whole = err == nil && status.ExitStatus() == 0
	}
	// Without a process it is tried again, unless it is one that cannot be.
	tablesAre.found = err == nil || refusesSpawn(err)
	return tablesAre.whole
}
