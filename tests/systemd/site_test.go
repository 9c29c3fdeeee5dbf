//go:build systemd

package systemd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// beSite serves HTTP on the socket that the emperor holds. What it does to the machine
// is asked of it, by path.
func beSite() {
	name := os.Getenv(siteVariable)
	if boot, err := time.ParseDuration(os.Getenv("SITE_BOOT")); err == nil {
		time.Sleep(boot)
	}
	if os.Getenv("SITE_STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	listener, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("up:", name)
	fmt.Fprintln(os.Stderr, "<3>only a trial:", name)
	handle := func(path string, answer func(w io.Writer, amount int)) {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			amount, _ := strconv.Atoi(r.FormValue("amount"))
			answer(w, amount)
		})
	}
	handle("/", func(w io.Writer, _ int) { fmt.Fprint(w, os.Getpid()) })
	handle("/slow", func(w io.Writer, seconds int) {
		fmt.Println("slow has begun")
		time.Sleep(time.Duration(seconds) * time.Second)
		fmt.Fprint(w, "done")
	})
	handle("/proc", func(w io.Writer, _ int) { // what it runs as
		for _, file := range []string{"status", "cgroup", "limits"} {
			text, _ := os.ReadFile("/proc/self/" + file)
			_, _ = w.Write(text)
		}
	})
	handle("/environment", func(w io.Writer, _ int) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	handle("/announce", func(w io.Writer, _ int) { // speaks to systemd in the emperor's place
		connection, err := net.Dial("unixgram", "/run/systemd/notify")
		if err == nil {
			_, err = connection.Write([]byte("STATUS=taken over by a site\nMAINPID=" + strconv.Itoa(os.Getpid())))
		}
		fmt.Fprint(w, err)
	})
	handle("/orphan", func(w io.Writer, _ int) { // leaves a process that has left it
		fmt.Fprint(w, exec.Command("setsid", "--fork", "sleep", "9876").Run())
	})
	handle("/write", func(w io.Writer, _ int) {
		for _, dir := range []string{"/etc", "/usr", "/run/emperor"} {
			fmt.Fprintln(w, dir, os.WriteFile(dir+"/written-by-site", nil, 0o600))
		}
	})
	handle("/eat", func(w io.Writer, mebibytes int) {
		for range mebibytes {
			eaten = append(eaten, bytes.Repeat([]byte("x"), 1<<20))
		}
		fmt.Fprint(w, len(eaten))
	})
	handle("/fork", func(w io.Writer, count int) {
		forked := 0
		for range count {
			child := exec.Command("sleep", "9877")
			if child.Start() != nil {
				break
			}
			forked++
		}
		fmt.Fprint(w, forked)
	})
	handle("/spin", func(w io.Writer, seconds int) { // percent of a processor
		began, before := time.Now(), processorTime()
		for range runtime.NumCPU() + 1 {
			go func() {
				for time.Since(began) < time.Duration(seconds)*time.Second {
				}
			}()
		}
		time.Sleep(time.Duration(seconds) * time.Second)
		fmt.Fprint(w, int(100*(processorTime()-before)/time.Since(began)))
	})
	fmt.Fprintln(os.Stderr, http.Serve(listener, nil))
}

var eaten [][]byte

func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
