package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// state asks the emperor for the state of a vassal.
func (m *machine) state(name string) string {
	m.t.Helper()
	text, _ := m.order("status", name)
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return words[1]
		}
	}
	return ""
}

func (m *machine) untilState(name, state string) {
	m.t.Helper()
	m.eventually(name+" is "+state, func() bool { return m.state(name) == state })
}

// direct asks a unix socket that speaks HTTP, without the front.
func (m *machine) direct(socket string) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", m.path(socket))
	}}}
	response, err := client.Get("http://site/")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.Status + ", again in " + response.Header.Get("Retry-After"), nil
	}
	text := make([]byte, 100)
	n, _ := response.Body.Read(text)
	return string(text[:n]), nil
}

// TestSleepAndWake: every kind of program starts with the first request, sleeps when
// nobody wants anything, and wakes again; who comes to the socket without the front wakes
// it, too.
func TestSleepAndWake(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.ownTemporary()
	m.write("counter.php", "<?php echo 'release 0 pid ', getmypid();")
	m.write("site/index.php", "<?php echo 'release 0 pid ', getmypid();")
	m.write("pool.conf", strings.ReplaceAll(pool, "LISTEN", "/dev/fd/3"))
	m.vassal("uwsgi", "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\non-demand = true\nidle = 1\ndie-on-idle = true\n")
	m.vassal("raw", "http-socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\nlazy-apps = true\non-demand = true\n")
	m.vassal("gunicorn", "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn webapp:application\non-demand = true\nidle = 1\n")
	m.vassal("node", "chdir = DIR\ncommand = node webapp.js\ncheap = true\nidle = 1\n")
	m.vassal("php", phpVassal+"on-demand = true\nidle = 1\n")
	m.rules(byName + "route-host = ^bysocket$ uwsgi:DIR/uwsgi.sock,0,0\nhttp-to = DIR/uwsgi.sock\n")
	m.start()
	m.waitReady()
	names := []string{"uwsgi", "gunicorn", "node", "php"}
	for _, name := range names {
		if state := m.state(name); state != "asleep" {
			t.Errorf("%s is %s", name, state)
		}
	}
	// (The first router ends when it has been replaced by one that may read the files.)
	m.eventually("only the emperor and a router run", func() bool { return len(m.processes()) == 2 })
	for round := range 2 {
		for _, name := range names {
			mark := m.mark()
			m.page(name+".test", "/")
			m.waitLog(mark, name+": vassal starting", "woken by a request through the front")
			if text, _ := m.order("why", name); round == 0 && !strings.Contains(text, "1s in which nobody wants anything") {
				t.Errorf("why %s:\n%s", name, text)
			}
		}
		for _, name := range names {
			m.untilState(name, "asleep")
		}
	}
	m.page("bysocket", "/")
	m.untilState("uwsgi", "asleep")
	m.page("nobody.example", "/") // http-to
	m.eventually("their processes are gone", func() bool { return m.pidOf("gunicorn") == 0 && m.pidOf("webapp.js") == 0 && m.pidOf("php-fpm") == 0 })

	for _, name := range []string{"gunicorn", "raw"} {
		mark := m.mark()
		text, err := m.direct(name + ".sock")
		if err != nil || !strings.HasPrefix(text, "release 0") {
			t.Errorf("%s without the front: %q, %v", name, text, err)
		}
		m.waitLog(mark, name+": vassal starting", "woken by a connection to")
	}
	m.untilState("raw", "loyal")
	if text, _ := m.order("why", "raw"); !strings.Contains(text, "does not sleep again") {
		t.Errorf("why raw:\n%s", text)
	}
}

// counting is an app that notes each request, and takes a moment to start.
const counting = `
import glob, os, time
time.sleep(1)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/last":
        open(%[1]q + ".%%d" %% os.getpid(), "w").close()
        while len(glob.glob(%[1]q + ".*")) < 2:
            time.sleep(0.01)
    else:
        with open(%[1]q, "ab", 0) as f:
            f.write(b"x")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
`

