package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
)

// slowly asks for a page that takes that many seconds, and tells when its first
// byte has come.
func slowly(m *machine, host, seconds string) (begun <-chan struct{}, result <-chan string) {
	started, done := make(chan struct{}), make(chan string, 1)
	go func() { // ends with the answer
		request, _ := http.NewRequest(http.MethodGet, "http://"+m.address()+"/slow?s="+seconds, nil)
		request.Host = host
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			close(started)
			done <- err.Error()
			return
		}
		defer response.Body.Close()
		close(started)
		var text strings.Builder
		buffer := make([]byte, 512)
		for {
			n, err := response.Body.Read(buffer)
			text.Write(buffer[:n])
			if err != nil {
				if err.Error() != "EOF" {
					text.WriteString(" error: " + err.Error())
				}
				done <- text.String()
				return
			}
		}
	}()
	return started, done
}

func TestRequestsUnderWayAreFinishedBeforeTheEnd(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	begun, result := slowly(m, "shop.example.com", "3")
	<-begun
	mark := m.mark()
	m.signal(syscall.SIGTERM)
	m.waitLog(mark, "stopping")
	if got := <-result; strings.Contains(got, "error") || got == "" {
		t.Errorf("the request got %q", got)
	}
	if code := m.waitExit(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestSignalsThatDoNotEndIt(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGALRM, syscall.SIGHUP} {
		m.signal(s)
	}
	m.waitLog(0, "shop: status", "state=ready")
	m.waitLog(0, "nothing to change")
	m.page("shop.example.com", "/")
	if m.logged("gen=2") {
		t.Error("a signal restarted a vassal")
	}
}

func TestEverythingOnTheCommandLine(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start("--emperor", "vassals.d/*.ini", "--vassal-set=env=LANG=C.UTF-8", "--http", ":"+m.port, "--route-host", `^([-\w]+)\.example\.com$ vassal:$1`)
	m.waitReady()
	m.page("shop.example.com", "/")
}

// notifySocket is a service manager's end of sd_notify.
func notifySocket(t *testing.T, path string) (wait func(prefix string)) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan string, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				close(messages)
				return
			}
			messages <- string(buffer[:n])
		}
	})
	t.Cleanup(func() { conn.Close(); reading.Wait() })
	return func(prefix string) {
		t.Helper()
		timeout := time.After(patience)
		for {
			select {
			case m := <-messages:
				if strings.HasPrefix(m, prefix) {
					return
				}
			case <-timeout:
				t.Fatalf("the service manager was not sent %s", prefix)
			}
		}
	}
}

func TestSystemdHandsOverTheFrontAndIsToldOfItsLife(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.write("uwsgi.ini", strings.Replace(issueMain, ":PORT", "fd://web", 1))
	told := notifySocket(t, m.path("notify.sock"))
	first, second := m.port, testport.Free(t) // a unit with two ListenStream= gives both its name
	m.run(exec.Command("systemd-socket-activate", "--listen=127.0.0.1:"+first, "--listen=127.0.0.1:"+second, "--fdname=web:web",
		"-E", "NOTIFY_SOCKET="+m.path("notify.sock"), "-E", "WATCHDOG_USEC=1000000", "-E", "EMPEROR_TEST="+m.dir,
		emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock")))
	m.waitLog(0, "Listening on")
	// This request starts the emperor, and waits until its site runs.
	m.page("shop.example.com", "/")
	m.port = second
	m.page("shop.example.com", "/")
	m.port = first
	told("STATUS=2 vassals: 2 ready")
	told("READY=1")
	told("WATCHDOG=1")
	m.signal(syscall.SIGHUP)
	told("RELOADING=1")
	told("READY=1")
	for pid, words := range m.processes() {
		if strings.Contains(words, "uwsgi.ini") {
			continue // the emperor itself
		}
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		for _, name := range []string{"NOTIFY_SOCKET=" + m.path("notify.sock"), "WATCHDOG_USEC=", "LISTEN_FDS="} {
			if strings.Contains(string(environment), name) {
				t.Errorf("%s has %s", words, name)
			}
		}
	}
	m.stop()
	told("STOPPING=1")
}

func TestWithoutPrivileges(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("every test runs without privileges here")
		return
	}
	m := uwsgiMachine(t)
	if err := os.Chmod(m.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(emperorBinary(t), "uwsgi.ini", "--control", m.path("control.sock"))
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	m.run(command)
	m.waitReady()
	m.page("shop.example.com", "/")
	m.touch("vassals.d/shop.ini")
	m.waitLog(0, "shop: ", "ready", "gen=2")
	m.page("shop.example.com", "/")
	m.stop()
}
