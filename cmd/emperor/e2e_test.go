package main

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// issueMain is the configuration with which users of uWSGI come, on a port of its
// own and with sockets in the test's folder.
const issueMain = `[uwsgi]
emperor    = %dvassals.d/*.ini
vassal-set = env=LANG=C.UTF-8
# HTTP listener on port 8080
http       = :PORT
route-host = ^www\.example\.com$ uwsgi:DIR/uwsgi_example_vassal.sock,0,0
route-host = ^([-\w]+)\.example\.com$ uwsgi:DIR/uwsgi_$1.sock,0,0
`

// pythonSite is a vassal of a real uWSGI with a Python app.
const pythonSite = `[uwsgi]
socket    = DIR/uwsgi_%n.sock
plugin    = python3
master    = true
processes = 2
wsgi-file = DIR/app/webapp.py
`

// uwsgiMachine has the main file above and two sites.
func uwsgiMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.copyFile("testdata/apps/webapp.py", "app/webapp.py")
	m.write("app/RELEASE", "one\n")
	m.write("uwsgi.ini", issueMain)
	m.write("vassals.d/example_vassal.ini", pythonSite)
	m.write("vassals.d/shop.ini", pythonSite)
	return m
}

func TestMainFileOfUWSGIRunsUnchanged(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	for _, host := range []string{"www.example.com", "shop.example.com", "SHOP.Example.COM."} {
		if body := m.page(host, "/"); !strings.HasPrefix(body, "release one") {
			t.Errorf("%s: %q", host, body)
		}
	}
	if status, body, err := m.get("www.example.org", "/"); err != nil || status != http.StatusNotFound {
		t.Errorf("a host without a rule: %d %q, %v", status, body, err)
	}

	// A deploy: the new release answers, and nothing else was touched.
	other := m.page("www.example.com", "/")
	mark := m.mark()
	m.write("app/RELEASE", "two\n")
	m.touch("vassals.d/shop.ini")
	m.waitLog(mark, "shop: ", "ready")
	m.eventually("the new release answers", func() bool { return strings.HasPrefix(m.page("shop.example.com", "/"), "release two") })
	if strings.HasPrefix(other, "release two") || m.logged("example_vassal: ", "gen=2") {
		t.Error("the other site was deployed too")
	}

	// A new site, and one that goes.
	mark = m.mark()
	m.write("vassals.d/blog.ini", pythonSite)
	m.waitLog(mark, "blog: ", "ready")
	if body := m.page("blog.example.com", "/"); !strings.HasPrefix(body, "release two") {
		t.Errorf("the new site: %q", body)
	}
	m.remove("vassals.d/blog.ini")
	m.eventually("the site is gone", func() bool {
		status, _, err := m.get("blog.example.com", "/")
		return err == nil && status != http.StatusOK
	})
	m.stop()
}

func TestMainFileIsAppliedWhenItIsEdited(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	mark := m.mark()
	m.write("uwsgi.ini", issueMain+"route-host = ^shop\\.example\\.org$ vassal:shop\n")
	m.waitLog(mark, "the main file was applied", "front")
	m.page("shop.example.org", "/")

	mark = m.mark()
	m.write("uwsgi.ini", issueMain+"route-host = ( vassal:shop\n")
	m.waitLog(mark, "uwsgi.ini:8: route-host:")
	m.waitLog(mark, "the main file was not applied")
	m.page("shop.example.org", "/")
	if out, _ := m.order("status"); !strings.Contains(out, "uwsgi.ini:8") {
		t.Errorf("the status does not show the mistake:\n%s", out)
	}

	// A second listener comes and goes; the first one stays open all the time.
	second := testport.Free(t)
	mark = m.mark()
	m.write("uwsgi.ini", issueMain+"http = 127.0.0.1:"+second+"\n")
	m.waitLog(mark, "listening", second)
	first := m.port
	m.port = second
	m.page("shop.example.com", "/")
	m.port = first
	mark = m.mark()
	m.write("uwsgi.ini", issueMain)
	m.waitLog(mark, "not listening any more", second)
	m.page("shop.example.com", "/")

	// vassal-set reaches the vassals.
	mark = m.mark()
	m.write("uwsgi.ini", strings.Replace(issueMain, "LANG=C.UTF-8", "LANG=C", 1))
	m.waitLog(mark, "shop: ", "ready")
	if m.logged("the router ended unexpectedly") {
		t.Error("the router was lost on the way")
	}
}

