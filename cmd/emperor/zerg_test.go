package main

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// zergPool is a real uWSGI that listens at two ports and hands both to whoever asks.
func (m *machine) zergPool(path, first, second string) *exec.Cmd {
	m.t.Helper()
	pool := exec.Command("uwsgi", "--plugin", "zergpool", "--master", "--die-on-term",
		"--zerg-pool", fmt.Sprintf("%s:127.0.0.1:%s,127.0.0.1:%s", path, first, second))
	pool.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := pool.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { m.end(pool) })
	m.eventually("the zerg pool", func() bool {
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return pool
}

// TestSocketsOfAZergServer: the front listens at what a real uWSGI hands over, and keeps
// it over an edit, a new router, and the end of that uWSGI; without the line it is given
// up.
func TestSocketsOfAZergServer(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	second := testport.Free(t)
	main := "[uwsgi]\nhttp-zerg = DIR/pool.sock\n"
	m.write("main.ini", main+"route-run = return:200\n")
	if text, code := m.ask("check", "main.ini"); code == 0 || !strings.Contains(text, "main.ini:2: http-zerg: ") || !strings.Contains(text, "want a uWSGI that runs with zerg-server = "+m.path("pool.sock")) {
		t.Errorf("check without a server: %d\n%s", code, text)
	}
	m.start("main.ini")
	if code := m.waitExit(); code == 0 || !m.logged("main.ini:2: http-zerg", "want a uWSGI that runs with zerg-server") {
		t.Errorf("a start without a server: exit %d", code)
	}
	m.command = nil

	pool := m.zergPool(m.path("pool.sock"), m.port, second)
	if text, code := m.ask("check", "main.ini"); code != 0 {
		t.Errorf("check: %d\n%s", code, text)
	}
	mark := m.mark()
	m.start("main.ini")
	m.waitLog(mark, " ready")
	answers := func(want int) {
		t.Helper()
		for _, port := range []string{m.port, second} {
			first := m.port
			m.port = port
			m.eventually(fmt.Sprintf("port %s answers %d", port, want), func() bool {
				status, _, err := m.get("any.test", "/")
				return err == nil && status == want
			})
			m.port = first
		}
	}
	answers(200)
	m.end(pool)
	answers(200)
	mark = m.mark()
	m.write("main.ini", main+"route-run = return:404\n")
	m.waitLog(mark, "the main file was applied")
	answers(404)
	mark = m.mark()
	if err := syscall.Kill(m.pidOf("router --link"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "the router is back")
	answers(404)
	if text, code := m.order("status"); code != 0 || !strings.Contains(text, "http-zerg = "+m.path("pool.sock")) {
		t.Errorf("status: %d\n%s", code, text)
	}

	mark = m.mark()
	third := testport.Free(t)
	m.write("main.ini", "[uwsgi]\nhttp = 127.0.0.1:"+third+"\nroute-run = return:200\n")
	m.waitLog(mark, "not listening any more", "http-zerg")
	for _, port := range []string{m.port, second} {
		m.eventually("nobody listens at "+port, func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
	}
	m.stop()
}