// TestThousandClientsAtOneSleeper: one start, every request answered, and what was
// refused was not carried out.
func TestThousandClientsAtOneSleeper(t *testing.T) {
	t.Parallel()
	const clients = 1000
	for _, limit := range []int{clients, 100} {
		m := newMachine(t)
		m.put(m.path("app.py"), fmt.Sprintf(counting, m.path("hits")))
		m.rules(fmt.Sprintf("%shttp-hold-vassal = %d\nhttp-hold = %d\n", byName, limit, clients))
		m.vassal("site", "socket = DIR/site.sock\nplugin = python3\nwsgi-file = DIR/app.py\nprocesses = 2\nlisten = 100\ndisable-logging = true\non-demand = true\n")
		m.start()
		m.waitReady()
		var ok, refused atomic.Int64
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				request, _ := http.NewRequest("GET", "http://"+m.address()+"/", nil)
				request.Host = "site.test"
				client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
				response, err := client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				defer response.Body.Close()
				switch {
				case response.StatusCode == 200:
					ok.Add(1)
				case response.StatusCode == 503 && response.Header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					t.Errorf("%s", response.Status)
				}
			})
		}
		all.Wait()
		// Whatever still waits in the sockets is carried out before these: one for each
		// process, which the app keeps until both are there.
		var last sync.WaitGroup
		for range 2 {
			last.Go(func() {
				if status, _, err := m.get("site.test", "/last"); err != nil || status != 200 {
					t.Errorf("one more request: %d, %v", status, err)
				}
			})
		}
		last.Wait()
		hits, _ := os.ReadFile(m.path("hits"))
		if ok.Load()+refused.Load() != clients || int64(len(hits)) != ok.Load() || limit == clients && refused.Load() > 0 {
			t.Errorf("limit %d: %d answered, %d refused, %d carried out", limit, ok.Load(), refused.Load(), len(hits))
		}
		if m.logged("gen=2") {
			t.Error("it was started twice")
		}
		m.stop()
	}
}

// TestWhatKeepsAVassalAwake: a websocket and a slow answer; a file, and the program's
// own word.
func TestWhatKeepsAVassalAwake(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn --worker-class gthread --threads 8 webapp:application\non-demand = true\nidle = 1\nemperor-busy = busy\n")
	m.vassal("uwsgi", "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\nprocesses = 2\non-demand = true\nidle = 1\ndie-on-idle = true\n")
	m.put(m.path("worker.py"), worker)
	m.vassal("worker", "socket = DIR/%n.sock\nchdir = DIR\ncommand = python3 worker.py\non-demand = true\nidle = 1\n")
	m.start()
	m.waitReady()

	sockets := map[string]*websocket{}
	for _, name := range []string{"site", "uwsgi"} {
		w, err := openWebsocket(m.address(), name+".test", "/upgrade")
		if err != nil {
			t.Fatal(err)
		}
		sockets[name] = w
	}
	if text, err := once(m.address(), "site.test", "GET", "/slow?s=4", nil); err != nil || !strings.HasSuffix(text, "done") {
		t.Errorf("an answer that takes longer than idle: %q, %v", text, err)
	}
	for name, w := range sockets {
		if err := w.say("still there"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if state := m.state(name); state == "asleep" {
			t.Errorf("%s sleeps beside a websocket", name)
		}
	}
	m.write("busy", "")
	for _, w := range sockets {
		w.close()
	}
	m.untilState("uwsgi", "asleep")
	m.eventually("the busy file keeps it awake", func() bool {
		text, _ := m.order("why", "site")
		return strings.Contains(text, "it would sleep, but "+m.path("busy")+" is there")
	})
	m.remove("busy")
	m.untilState("site", "asleep")

	m.page("worker.test", "/busy")
	m.eventually("its word keeps it awake", func() bool {
		text, _ := m.order("why", "worker")
		return strings.Contains(text, "it would sleep, but it says that it is busy")
	})
	m.page("worker.test", "/done")
	m.untilState("worker", "asleep")
	if text, _ := m.order("status"); strings.Contains(text, "failed") || m.logged("killed") {
		t.Errorf("status:\n%s", text)
	}
}

// worker says X_BUSY when it is asked to.
const worker = `
import http.server, os, socket, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        say = {"/busy": b"X_BUSY=1", "/done": b"X_BUSY=0"}.get(self.path)
        if say:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
            s.send(say)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def address_string(self): return "client"
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    def __init__(self):
        socketserver.BaseServer.__init__(self, None, Handler)
        self.socket = socket.socket(fileno=3)
    def server_activate(self): pass
    def get_request(self):
        c, _ = self.socket.accept()
        return c, ("client", 0)
Server().serve_forever()
`

// TestSleeperThatDoesNotStart: those who waited are told at once, nobody tries again
// before somebody comes, and a better file is enough.
func TestSleeperThatDoesNotStart(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.rules(byName + "emperor-throttle = 4000\n") // all of them come before the next attempt
	m.vassal("site", "socket = DIR/%n.sock\nchdir = DIR\ncommand = sh -c 'sleep 0.3; echo out of luck; exit 3'\non-demand = true\n")
	m.start()
	m.waitReady()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			response, err := m.ask503("site.test")
			if err != nil || response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
				t.Errorf("%+v, %v", response, err)
			}
		})
	}
	// One that came without the front is told, too.
	all.Go(func() {
		if text, err := m.direct("site.sock"); err != nil || !strings.HasPrefix(text, "503 Service Unavailable, again in ") {
			t.Errorf("without the front: %q, %v", text, err)
		}
	})
	all.Wait()
	if m.logged("gen=2") {
		t.Error("it was tried again while clients waited")
	}
	m.untilState("site", "asleep") // when the pause is over, and not started by itself
	text, _ := m.order("why", "site")
	if !strings.Contains(text, "its last start failed") || !strings.Contains(text, "exit status 3") || !strings.Contains(text, "out of luck") {
		t.Errorf("why:\n%s", text)
	}
	m.vassal("site", "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn webapp:application\non-demand = true\n")
	m.eventually("the better file starts when somebody comes", func() bool {
		status, _, err := m.get("site.test", "/")
		return err == nil && status == 200
	})
}

