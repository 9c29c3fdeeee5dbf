package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// node is a uWSGI that somebody else has started: the emperor knows its address only.
func (m *machine) node(address string) *exec.Cmd {
	m.t.Helper()
	node := exec.Command("uwsgi", "--plugin", "python3", "--master", "--chdir", m.dir, "--wsgi-file", m.path("webapp.py"), "--processes", "2",
		"--socket", address, "--chmod-socket=666", "--disable-logging", "--die-on-term", "--listen", "100")
	node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := node.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { m.end(node) })
	network := "unix"
	if !strings.HasPrefix(address, "/") {
		network = "tcp"
	}
	m.eventually("the node listens at "+address, func() bool {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return node
}

// end kills a node with its workers.
func (m *machine) end(node *exec.Cmd) {
	if node.ProcessState == nil {
		_ = syscall.Kill(-node.Process.Pid, syscall.SIGKILL)
		_ = node.Wait()
	}
}

// TestStandaloneRouter: the front alone, on several addresses, with several nodes of
// both kinds. Some are not there, one goes: no request fails for it.
func TestStandaloneRouter(t *testing.T) {
	t.Parallel()
	m := appMachine(t)
	second, port, dead := testport.Free(t), testport.Free(t), testport.Free(t)
	m.write("uwsgi.ini", fmt.Sprintf(`[uwsgi]
http = 0.0.0.0:PORT
http = 127.0.0.1:%s
http = DIR/front.sock
master = true
http-to = DIR/node.sock
http-to = 127.0.0.1:%s
http-to = DIR/missing.sock
http-to = 127.0.0.1:%s
`, second, port, dead))
	m.node(m.path("node.sock"))
	byPort := m.node("127.0.0.1:" + port)
	if out, code := m.ask("check", "uwsgi.ini"); code != 0 || !strings.Contains(out, "the front alone") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	m.start()
	visitors := m.visitors("any.test")
	m.eventually("a thousand requests are answered", func() bool { return visitors.requests.Load() > 1000 })
	report(t, visitors, "two nodes that are there and two that are not")

	seen := map[int]bool{}
	m.eventually("all workers have answered", func() bool {
		seen[m.answering("any.test")] = true
		return len(seen) == 4
	})
	first := m.port
	m.port = second
	m.page("any.test", "/")
	m.port = first
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", m.path("front.sock")) }}}
	response, err := client.Get("http://any.test/")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("by the unix socket: %v, %v", response, err)
	} else {
		response.Body.Close()
	}
	client.CloseIdleConnections()

	// What a node holds when it is killed is lost with it, so nothing is under way.
	m.end(byPort)
	m.eventually("its workers are gone, too", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	visitors = m.visitors("any.test")
	m.eventually("some hundred more are answered", func() bool { return visitors.requests.Load() > 500 })
	report(t, visitors, "one node gone")
	m.stop()
}

// TestVassalsThatSpeakHTTP: a uWSGI with sockets for HTTP is reached by its name and
// by its address, and replaced like any other.
func TestVassalsThatSpeakHTTP(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	port := testport.Free(t)
	m.rules(fmt.Sprintf("route-host = ^address\\.test$ http:127.0.0.1:%s\nroute-host = ^path\\.test$ http:DIR/path.sock\n", port) + byName)
	app := "plugin = python3\nmaster = true\nprocesses = 2\nchdir = DIR\nwsgi-file = DIR/webapp.py\ndisable-logging = true\n"
	m.vassal("path", app+"http11-socket = DIR/path.sock\n")
	m.vassal("port", app+"http11-socket = 127.0.0.1:"+port+"\n")
	m.vassal("plain", app+"http-socket = DIR/plain.sock\n")
	m.start()
	for host, name := range map[string]string{"path.test": "path", "port.test": "port", "address.test": "port", "plain.test": "plain"} {
		t.Run(host, func(t *testing.T) {
			visitors := m.visitors(host)
			before := m.answering(host)
			m.touch("vassals.d/" + name + ".ini")
			m.untilGone(before)
			report(t, visitors, "a deploy")
		})
	}
	for name, socket := range map[string]string{"port": "http:127.0.0.1:" + port, "plain": "http:" + m.path("plain.sock")} {
		if out, code := m.order("why", name); code != 0 || !strings.Contains(out, socket) {
			t.Errorf("why %s: exit %d\n%s", name, code, out)
		}
	}
	m.stop()
}

// TestFrontAloneSaysThatNothingIsBehindIt: a file that lost its app is nearly one.
func TestFrontAloneSaysThatNothingIsBehindIt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("app.ini", "[uwsgi]\nhttp = 127.0.0.1:PORT\nmaster = true\n")
	m.startApp("app.ini")
	m.waitLog(0, "app.ini:2: http: nothing is behind it")
	m.waitLog(0, "listening")
	if status, _, err := m.get("any.test", "/"); err != nil || status != http.StatusNotFound {
		t.Errorf("it answers %d, %v", status, err)
	}
	m.stop()
}
