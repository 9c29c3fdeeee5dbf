package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// poller is an epoll set, level-triggered.
type poller int

// poll is what is to be reported of a descriptor.
type poll uint32

const (
	forReading poll = syscall.EPOLLIN
	forWriting poll = syscall.EPOLLOUT
)

func newPoller() (poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	return poller(fd), os.NewSyscallError("epoll_create1", err)
}

// watch asks for reports of fd. before is what was asked for until now, 0 for
// nothing.
func (p poller) watch(fd int, before, now poll) error {
	op := syscall.EPOLL_CTL_MOD
	if before == 0 {
		op = syscall.EPOLL_CTL_ADD
	}
	event := syscall.EpollEvent{Events: uint32(now), Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(int(p), op, fd, &event))
}

// wait returns what there is to report, after at most the given time. Only if
// there is nothing yet does it enter the kernel in the way that lets Go's
// scheduler know; and then with a limit in nanoseconds, where the usual call and
// Go's own timers count in milliseconds.
func (p poller) wait(events []syscall.EpollEvent, atMost time.Duration) (int, error) {
	const epollPwait2 = 441 // the same on every architecture
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno == 0 && n == 0 && atMost > 0 {
		limit := syscall.NsecToTimespec(int64(atMost))
		n, _, errno = syscall.Syscall6(epollPwait2, uintptr(p), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	}
	if errno == syscall.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, os.NewSyscallError("epoll_pwait2", errno)
	}
	return int(n), nil
}
