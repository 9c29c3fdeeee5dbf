package proc

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/shim"
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
	if l.null < 0 || len(files) > leastLow || !shortWayFits() {
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
	highest := slices.Max(append(low, l.null))
	list.Do(unix.SYS_CLOSE_RANGE, uint64(highest)+1, uint64(^uint32(0)), unix.CLOSE_RANGE_UNSHARE)
	list.Do(unix.SYS_SETSID)
	if dies {
		list.Do(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL))
		parent := list.Do(unix.SYS_GETPPID)
		parent.Exactly, parent.Result = true, uint64(os.Getpid())
	}
	if limits.raised() {
		list.Do(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, list.Words(limits.soft, limits.hard))
	}
	place(list, low)
	list.Do(unix.SYS_EXECVE, list.Text(path), texts(list, arguments), texts(list, environment))
	pid, pidfd, err = list.Spawn()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return 0, -1, errTooHigh // an emulator, say, that knows no such process
	}
	return pid, pidfd, err
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

// texts gives the address of a vector of texts, as execve(2) has it.
func texts(list *steps.List, texts []string) uint64 {
	addresses := make([]uint64, 0, len(texts)+1)
	for _, text := range texts {
		addresses = append(addresses, list.Text(text))
	}
	return list.Words(append(addresses, 0)...)
}

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

// startedWith asks a process that ForkExec has made for its limits; nil if that cannot be.
// Only whoever keeps others from reaping may call it (registry.fork).
var startedWith = sync.OnceValue(func() *fileLimits {
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
	pid, err := syscall.ForkExec("/proc/self/fd/0", shim.Arguments, &syscall.ProcAttr{Files: files})
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
})
