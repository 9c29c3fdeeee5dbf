package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// commandMain and commandSite are the smallest emperor with sites.
const (
	commandMain = `[uwsgi]
emperor = %dvassals.d/*.ini
http = 127.0.0.1:PORT
route-host = ^([-\w]+)\.example\.com$ vassal:$1
`
	commandSite = `[uwsgi]
socket = DIR/%n.sock
command = python3 DIR/site.py
`
	commandProgram = `import os, socket
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "3"); self.end_headers(); self.wfile.write(b"hi\n")
    def address_string(self): return "x"
class Server(HTTPServer):
    address_family = socket.AF_UNIX
    def server_bind(self): self.server_name, self.server_port = "x", 0
server = Server("x", Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
`
)

func commandMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.write("uwsgi.ini", commandMain)
	m.write("site.py", commandProgram)
	m.write("vassals.d/shop.ini", commandSite)
	m.write("vassals.d/blog.ini", commandSite)
	return m
}

// An emperor that is stopped, and what is left of one that was killed.
func TestAskingAnEmperorThatCannotAnswer(t *testing.T) {
	t.Parallel()
	m := commandMachine(t)
	m.start()
	m.waitReady()
	m.signal(syscall.SIGSTOP)
	for _, words := range [][]string{{"status"}, {"why", "shop"}, {"logs", "-f", "shop"}, {"reload", "shop"}} {
		out, code := m.order(append(words, "--timeout", "0.2")...)
		if code != exitFailed || !strings.Contains(out, "the emperor at "+m.path("control.sock")+" has not answered within 200ms: it may hang, or be stopped (process ") {
			t.Errorf("%s of a stopped emperor: exit %d\n%s", words, code, out)
		}
	}
	// What it has may be its own: that is no mistake.
	if out, code := m.ask("check", "uwsgi.ini", "--control="+m.path("control.sock")); code != exitFine || !strings.Contains(out, "uwsgi.ini:3: warning: http: somebody listens on 127.0.0.1:") ||
		!strings.Contains(out, "the emperor that runs could not be asked what it has: the emperor at ") {
		t.Errorf("check beside a stopped emperor: exit %d\n%s", code, out)
	}
	if out, code := m.ask("plan", "uwsgi.ini", "--control="+m.path("control.sock")); code != exitFailed || !strings.Contains(out, "what runs can not be asked: the emperor at ") {
		t.Errorf("plan beside a stopped emperor: exit %d\n%s", code, out)
	}
	m.signal(syscall.SIGCONT)
	if out, code := m.order("status"); code != exitFine || !strings.Contains(out, "shop") {
		t.Errorf("status of one that goes on: exit %d\n%s", code, out)
	}

	if os.Geteuid() == 0 {
		command := exec.Command(emperorBinary(t), "status", "--control", m.path("control.sock"))
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "only root and the emperor's own user may talk to it, you are user 65534") {
			t.Errorf("status for another user: %v\n%s", err, out)
		}
	}

	m.signal(syscall.SIGKILL)
	m.waitExit()
	if out, code := m.order("status"); code != exitFailed || !strings.Contains(out, "no emperor answers at "+m.path("control.sock")+": the socket is left over from one that has ended") {
		t.Errorf("status of a killed emperor: exit %d\n%s", code, out)
	}
	if out, code := m.ask("status", "--control", m.path("uwsgi.ini")); code != exitFailed || !strings.Contains(out, "is not a socket") {
		t.Errorf("status of a file: exit %d\n%s", code, out)
	}
	for _, words := range [][]string{{"status", "--timeout", "soon"}, {"status", "--timeout=0"}, {"status", "--timeout"}, {"status", "--control"}} {
		if out, code := m.ask(words...); code != exitUsage {
			t.Errorf("%s: exit %d\n%s", words, code, out)
		}
	}
}

