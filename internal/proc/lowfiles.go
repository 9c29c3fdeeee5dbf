package proc

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/steps"
)

// A new process has a copy of all our descriptors, and closes them one by one when it
// becomes a program. With a thousand vassals they are thousands, and starting them all
// takes as many times longer as there are. But the kernel copies only those below a number
// when it is asked to (close_range(2), CLOSE_RANGE_UNSHARE). So what the process shall have
// is duplicated to low numbers of ours first, and no more than those are copied.

// lowFiles are low descriptors of ours, kept for that. They belong to the thread that makes
// processes.
type lowFiles struct {
	null    int // an open /dev/null, which all are when they are not needed
	numbers []int
}

const (
	// The descriptors of the new process are below, and what it finds them in above it.
	leastLow = 64
	// commonFiles is as many as most processes get.
	commonFiles = 8
)

// errTooHigh: this process has to be made the other way, by syscall.ForkExec.
var errTooHigh = errors.New("no low descriptors")

// newLowFiles keeps as many as most processes need, which is why it comes before there are
// vassals: the numbers are low then.
func newLowFiles() *lowFiles {
	l := &lowFiles{null: -1}
	if null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		l.null = null
		_ = l.grow(commonFiles) // else it is tried again
	}
	return l
}

func (l *lowFiles) grow(count int) error {
	for len(l.numbers) < count {
		fd, err := unix.FcntlInt(uintptr(l.null), unix.F_DUPFD_CLOEXEC, leastLow)
		if err != nil {
			return err
		}
		l.numbers = append(l.numbers, fd)
	}
	return nil
}

// take duplicates the files, but for negative ones, into the first numbers, and gives
// those. giveBack has to follow.
func (l *lowFiles) take(files []int) (low []int, used int, err error) {
	low = make([]int, len(files))
	for i, fd := range files {
		if low[i] = -1; fd < 0 {
			continue
		}
		if err := l.grow(used + 1); err != nil {
			return nil, used, err
		}
		low[i] = l.numbers[used]
		if err := unix.Dup3(fd, low[i], unix.O_CLOEXEC); err != nil {
			return nil, used, err
		}
		used++
	}
	return low, used, nil
}

// giveBack lets go of the files in the first numbers.
func (l *lowFiles) giveBack(used int) {
	for i := range slices.Backward(l.numbers[:used]) {
		if unix.Dup3(l.null, l.numbers[i], unix.O_CLOEXEC) != nil { // our limit was lowered meanwhile
			unix.Close(l.numbers[i])
			l.numbers = slices.Delete(l.numbers, i, i+1)
		}
	}
}

func (l *lowFiles) close() {
	for _, fd := range l.numbers {
		unix.Close(fd)
	}
	if l.null >= 0 {
		unix.Close(l.null)
	}
	l.null, l.numbers = -1, nil
}

// begin makes a process that has the files from 0 on and executes the path. It is in a
// session of its own, and if dies is set it is killed when this thread ends.
func (l *lowFiles) begin(path string, arguments, environment []string, files []int, dies bool) (pid, pidfd int, err error) {
	if l.null < 0 || len(files) > leastLow || !shortWayFits() || !l.wholeTables() {
		return 0, -1, errTooHigh
	}
	limits := startedWith()
	if limits == nil {
		return 0, -1, errTooHigh
	}
	// Nobody's file is open for writing in the new process (see executableFile).
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	low, used, err := l.take(files)
	defer func() { l.giveBack(used) }()
	if err != nil {
		return 0, -1, errTooHigh // there are too few, which the other way says
	}
	list := steps.Here()
	leave(list, slices.Max(append(low, l.null)))
	list.Do(unix.SYS_SETSID)
	if dies {
		dieWith(list, os.Getpid(), unix.SIGKILL)
	}
	place(list, low)
	if limits.raised() { // last, because it may be lower than their numbers
		setLimit(list, unix.RLIMIT_NOFILE, limits.soft, limits.hard)
	}
	list.Do(unix.SYS_EXECVE, list.Text(path), vector(list, addresses(list, arguments)), vector(list, addresses(list, environment)))
	pid, pidfd, err = list.Spawn()
	if refusesSpawn(err) {
		return 0, -1, errTooHigh
	}
	return pid, pidfd, err
}

// tableStep is how many descriptors the kernel notes in a word. Some kernels of 2022 and
// before have copied parts of words wrongly.
const tableStep = 64

// leave leaves our descriptors, with a copy of those up to the highest.
func leave(list *steps.List, highest int) {
	first := (highest/tableStep + 1) * tableStep
	list.Do(unix.SYS_CLOSE_RANGE, uint64(first), uint64(^uint32(0)), unix.CLOSE_RANGE_UNSHARE)
}

// refusesSpawn tells that such a process cannot be made here: by an emulator, say.
func refusesSpawn(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, steps.ErrUnsupported)
}

// place gives the files their numbers, from 0 on.
func place(list *steps.List, low []int) {
	for i, from := range low {
		if from < 0 {
			list.Do(unix.SYS_CLOSE, uint64(i)).Otherwise = steps.GoOn
		}
	}
	for i, from := range low {
		if from >= 0 {
			list.Do(unix.SYS_DUP3, uint64(from), uint64(i), 0)
		}
	}
}
