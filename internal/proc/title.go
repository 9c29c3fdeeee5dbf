package proc

import (
	"os"
	"strings"
	"unsafe"
)

// title is the memory in which the kernel has put our arguments, and from which it shows
// them (/proc/PID/cmdline, ps).
var title []byte

// KeepArguments copies os.Args, so that SetTitle can write over the original. It must be
// called before anything has looked at them.
func KeepArguments() {
	if len(os.Args) == 0 || os.Args[0] == "" {
		return
	}
	start := unsafe.StringData(os.Args[0])
	size := 0
	for i, argument := range os.Args {
		if argument != "" && uintptr(unsafe.Pointer(unsafe.StringData(argument))) != uintptr(unsafe.Pointer(start))+uintptr(size) {
			return // not where the kernel has put them
		}
		size += len(argument) + 1
		os.Args[i] = strings.Clone(argument)
	}
	title = unsafe.Slice(start, size-1) // the last NUL stays
}

// SetTitle makes ps and top show that name instead of our arguments: as much of it as
// there was room for them, and top 15 bytes.
func SetTitle(name string) error {
	if len(title) > 0 {
		clear(title[copy(title, name):])
	}
	// Of the process, and that is its first thread, on which nobody may be just now.
	return os.WriteFile("/proc/self/comm", []byte(name), 0)
}
