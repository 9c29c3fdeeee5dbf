package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
)

// announcer is a uWSGI that nobody here has started and that announces itself. It says
// so once and again after an hour, so that nothing is found out by asking again.
func (m *machine) announcer(name string, more ...string) *exec.Cmd {
	m.t.Helper()
	arguments := append([]string{"--plugin", "python3", "--master", "--chdir", m.dir, "--wsgi-file", m.path("webapp.py"), "--processes", "2",
		"--socket", m.path(name + ".sock"), "--chmod-socket=666", "--disable-logging", "--listen", "100", "--die-on-term", "--subscribe-freq", "3600"}, more...)
	m.waitReady() // what is said to nobody is not said again
	for range 3 {
		node := exec.Command("uwsgi", arguments...)
		node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		log, err := os.Create(m.path(name + ".log"))
		if err != nil {
			m.t.Fatal(err)
		}
		node.Stdout, node.Stderr = log, log
		mark := m.mark()
		err = node.Start()
		_ = log.Close()
		if err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(func() { m.end(node) })
		m.waitEither(mark, []string{"a node has announced itself", name + ".sock"}, []string{name + ".sock", "it is not signed"})
		if m.logged("a node has announced itself", name+".sock") {
			return node
		}
		// Seen once, and its reason not: uWSGI goes on without a signature when it cannot sign.
		// (The packet was whole: its length is that of its header.)
		text, _ := os.ReadFile(m.path(name + ".log"))
		m.t.Logf("uWSGI has announced itself without a signature:\n%s", text)
		m.end(node)
	}
	m.t.Fatal("three uWSGIs have not announced themselves")
	return nil
}

// subscriptionMachine has a front that only announcements tell where requests go.
func subscriptionMachine(t *testing.T, more string) (m *machine, server string) {
	t.Helper()
	m = sitesMachine(t)
	server = "127.0.0.1:" + testport.Free(t)
	m.rules("http-subscription-server = " + server + "\nhttp-subscription-server = DIR/announce.sock\nsubscription-tolerance = 7200\n" + more)
	return m, server
}

// TestAnnouncedNodes: nodes of nobody announce themselves. One is killed, the front is
// killed, the front is succeeded by another: requests go on.
func TestAnnouncedNodes(t *testing.T) {
	t.Parallel()
	m, server := subscriptionMachine(t, "subscription-dotsplit = true\n")
	m.start()
	m.eventually("the front says that nobody has announced it", func() bool {
		status, _, err := m.get("site.test", "/")
		return err == nil && status == 404
	})
	first := m.announcer("first", "--subscribe-to", server+":site.test", "--subscribe-to", m.path("announce.sock")+":.wild.test")
	second := m.announcer("second", "--subscribe-to", server+":site.test", "--unsubscribe-on-graceful-reload")
	m.untilRelease("a.wild.test", "0")

	l := m.visitors("site.test")
	hostile(t, server)
	report(t, l, "a flood of nonsense")

	l = m.visitors("site.test")
	m.end(first)
	for range 20 {
		m.untilRelease("site.test", "0")
	}
	failures := l.end()
	t.Logf("%d requests, %d failed with one node killed", l.requests.Load(), len(failures))
	if len(failures) > 8 {
		t.Errorf("%d failures; the node held 8 requests at most: %v", len(failures), failures)
	}
	if status, _, err := m.get("a.wild.test", "/"); err != nil || status != 503 {
		t.Errorf("its only node is dead: %d, %v", status, err)
	}

	// The only one left withdraws while it is reloaded; the other could not say that
	// it is dead.
	mark := m.mark()
	_ = second.Process.Signal(syscall.SIGHUP)
	m.waitLog(mark, "a node has withdrawn", "second.sock")
	m.page("site.test", "/")
	m.waitLog(mark, "a node has announced itself", "second.sock")

	// A router that may read files comes in place of the one that may not.
	m.write("public/index.html", "hello")
	l = m.visitors("site.test")
	before := m.routers()
	mark = m.mark()
	m.vassal("folder", "static = DIR/public\n")
	m.waitLog(mark, "takes over")
	m.untilRelease("site.test", "0")
	report(t, l, "the succession of the front")

	for len(m.routers()) > 1 {
		for _, pid := range before {
			m.untilGone(pid)
		}
	}
	router := m.pidOf("router --link")
	_ = syscall.Kill(router, syscall.SIGKILL)
	m.untilGone(router)
	if status, body, err := m.get("site.test", "/"); err != nil || status != 200 {
		t.Errorf("the next router does not know the node: %d %q %v", status, body, err)
	}
	if out, code := m.ask("explain", "uwsgi.ini", "http://site.test/"); code != 0 || !strings.Contains(out, "announced themselves for site.test") {
		t.Errorf("explain: %d\n%s", code, out)
	}
}

