package router

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"emperor/internal/testcert"
)

// TestMappedStreams: sslrouter-use-pattern, rawrouter-use-base and the fallbacks of both
// lead where they say: sockets that are not there, that nobody listens on any more, or
// that do not answer are passed over (uWSGI's wait for ever, or close the connection), and
// no name gets out of the folder.
func TestMappedStreams(t *testing.T) {
	dir := t.TempDir()
	at := func(path, word string) {
		t.Helper()
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() { parrot(word)(conn); _ = conn.Close() }()
			}
		}()
	}
	if err := os.MkdirAll(dir+"/sites", 0o755); err != nil {
		t.Fatal(err)
	}
	at(dir+"/outside.sock", "outside")
	at(dir+"/sites/a.test.sock", "a")
	left, err := net.Listen("unix", dir+"/sites/left.test.sock")
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = left.Close()
	if err := os.Symlink(busySocket(t), dir+"/sites/busy.test.sock"); err != nil {
		t.Fatal(err)
	}
	fallback := serveBehind(t, nil, parrot("fallback"))
	f := newFront(t)
	ssl, raw := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionRawRouter, "127.0.0.1:0").String()
	at(filepath.Join(dir, "sites", raw), "raw")
	path := t.TempDir() + "/front"
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}}).Put(t, path)
	options := []string{
		"sslrouter = " + ssl + "," + path + ".crt," + path + ".key", "rawrouter = " + raw, "stream-connect-timeout = 1",
		"sslrouter-sni = true", "sslrouter-use-pattern = " + dir + "/sites/%s.sock", "sslrouter-fallback = " + fallback.Addr().String(),
		"rawrouter-use-base = " + dir + "/sites/", "rawrouter-fallback = " + fallback.Addr().String(),
	}
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	plain := func() string {
		t.Helper()
		conn, err := net.Dial("tcp", raw)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return talk(t, conn, "hello")
	}
	for name, want := range map[string]string{"a.test": "a", "A.test": "a", "left.test": "fallback", "missing.test": "fallback", "busy.test": "fallback"} {
		if got := talk(t, overTLS(t, ssl, name, nil), "hello"); got != want+"\nhello" {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
	if got := plain(); got != "raw\nhello" {
		t.Errorf("rawrouter-use-base: %q", got)
	}
	// What is no name is none: the key is the listener's address then, for which there is
	// no socket.
	for _, name := range []string{"../outside", "..", "a.test/../../outside", dir + "/outside"} {
		if got := talk(t, overTLS(t, ssl, name, nil), "hello"); got != "fallback\nhello" {
			t.Errorf("%s: %q", name, got)
		}
	}
	// Without a pattern, and with nobody at any of the addresses but the fallback's.
	dead := deadPort(t)
	options[4], options[6] = "sslrouter-to = "+dead, "rawrouter-to = "+dead
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := talk(t, overTLS(t, ssl, "a.test", nil), "hello"); got != "fallback\nhello" {
			t.Errorf("sslrouter-fallback: %q", got)
		}
		if got := plain(); got != "fallback\nhello" {
			t.Errorf("rawrouter-fallback: %q", got)
		}
	}
}