// ask503 is get for the head of an answer.
func (m *machine) ask503(host string) (*http.Response, error) {
	request, err := http.NewRequest("GET", "http://"+m.address()+"/", nil)
	if err != nil {
		return nil, err
	}
	request.Host = host
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

// TestChangesWhileAsleep: edits, orders, signals and ends of others do not wake it, and
// count when it wakes.
func TestChangesWhileAsleep(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	site := "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn webapp:application\non-demand = true\n"
	m.vassal("site", site)
	m.start()
	m.waitReady()
	asleep := func(after string) {
		t.Helper()
		if state := m.state("site"); state != "asleep" || m.logged("site: vassal starting") {
			t.Errorf("after %s it is %s", after, state)
		}
	}

	// A file with mistakes is refused while it sleeps, and a better one is taken.
	mark := m.mark()
	m.vassal("site", site+"processes = many\n")
	m.waitLog(mark, "site: ", "the file has mistakes", "it sleeps on")
	asleep("an edit with a mistake")
	if text, _ := m.order("why", "site"); !strings.Contains(text, "processes") {
		t.Errorf("why:\n%s", text)
	}
	mark = m.mark()
	m.vassal("site", site+"env = EDITED=1\n")
	m.waitLog(mark, "site: vassal asleep")
	asleep("an edit")
	if text, _ := m.ask("plan", "uwsgi.ini", "--control", m.path("control.sock")); !strings.Contains(text, "asleep") {
		t.Errorf("plan:\n%s", text)
	}
	if text, _ := m.ask("check", "uwsgi.ini", "--control", m.path("control.sock")); !strings.Contains(text, "on demand: on-demand (site.ini:5)") {
		t.Errorf("check:\n%s", text)
	}

	if text, code := m.order("reload", "site"); code != 0 || !strings.Contains(text, "asleep") {
		t.Errorf("reload: %s, exit %d", text, code)
	}
	asleep("a reload")
	mark = m.mark()
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "the main file was read")
	asleep("SIGHUP")

	// The router dies, and its successor knows who sleeps.
	mark = m.mark()
	if err := syscall.Kill(m.pidOf("router --link"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "the router is back")
	asleep("the router's end")
	m.page("site.test", "/")
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", m.answering("site.test"))); err != nil || !strings.Contains(string(env), "EDITED=1") {
		t.Errorf("the edit did not count: %v", err)
	}
	for _, test := range []struct{ order, state string }{{"stop", "stopped"}, {"start", "ready"}, {"restart", "ready"}} {
		if text, code := m.order(test.order, "site"); code != 0 || !strings.Contains(text, test.state) && !strings.Contains(text, "loyal") {
			t.Errorf("%s: %s, exit %d", test.order, text, code)
		}
	}

	// A whole emperor ends, and the next begins with it asleep.
	m.stop()
	m.start()
	m.untilState("site", "asleep")
	m.page("site.test", "/")
	// A line less, and it does not sleep any more.
	mark = m.mark()
	m.vassal("site", strings.ReplaceAll(site, "on-demand = true\n", ""))
	m.waitLog(mark, "site: vassal ready", "gen=2")
}

