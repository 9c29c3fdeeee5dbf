package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// loneUWSGI starts a uWSGI that nobody supervises, on the socket alone.sock.
func (m *machine) loneUWSGI() {
	m.t.Helper()
	command := exec.Command("uwsgi", "--plugin", "python3", "--socket", m.path("alone.sock"), "--wsgi-file", "webapp.py",
		"--processes", "2", "--disable-logging", "--master", "--die-on-term", "--chmod-socket=666")
	command.Dir = m.dir
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	m.eventually("uWSGI listens", func() bool {
		conn, err := net.Dial("unix", m.path("alone.sock"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// TestRouterAlone: the front of a file, without an emperor. HUP reads the file
// again, TERM finishes what is under way.
func TestRouterAlone(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.loneUWSGI()
	const rule = "route-host = ^site\\.test$ uwsgi:DIR/alone.sock,0,0\n"
	front := func(text string) {
		m.write("router.ini", "[uwsgi]\nhttp = :PORT\nhttp = DIR/front.sock\n"+text)
	}
	front(rule)
	start := func() {
		m.run(exec.Command(emperorBinary(t), "router", "router.ini"))
		m.waitLog(m.mark(), "listening", "front.sock")
	}
	start()
	l := m.visitors("site.test")
	socket, err := openWebsocket(m.address(), "site.test", "/upgrade")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.close()

	second := testport.Free(t)
	mark := m.mark()
	// A line that makes a file an app's says nothing where no app is run.
	front(rule + "route-host = ^no\\.test$ return:403\nstatic-map = /=/srv\nhttp = 127.0.0.1:" + second + "\n")
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "the file was applied")
	m.waitLog(mark, "listening", second)
	if status, _, err := m.get("no.test", "/"); err != nil || status != http.StatusForbidden {
		t.Errorf("the new rule: %d, %v", status, err)
	}
	mark = m.mark()
	front(rule + "route-host = ( return:403\n")
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "error", "router.ini:5: route-host:")
	m.waitLog(mark, "the file was not applied")
	front(rule)
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "not listening any more", second)
	if err := socket.say("still here"); err != nil {
		t.Errorf("the websocket: %v", err)
	}
	report(t, l, "changes of the router's file")
	socket.close()

	begun, result := slowly(m, "site.test", "3")
	<-begun
	m.signal(syscall.SIGTERM)
	if got := <-result; !strings.HasSuffix(got, "done") {
		t.Errorf("the request under way ended with %q", got)
	}
	if code := m.waitExit(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if _, err := os.Lstat(m.path("front.sock")); !os.IsNotExist(err) {
		t.Errorf("its socket is left: %v", err)
	}

	// Killed, it leaves its socket's file; the next one is not disturbed by it.
	start()
	m.signal(syscall.SIGKILL)
	m.waitExit()
	start()
	m.page("site.test", "/")
}

func TestRouterAloneWithMistakes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, test := range []struct {
		text, want string
		code       int
	}{
		{"route-run = return:200", "router.ini: no http line says where to listen", 2},
		{"http = 8080", "router.ini:2: http:", 2},
		{"http = :PORT\nroute-host = ( return:200", "router.ini:3: route-host:", 2},
		{"http = 192.0.2.1:80\nroute-run = return:200", "router.ini:2: http = 192.0.2.1:80:", 1},
	} {
		m.write("router.ini", "[uwsgi]\n"+test.text+"\n")
		out, code := m.ask("router", "router.ini")
		if code != test.code || !strings.Contains(out, test.want) || strings.Contains(out, "emperor: \n") {
			t.Errorf("%q: exit %d\n%s", test.text, code, out)
		}
	}
	for _, name := range []string{"router.yaml", "router.xml", "router.json"} {
		m.write(name, "uwsgi:\n  http: :PORT\n")
		for _, words := range [][]string{{"router", name}, {"check", name}, {name}, {"--ini", name}} {
			if out, code := m.ask(words...); code == 0 || strings.Count(strings.TrimSpace(out), "\n") > 1 || !strings.Contains(out, "ini file") && !strings.Contains(out, name+":") {
				t.Errorf("%q: exit %d\n%s", words, code, out)
			}
		}
	}
}
