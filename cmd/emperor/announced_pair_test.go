package main

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// TestNodeThatBringsItsCertificate: a real uWSGI names a pair in its announcements,
// which only root can read; it is used as long as that node is there, also by a router
// that comes after the one that was told.
func TestNodeThatBringsItsCertificate(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.certify("default", 1, "default.test")
	for _, folder := range []string{"home", "home/a"} {
		if err := os.Mkdir(m.path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.certify("home/a/site", 5, "a.test")
	m.certify("elsewhere", 6, "b.test")
	server := "127.0.0.1:" + testport.Free(t)
	m.write("main.ini", "[uwsgi]\nhttps = 127.0.0.1:PORT,DIR/default.crt,DIR/default.key\nhttp-subscription-server = "+server+"\nhttp-subscription-sni-dir = DIR/home\n")
	m.start("main.ini")
	m.waitReady()
	shows := func(name string, want int64) {
		t.Helper()
		m.eventually(fmt.Sprintf("%s shows certificate %d", name, want), func() bool { got, _ := m.shown(name); return got == want })
	}
	shows("a.test", 1)
	mark := m.mark()
	node := m.announcer("node", "--subscribe-freq", "1",
		"--subscribe2", "server="+server+",key=a.test,sni_key="+m.path("home/a/site.key")+",sni_crt="+m.path("home/a/site.crt"),
		"--subscribe2", "server="+server+",key=b.test,sni_key="+m.path("elsewhere.key")+",sni_crt="+m.path("elsewhere.crt"))
	m.waitLog(mark, "elsewhere.crt is not below a folder of http-subscription-sni-dir")
	shows("a.test", 5)
	shows("b.test", 1)
	m.certify("home/a/site", 15, "a.test")
	shows("a.test", 15)

	pid := m.pidOf("router --link")
	mark = m.mark()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "the router is back")
	m.untilGone(pid)
	shows("a.test", 15)

	mark = m.mark()
	_ = node.Process.Signal(syscall.SIGTERM)
	_ = node.Wait()
	m.waitLog(mark, "a node has withdrawn", "a.test")
	shows("a.test", 1)
}