// TestAnnouncingVassal: a vassal of ours that announces itself and is deployed: its
// earlier life's last word does not take its place away.
func TestAnnouncingVassal(t *testing.T) {
	t.Parallel()
	m, server := subscriptionMachine(t, "")
	m.start()
	m.waitReady()
	m.vassal("app", threaded+"subscribe-to = "+server+":site.test\nsubscribe-freq = 3600\n")
	l := m.visitors("site.test")
	for _, release := range []string{"1", "2"} {
		m.write("RELEASE", release)
		m.touch("vassals.d/app.ini")
		m.untilRelease("site.test", release)
	}
	report(t, l, "two deploys")
	m.eventually("one generation is left", func() bool {
		masters := 0
		for _, words := range m.processes() {
			if strings.Contains(words, "app.ini") {
				masters++
			}
		}
		return masters <= 3 // with its two workers
	})
	m.untilRelease("site.test", "2")
}

// TestSignedNode: uWSGI signs what it announces; without its key nobody is believed.
func TestSignedNode(t *testing.T) {
	t.Parallel()
	m, server := subscriptionMachine(t, "subscriptions-sign-check = SHA256:%dkeys\n")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	m.write("private.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	m.write("keys/site.test.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	m.start()
	m.announcer("signed", "--subscribe-to", server+":site.test,0,SHA256:"+m.path("private.pem"))
	m.untilRelease("site.test", "0")
	forged := "\xe0\x22\x00\x01\x03\x00key\x09\x00site.test\x07\x00address\x07\x00DIR/x.s"
	c, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mark := m.mark()
	if _, err := c.Write([]byte(forged)); err != nil {
		t.Fatal(err)
	}
	m.waitLog(mark, "announcement refused", "it is not signed")
	m.page("site.test", "/")
}

// hostile sends what nobody should, a lot of it.
func hostile(t *testing.T, server string) {
	t.Helper()
	c, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 20000 {
		b := make([]byte, 200)
		_, _ = rand.Read(b)
		if i%2 == 0 { // well-formed up to the key, which is another each time
			copy(b, "\xe0\xc4\x00\x00\x03\x00key\x28\x00")
		}
		_, _ = c.Write(b)
	}
}

// TestNodesOfUsers: by a unix path a uWSGI announces the keys whose files its user
// owns and no others, and hears that it is known.
func TestNodesOfUsers(t *testing.T) {
	t.Parallel()
	m, _ := subscriptionMachine(t, "subscriptions-credentials-check = %downers/\n")
	m.write("owners/site.test", "")
	m.write("owners/other.test", "")
	if err := os.Chown(m.path("owners/other.test"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if out, code := m.ask("check", "uwsgi.ini"); code != 0 || !strings.Contains(out, "nothing that comes here is believed") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	m.start()
	told := m.path("told.sock")
	ears, err := net.ListenPacket("unixgram", told)
	if err != nil {
		t.Fatal(err)
	}
	defer ears.Close()
	if err := os.Chmod(told, 0o666); err != nil { // the router is nobody
		t.Fatal(err)
	}
	announce := m.path("announce.sock")
	mark := m.mark()
	m.announcer("mine", "--subscribe-to", announce+":site.test", "--subscribe-to", announce+":other.test", "--subscription-notify-socket", told)
	m.waitLog(mark, "announcement refused", "other.test", "do not own the file")
	m.untilRelease("site.test", "0")
	if status, _, err := m.get("other.test", "/"); err != nil || status != 404 {
		t.Errorf("somebody else's key: %d, %v", status, err)
	}
	b := make([]byte, 500)
	_ = ears.SetReadDeadline(time.Now().Add(patience))
	n, _, err := ears.ReadFrom(b)
	if want := "[subscription ack] site.test => new node: " + m.path("mine.sock"); err != nil || string(b[:n]) != want {
		t.Errorf("told %q, %v; want %q", b[:n], err, want)
	}
	// A file that is added counts at once.
	m.write("owners/third.test", "")
	m.waitLog(mark, "the main file was applied")
	m.announcer("third", "--subscribe-to", announce+":third.test")
	m.untilRelease("third.test", "0")
}