func TestKilledRouterComesBack(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	before := m.page("shop.example.com", "/")
	for range 3 {
		mark := m.mark()
		pid := m.pidOf("router --link")
		if pid == 0 {
			t.Fatal("there is no router")
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		m.waitLog(mark, "the router ended unexpectedly", "SIGKILL")
		// The port was open all the time: this request waits for the next router.
		m.page("shop.example.com", "/")
		m.waitLog(mark, "the router is back") // the emperor may learn later than a client that it is
	}
	if after := m.page("shop.example.com", "/"); strings.Fields(after)[1] != strings.Fields(before)[1] {
		t.Errorf("%q became %q", before, after)
	}
	if m.logged("shop: ", "gen=2") {
		t.Error("the vassal was restarted with the router")
	}
}

// A SIGTERM that reaches the router alone: its requests under way are finished
// while its successor has the port already.
func TestRouterThatIsTermed(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	begun, result := slowly(m, "shop.example.com", "3")
	<-begun
	mark := m.mark()
	if err := syscall.Kill(m.pidOf("router --link"), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "the router is back")
	m.page("shop.example.com", "/")
	if got := <-result; strings.Contains(got, "error") || got == "" {
		t.Errorf("the request under way got %q", got)
	}
	m.eventually("one router is left", func() bool {
		routers := 0
		for _, words := range m.processes() {
			if strings.Contains(words, "router --link") {
				routers++
			}
		}
		return routers == 1
	})
}

func TestKilledEmperorLeavesNothing(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start()
	m.waitReady()
	m.signal(syscall.SIGKILL)
	m.waitExit()
	// At once again: what is left of the first one must not be in the way.
	m.start()
	m.eventually("the sites answer", func() bool {
		status, _, err := m.get("shop.example.com", "/")
		return err == nil && status == http.StatusOK
	})
	m.stop()
}

func TestStartWithMistakes(t *testing.T) {
	t.Parallel()
	taken := newMachine(t)
	taken.write("uwsgi.ini", "[uwsgi]\nhttp = :PORT\nroute-run = return:200\n")
	taken.start()
	taken.waitLog(0, "listening")
	tests := []struct{ name, main, want string }{
		{"bare port", "http = 8080", "uwsgi.ini:2: http:"},
		{"bad rule", "http = :PORT\nroute-host = ( vassal:x", "uwsgi.ini:3: route-host:"},
		{"nothing to do", "strict = true", "nothing to do"},
		{"port in use", "http = :" + taken.port, "uwsgi.ini:2: http = :" + taken.port + ": the address is in use"},
		{"unknown option", "http = :PORT\nstrict = true\nroute-hots = x vassal:x", "route-host"},
	}
	for _, test := range tests {
		m := newMachine(t)
		m.write("uwsgi.ini", "[uwsgi]\n"+test.main+"\n")
		out, code := m.ask("uwsgi.ini", "--control", m.path("control.sock"))
		if code == 0 || !strings.Contains(out, test.want) {
			t.Errorf("%s: exit %d\n%s", test.name, code, out)
		}
	}
}

func TestAskingARunningEmperor(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.start("uwsgi.ini", "--pidfile", "emperor.pid")
	m.waitReady()
	m.page("shop.example.com", "/")
	if out, code := m.order("status"); code != 0 || !strings.Contains(out, "shop") || !strings.Contains(out, "http = :"+m.port) {
		t.Errorf("status: exit %d\n%s", code, out)
	}
	if out, code := m.order("why", "shop"); code != 0 || !strings.Contains(out, "wsgi-file") {
		t.Errorf("why: exit %d\n%s", code, out)
	}
	if out, code := m.order("logs", "shop"); code != 0 || !strings.Contains(out, "spawned uWSGI worker 1") {
		t.Errorf("logs: exit %d\n%s", code, out)
	}
	if out, code := m.order("reload", "shop"); code != 0 || !strings.Contains(out, "generation 2") {
		t.Errorf("reload: exit %d\n%s", code, out)
	}
	if out, code := m.order("stop", "shop"); code != 0 {
		t.Errorf("stop: exit %d\n%s", code, out)
	}
	m.eventually("the site is stopped", func() bool {
		out, _ := m.order("why", "shop")
		return strings.Contains(out, "shop: stopped")
	})
	if status, _, err := m.get("shop.example.com", "/"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("a stopped site answers %d, %v", status, err)
	}
	if out, code := m.order("start", "shop"); code != 0 {
		t.Errorf("start: exit %d\n%s", code, out)
	}
	m.page("shop.example.com", "/")
	if out, code := m.order("why", "shp"); code != 1 || !strings.Contains(out, "shop") {
		t.Errorf("a mistyped name: exit %d\n%s", code, out)
	}
	if out, code := m.ask("status", "--control", m.path("nobody.sock")); code != 1 || !strings.Contains(out, "no emperor answers") {
		t.Errorf("no emperor: exit %d\n%s", code, out)
	}
	if text, err := os.ReadFile(m.path("emperor.pid")); err != nil || strings.TrimSpace(string(text)) == "" {
		t.Errorf("pidfile: %q, %v", text, err)
	}
	m.stop()
	if _, err := os.Stat(m.path("emperor.pid")); !os.IsNotExist(err) {
		t.Errorf("the pidfile is left: %v", err)
	}
}

func TestCheckAndExplain(t *testing.T) {
	t.Parallel()
	m := uwsgiMachine(t)
	m.write("vassals.d/Caps.ini", pythonSite)
	m.write("vassals.d/node.ini", "[uwsgi]\nsocket = DIR/uwsgi_%n.sock\ncommand = node app.js\nrlimit-nofile = 4096\n")
	out, code := m.ask("check", "uwsgi.ini")
	for _, want := range []string{"4 vassals", "2 rules", "has capitals", "speaks http", "overlap: yes", "no-new-privs; rlimit-nofile 4096"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("check: exit %d, want %q in\n%s", code, want, out)
		}
	}
	m.write("vassals.d/bad.ini", "[uwsgi]\ncommand = \"\n")
	if out, code = m.ask("check", "uwsgi.ini"); code != 1 || !strings.Contains(out, "bad.ini:2:") {
		t.Errorf("check with a mistake: exit %d\n%s", code, out)
	}
	if out, code = m.ask("explain", "uwsgi.ini", "http://shop.example.com/x"); code != 0 || !strings.Contains(out, "vassal shop") {
		t.Errorf("explain: exit %d\n%s", code, out)
	}
	if out, code = m.ask("check", "uwsgi.ini", "--show"); !strings.Contains(out, "vassal-set = env=LANG=C.UTF-8") || !strings.Contains(out, "uwsgi.ini:3") {
		t.Errorf("check --show: exit %d\n%s", code, out)
	}
	if out, code = m.ask("options", "emperor-freq"); code != 0 || !strings.Contains(out, "default 3") {
		t.Errorf("options: exit %d\n%s", code, out)
	}
	if out, code = m.ask("version"); code != 0 || !strings.HasPrefix(out, "emperor ") {
		t.Errorf("version: exit %d\n%s", code, out)
	}
	if out, code = m.ask("stauts"); code != 2 {
		t.Errorf("a mistyped command: exit %d\n%s", code, out)
	}
}
