package proc

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kept are the signals that would be lost, or would end us, between exec and the
// moment in which the new binary can take them. They wait meanwhile.
var kept = []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGPIPE}

// Exec becomes the program that is open as binary. It must be called on the thread
// that has made the children (Starter.Exclusively). Of our descriptors the program gets
// those in keep, under their own numbers, and 0 to 2. It returns only with an error, for
// which nothing has changed.
//
// Signals by which an emperor is given orders are blocked in the new program until it
// asks for them (signal.Notify), so that none is lost.
func Exec(binary int, arguments, environment []string, keep []int) (err error) {
	var blocked, before unix.Sigset_t
	for _, s := range kept {
		bit := (int(s) - 1) % wordSize
		blocked.Val[(int(s)-1)/wordSize] |= 1 << bit
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before); err != nil {
		return fmt.Errorf("blocking signals: %w", err)
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	for i, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			for _, fd := range keep[:i] {
				unix.CloseOnExec(fd)
			}
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	err = syscall.Exec(fmt.Sprintf("/proc/self/fd/%d", binary), arguments, environment)
	for _, fd := range keep {
		unix.CloseOnExec(fd)
	}
	return err
}

// OpenDescriptors are all from 3 on, in order.
func OpenDescriptors() ([]int, error) {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err == nil && fd > 2 && isOpen(fd) { // not the one of the folder
			out = append(out, fd)
		}
	}
	slices.Sort(out)
	return out, nil
}

// wordSize is how many signals one word of a signal set has: they differ in size.
const wordSize = 8 * int(unsafe.Sizeof(unix.Sigset_t{}.Val[0]))
