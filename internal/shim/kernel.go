package shim

import (
	"syscall"
	"unsafe"
)

// What golang.org/x/sys/unix has names for and syscall, which is initialised before it,
// has not. The numbers of system calls are those of every architecture since Linux 5.1,
// but MIPS.
const (
	sysCloseRange            = 436
	sysLandlockCreateRuleset = 444
	sysLandlockAddRule       = 445
	sysLandlockRestrictSelf  = 446

	closeRangeCloexec = 1 << 2

	prSetPdeathsig   = 1
	prSetKeepcaps    = 8
	prCapbsetRead    = 23
	prCapbsetDrop    = 24
	prSetNoNewPrivs  = 38
	prCapAmbient     = 47
	prAmbientRaise   = 2          // PR_CAP_AMBIENT_RAISE
	prAmbientClear   = 4          // PR_CAP_AMBIENT_CLEAR_ALL
	capabilityLayout = 0x20080522 // _LINUX_CAPABILITY_VERSION_3

	openPath   = 0x200000 // O_PATH
	atCwd      = -100
	atEaccess  = 0x200
	mayExecute = 1 // X_OK

	landlockExecute   = 1 << 0
	landlockWriteFile = 1 << 1
	landlockReadFile  = 1 << 2
	landlockReadDir   = 1 << 3
	landlockRemove    = 1 << 5
	landlockMakeFile  = 1 << 8
	landlockMakeLink  = 1 << 12
	landlockBeneath   = 1 // LANDLOCK_RULE_PATH_BENEATH
)

// prctl gives what the call returns.
func prctl(option int, argument, second uintptr) (int, error) {
	n, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, uintptr(option), argument, second, 0, 0, 0)
	return int(n), orNil(errno)
}

func orNil(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// capabilityHeader and capabilityData are those of capset(2), in its third layout.
type (
	capabilityHeader struct {
		layout uint32
		pid    int32
	}
	capabilityData struct{ effective, permitted, inheritable uint32 }
)

func capset(c Capabilities) error {
	header := capabilityHeader{layout: capabilityLayout}
	low, high := uint32(c), uint32(c>>32)
	data := [2]capabilityData{{low, low, low}, {high, high, high}}
	_, _, errno := syscall.Syscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	return orNil(errno)
}

// isOpen tells whether there is such a descriptor.
func isOpen(fd int) bool {
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno == 0
}

// resetSignals gives every signal its default action and blocks none. exec does
// that for handlers, but keeps what is ignored: under nohup, and for SIGPIPE in
// a systemd unit, a program would not get what it counts on.
func resetSignals() {
	// struct sigaction of the kernel; all zero is SIG_DFL with no flags. It is at
	// most this large on every architecture. All zero is also the empty set.
	var none [8]uint64
	const kernelSetSize = 8
	for sig := uintptr(1); sig <= 64; sig++ {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&none)), 0, kernelSetSize, 0, 0)
	}
	const setMask = 2
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&none)), 0, kernelSetSize, 0, 0)
}
