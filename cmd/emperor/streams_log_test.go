package main

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"emperor/internal/testport"
)

// TestStreamLog: each stream is one line when it has ended: who, by which rule, to where,
// how much, how long, and why it ended.
func TestStreamLog(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "plain.test", "left.test")
	secret, plain := behind(t, overTLS(t, certified(t, 2, "pass.test"), greeting("pass"))), behind(t, greeting("plain"))
	dead := "127.0.0.1:" + testport.Free(t)
	rules := `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
stream-log = DIR/streams.log
route-sni = pass.test pass:` + secret.address + `
route-sni = plain.test tcp:` + plain.address + `
route-sni = left.test tcp:` + plain.address + `
route-sni = dead.test pass:` + dead + `
stream-default = ` + plain.address + `
`
	m.write("main.ini", rules+"stream-log-format = json\n")
	m.start("main.ini")
	m.waitReady()

	said := strings.Repeat("x", 100_000)
	clients := map[string]string{} // name → address
	for name, serial := range map[string]int64{"pass.test": 2, "plain.test": 1} {
		conn := dialStream(t, m.address())
		clients[name] = conn.LocalAddr().String()
		if s := converseOn(conn, by(name), said); s.serial != serial || s.err != nil {
			t.Errorf("%s: %+v", name, s)
		}
		_ = conn.Close()
	}
	left := tls.Client(dialStream(t, m.address()), by("left.test"))
	if _, err := line(left); err != nil {
		t.Fatal(err)
	}
	clients["left.test"] = left.LocalAddr().String()
	_ = left.NetConn().(interface{ SetLinger(int) error }).SetLinger(0)
	_ = left.NetConn().Close()
	nowhere := dialStream(t, m.address())
	clients["dead.test"] = nowhere.LocalAddr().String()
	if s := converseOn(nowhere, by("dead.test"), ""); s.err == nil {
		t.Errorf("nobody is there: %+v", s)
	}
	bare := dialStream(t, m.address())
	clients[""] = bare.LocalAddr().String()
	if _, err := speakFirst(bare, said); err != nil {
		t.Error(err)
	}

	type entry struct {
		Time, Client, Listener, Action, Name, Rule, Address, Reason, Error string
		Received, Sent                                                     int64
		MS                                                                 *int64
	}
	entries := map[string]entry{} // by client
	read := func() bool {
		text, err := os.ReadFile(m.path("streams.log"))
		if err != nil {
			return false
		}
		clear(entries)
		for row := range strings.Lines(string(text)) {
			var e entry
			if err := json.Unmarshal([]byte(row), &e); err != nil {
				t.Fatalf("%q: %v", row, err)
			}
			if _, ok := entries[e.Client]; ok {
				t.Fatalf("two lines for one stream:\n%s", text)
			}
			entries[e.Client] = e
		}
		return len(entries) == len(clients)
	}
	m.eventually("a line for each stream", read)
	for _, want := range []struct {
		name, action, rule, address string
		received, sent              int64 // at least
		reason                      string
	}{
		{"pass.test", "pass", "main.ini:4", secret.address, 100_000, 100_000, ""},
		{"plain.test", "tcp", "main.ini:5", plain.address, 100_000, 100_000 + 22, ""},
		{"left.test", "tcp", "main.ini:6", plain.address, 0, 11, "client"},
		{"dead.test", "pass", "main.ini:7", dead, 0, 0, "not connected"},
		{"", "pass", "main.ini:8", plain.address, 100_000, 100_000 + 22, ""},
	} {
		e := entries[clients[want.name]]
		if e.Name != want.name || e.Action != want.action || !strings.HasSuffix(e.Rule, want.rule) || e.Address != want.address ||
			e.Received < want.received || e.Received > want.received+10_000 || e.Sent < want.sent || e.Sent > want.sent+10_000 ||
			!strings.Contains(e.Reason, want.reason) || e.Reason == "" || e.Listener != m.address() || e.MS == nil || e.Time == "" {
			t.Errorf("got %+v, want %+v", e, want)
		}
		if broken := want.name == "dead.test" || want.name == "left.test"; broken != (e.Error != "") {
			t.Errorf("%s: error %q", want.name, e.Error)
		}
	}

	// The same as words, from the next stream on.
	mark := m.mark()
	m.write("main.ini", rules)
	m.waitLog(mark, "the main file was applied")
	conn := dialStream(t, m.address())
	_ = converseOn(conn, by("plain.test"), "hello")
	_ = conn.Close()
	m.untilStreamEnds(conn, " action=tcp ", " name=plain.test ", "main.ini:5 ", " address="+plain.address+" ", " received=5 ", " sent=27 ", " ms=", " reason=")
}
