package proc

import (
	"runtime"
	"sync"
)

// ReserveThreads makes sure that this process has that many threads beside those that run
// Go code. The runtime makes another one whenever a system call takes long, and ends the
// whole process when the kernel refuses: at a limit of processes (ulimit -u, TasksMax,
// pids.max) that some vassal has used up, an emperor would die with all its vassals. It
// never gives a thread back, so what was made in good time is there when it is needed. A
// thread that waits costs some 20 KB.
func ReserveThreads(n int) {
	var made, done sync.WaitGroup
	release := make(chan struct{})
	made.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread() // so that another is made for whoever runs next
			defer runtime.UnlockOSThread()
			made.Done()
			<-release
		})
	}
	made.Wait()
	close(release)
	done.Wait()
}