// What runs is not in its own way, and a plan tells what would become of it.
func TestCheckAndPlanBesideARunningEmperor(t *testing.T) {
	t.Parallel()
	m := commandMachine(t)
	if out, code := m.ask("plan", "uwsgi.ini", "--control", m.path("control.sock")); code != exitFine ||
		!strings.Contains(out, "everything would start: no emperor answers at ") || !strings.Contains(out, "2 to start") {
		t.Errorf("plan before the start: exit %d\n%s", code, out)
	}
	m.start()
	m.waitReady()
	control := "--control=" + m.path("control.sock")
	if out, code := m.ask("check", "uwsgi.ini", control); code != exitFine || !strings.Contains(out, "\nno mistakes\n") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	if out, code := m.ask("plan", "uwsgi.ini", control); code != exitFine || !strings.Contains(out, "2 to keep\n") || !strings.Contains(out, "front: no change") {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	m.write("next.ini", commandMain+"vassal-set = env=A=1\nroute-host = ^a$ vassal:shop\n")
	if out, code := m.ask("plan", "next.ini", control); code != exitFine || !strings.Contains(out, "2 to reload\n") || !strings.Contains(out, "front: its rules or options change") {
		t.Errorf("plan of another main file: exit %d\n%s", code, out)
	}
	if out, code := m.ask("plan", "next.ini", "--json", control); code != exitFine || !strings.Contains(out, `"action": "reload"`) {
		t.Errorf("plan for machines: exit %d\n%s", code, out)
	}
	m.write("broken.ini", commandMain+"route-host = ( vassal:shop\n")
	if out, code := m.ask("plan", "broken.ini", control); code != exitFailed || !strings.Contains(out, "broken.ini:5: route-host:") {
		t.Errorf("plan of a main file with a mistake: exit %d\n%s", code, out)
	}
	if m.logged("gen=2") {
		t.Error("a plan has reloaded something")
	}
	// A second emperor would find everything taken.
	out, code := m.ask("check", "uwsgi.ini", "--control="+m.path("another.sock"))
	if code != exitFine || !strings.Contains(out, "uwsgi.ini:3: warning: http: another emperor (process ") || !strings.Contains(out, "shop.ini:2: warning: socket: another emperor (process ") {
		t.Errorf("check for another emperor: exit %d\n%s", code, out)
	}
}

func TestExplainNamesTheNearVassal(t *testing.T) {
	d := newDesk(t)
	d.write("v/shop2.ini", "[uwsgi]\nsocket = DIR/run/%n.sock\ncommand = DIR/serve\n")
	d.write("v/bad.ini", "[uwsgi]\ncommand = '\n")
	for url, want := range map[string]string{
		"shop.example.com":  "a socket of no vassal\n           (vassal shop2 has DIR/run/shop2.sock)\n",
		"wiki.example.com":  "a socket of no vassal\n           (there is shop2.sock (vassal shop2))\n",
		"shop2.example.com": "vassal shop2\n",
		"bad.example.com":   "(bad has a mistake in its file, see emperor check)\n",
	} {
		var out strings.Builder
		if err := runExplain([]string{"main.ini", url}, &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), d.fill(want)) {
			t.Errorf("%s:\n%s\nwant %s", url, out.String(), d.fill(want))
		}
	}
}

func TestCheckAndPlanOfOneApp(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("site.py", commandProgram)
	m.write("uwsgi.ini", "[uwsgi]\nhttp = 127.0.0.1:PORT\ncommand = python3 DIR/site.py\n")
	m.start()
	m.waitReady()
	control := "--control=" + m.path("control.sock")
	if out, code := m.ask("check", "uwsgi.ini", control); code != exitFine || !strings.Contains(out, "\nno mistakes\n") || !strings.Contains(out, "app  command") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	if out, code := m.ask("plan", "uwsgi.ini", control); code != exitFine || !strings.Contains(out, "keep  app  ready, generation 1") {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	m.write("next.ini", "[uwsgi]\nhttp = 127.0.0.1:PORT\ncommand = python3 DIR/nosuch.py\n")
	if out, code := m.ask("plan", "next.ini", control); code != exitFine || !strings.Contains(out, "reload  app  another file has its name") {
		t.Errorf("plan of another app: exit %d\n%s", code, out)
	}
	if out, code := m.ask("check", "next.ini", control); code != exitFine || !strings.Contains(out, "next.ini:3: warning: command: "+m.path("nosuch.py")+": there is no") {
		t.Errorf("check of another app: exit %d\n%s", code, out)
	}
}
