package main

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testcert"
)

// resumed makes a request for name with what session has, and tells whether that
// was resumed. The session is a newer one afterwards.
func (m *machine) resumed(name string, version uint16, session *testcert.Session) bool {
	m.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", m.address(), &tls.Config{
		ServerName: name, InsecureSkipVerify: true, ClientSessionCache: session, MaxVersion: version,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	// A ticket of TLS 1.3 comes with the answer.
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+name+"\r\nConnection: close\r\n\r\n"); err != nil {
		m.t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); err != nil || len(text) == 0 {
		m.t.Fatalf("%s: %q, %v", name, text, err)
	}
	return conn.ConnectionState().DidResume
}

// TestSessionsOutliveTheRouter: a TLS session goes on after the main file was
// changed, after the router was killed and after another took its
// place; not under another name's policy, whichever router sealed it.
func TestSessionsOutliveTheRouter(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("one", 1, "one.test")
	m.certify("strict", 2, "strict.test")
	m.certify("ca", 3, "ca")
	main := "[uwsgi]\nhttps = 127.0.0.1:PORT,DIR/one.crt,DIR/one.key\nsni = one.test DIR/one.crt,DIR/one.key\n" +
		"sni = strict.test DIR/strict.crt,DIR/strict.key,HIGH,DIR/ca.crt\nroute-run = return:200\n"
	m.write("main.ini", main)
	m.start("main.ini")
	m.waitReady()
	kill := func(signal syscall.Signal) {
		mark, pid := m.mark(), m.pidOf("router --link")
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		m.waitLog(mark, "the router is back")
		m.untilGone(pid)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		session := &testcert.Session{}
		if m.resumed("one.test", version, session) {
			t.Fatal("a first handshake was resumed")
		}
		first, _ := session.Get("") // as it was sealed by the first router
		for _, step := range []struct {
			what   string
			change func()
		}{
			{"nothing", func() {}},
			{"a changed main file", func() {
				mark := m.mark()
				m.write("main.ini", main+"route-host = ^"+tls.VersionName(version)[4:]+"$ return:404\n")
				m.waitLog(mark, "the main file was applied")
			}},
			{"a killed router", func() { kill(syscall.SIGKILL) }},
			{"a router in the place of another", func() { kill(syscall.SIGTERM) }},
			{"another killed router", func() { kill(syscall.SIGKILL) }},
		} {
			step.change()
			if !m.resumed("one.test", version, session) {
				t.Errorf("%s: not resumed after %s", tls.VersionName(version), step.what)
			}
			old := testcert.SessionOf(first)
			if m.resumed("strict.test", version, old) {
				t.Errorf("%s: resumed under another name's policy after %s", tls.VersionName(version), step.what)
			}
		}
		if !m.resumed("one.test", version, testcert.SessionOf(first)) {
			t.Errorf("%s: the first session is lost", tls.VersionName(version))
		}
	}
}
