package shim

import (
	"math"
	"slices"
	"strconv"
	"syscall"
)

// SealDescriptors marks every descriptor from 3 on close-on-exec, but those in keep.
func SealDescriptors(keep ...int) error {
	keep = slices.Clone(keep)
	slices.Sort(keep)
	first := 3
	for _, fd := range append(keep, math.MaxInt32) {
		if fd > first {
			if err := closeOnExec(first, fd-1); err != nil {
				return because("marking descriptors "+strconv.Itoa(first)+" to "+strconv.Itoa(fd-1)+" close-on-exec", err)
			}
		}
		first = max(first, fd+1)
	}
	return nil
}

func closeOnExec(first, last int) error {
	_, _, errno := syscall.Syscall(sysCloseRange, uintptr(first), uintptr(last), closeRangeCloexec)
	if errno == 0 {
		return nil
	}
	// Before Linux 5.11, and under a seccomp filter of that age: one by one.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for fd := first; fd <= last && uint64(fd) < limit.Cur; fd++ {
		syscall.CloseOnExec(fd)
	}
	return nil
}