// TestOnDemandWaysOfUWSGI: the three options of uWSGI's emperor, with files that say
// nothing of their socket.
func TestOnDemandWaysOfUWSGI(t *testing.T) {
	t.Parallel()
	site := "plugin = python3\nchdir = DIR\nprotocol = http\nwsgi-file = DIR/webapp.py\nidle = 1\ndie-on-idle = true\n"
	for _, test := range []struct{ name, option, socket string }{
		{"extension", "emperor-on-demand-extension = .od", "ext.sock"},
		{"directory", "emperor-on-demand-directory = DIR", "site.socket"},
		{"exec", "emperor-on-demand-exec = DIR/od.sh", "exec.sock"},
	} {
		m := sitesMachine(t)
		m.rules(test.option + "\n" + byName)
		m.vassal("site", site)
		m.write("vassals.d/site.ini.od", "DIR/ext.sock\nmore\n")
		m.write("od.sh", "#!/bin/sh\necho \"$1\" >> DIR/asked\ncase $1 in *site.ini) echo DIR/exec.sock;; esac\n")
		if err := os.Chmod(m.path("od.sh"), 0o755); err != nil {
			t.Fatal(err)
		}
		if test.name == "exec" {
			// The name of a file is no part of the command.
			m.vassal("x$(touch PWNED)", "socket = DIR/x.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\n")
		}
		m.start()
		m.waitReady()
		if state := m.state("site"); state != "asleep" {
			t.Errorf("%s: it is %s", test.name, state)
		}
		if text, code := m.ask("check", "uwsgi.ini", "--control", m.path("control.sock")); code != 0 {
			t.Errorf("%s: check:\n%s", test.name, text)
		}
		if text, _ := m.ask("plan", "uwsgi.ini", "--control", m.path("control.sock")); !strings.Contains(text, "keep") || strings.Contains(text, "reload") || strings.Contains(text, "start ") {
			t.Errorf("%s: plan:\n%s", test.name, text)
		}
		if info, err := os.Stat(m.path(test.socket)); err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("%s: %v, %v", test.name, info, err)
		}
		if text, err := m.direct(test.socket); err != nil || !strings.HasPrefix(text, "release 0") {
			t.Errorf("%s: %q, %v", test.name, text, err)
		}
		m.untilState("site", "asleep")
		m.page("site.test", "/")
		if test.name == "extension" {
			// Without it the file has no socket, which is said; with it again, it goes on.
			mark := m.mark()
			m.remove("vassals.d/site.ini.od")
			m.waitLog(mark, "site: ", "no socket")
		}
		m.stop()
		if found, _ := filepath.Glob(m.path("vassals.d/PWNED")); found != nil {
			t.Error("the name of a file was carried out")
		}
		if _, err := os.Stat(m.path("PWNED")); err == nil {
			t.Error("the name of a file was carried out")
		}
	}
}

// TestSlowToBeKnown: the front opens although the program that knows a site's socket has
// not answered, nobody waits for that but who wants this site, and who does is not told
// that there is none.
func TestSlowToBeKnown(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.rules("emperor-on-demand-exec = DIR/od.sh\n" + byName)
	m.write("od.sh", "#!/bin/sh\ncase $1 in *slow.ini) while [ ! -e DIR/go ]; do sleep 0.05; done; echo DIR/slow.sock;; *) echo DIR/quick.sock;; esac\n")
	if err := os.Chmod(m.path("od.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"quick", "slow"} {
		m.vassal(name, "plugin = python3\nchdir = DIR\nprotocol = http\nwsgi-file = DIR/webapp.py\n")
	}
	m.start()
	m.waitLog(0, "listening")
	slow := make(chan string)
	go func() {
		status, body, err := m.get("slow.test", "/")
		slow <- fmt.Sprint(status, " ", body, err)
	}()
	m.page("quick.test", "/") // which has to be started: the other request has come long before
	select {
	case got := <-slow:
		t.Errorf("slow.test, before it is known: %s", got)
		return
	default:
	}
	m.put(m.path("go"), "")
	if got := <-slow; !strings.HasPrefix(got, "200 release 0") {
		t.Errorf("slow.test: %s", got)
	}
}

// TestSleeperThatHasAnnouncedItself: who sleeps does not announce itself, and is not
// forgotten for that.
func TestSleeperThatHasAnnouncedItself(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	server := "127.0.0.1:" + testport.Free(t)
	m.rules("http-subscription-server = " + server + "\nsubscription-tolerance = 3\n")
	m.vassal("site", "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\nsubscribe-to = "+server+":site.test\nsubscribe-freq = 1\nidle = 2\ndie-on-idle = true\n")
	m.start()
	m.untilRelease("site.test", "0")
	m.untilState("site", "asleep")
	m.waitLog(0, "goodbye to uWSGI") // the last that it could say
	for range 2 {
		m.page("site.test", "/")
		m.untilState("site", "asleep")
	}
}
