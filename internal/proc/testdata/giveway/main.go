// Giveway makes way, and prints how the kernel runs its threads, and a program of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
)

func init() { runtime.LockOSThread() }

func main() {
	proc.KeepMainThread(func() int {
		proc.GiveWay()
		// Threads that are made afterwards count, too.
		var all sync.WaitGroup
		slack := make(chan int, 4)
		barrier := make(chan struct{})
		for range cap(slack) {
			all.Go(func() {
				runtime.LockOSThread()
				s, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
				slack <- s
				<-barrier
			})
		}
		for range cap(slack) {
			fmt.Println("timers", <-slack)
		}
		tasks, _ := filepath.Glob("/proc/self/task/*/stat")
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			who := "thread"
			if filepath.Base(filepath.Dir(task)) == fmt.Sprint(os.Getpid()) {
				who = "main"
			}
			if fields := strings.Fields(string(text)); len(fields) > 40 { // else it has just ended
				fmt.Println(who, "policy", fields[40])
			}
		}
		close(barrier)
		all.Wait()
		starter := proc.NewStarter(proc.NewMark("giveway"))
		p, err := starter.Start(context.Background(), &proc.Command{
			Name: "child", Generation: 1, Path: "/bin/sh", Dir: "/", Umask: -1,
			Args: []string{"sh", "-c", "read slack < /proc/self/timerslack_ns; read stat < /proc/self/stat; set -- $stat; shift 40; echo child timers $slack; echo child policy $1"},
		})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		<-p.Done()
		return 0
	})
}
