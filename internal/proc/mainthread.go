package proc

import (
	"os"
	"runtime"
	"sync/atomic"
)

// The kernel takes the end of the *thread* that made a child for the end of its
// parent. A process that executes another binary in its own place keeps one thread,
// the one that calls exec, which becomes the main thread of what comes: children made
// by any other are told that their parent has died. So in a program whose binary can be
// replaced more than once all children are made by the main thread, and so is exec.

// mainThread is work for it; nil as long as nobody keeps it.
var mainThread atomic.Pointer[chan func()]

// KeepMainThread runs the program in a goroutine of its own, and children are made
// on the calling thread, which must be the main thread: an init function of package main
// has to lock it. It never returns; the process ends with what program returns.
func KeepMainThread(program func() int) {
	runtime.LockOSThread()
	work := make(chan func())
	mainThread.Store(&work)
	go func() { os.Exit(program()) }()
	for f := range work {
		f()
	}
}
