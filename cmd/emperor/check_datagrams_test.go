package main

import (
	"strings"
	"testing"
)

// TestCheckOfDatagrams: whoever asks for UDP, QUIC or DTLS is told in one line that the
// front has TCP only, and where they asked; a vassal's own options are uWSGI's.
func TestCheckOfDatagrams(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const tcpOnly = "TCP only: datagrams (UDP, QUIC, DTLS) are not routed"
	for _, test := range []struct{ lines, asked string }{
		{"rawrouter = :PORT\nrawrouter-to = udp:10.0.0.1:53", "3: rawrouter-to: udp:10.0.0.1:53: "},
		{"rawrouter = :PORT\nrawrouter-to = 10.0.0.1:53 udp", "3: rawrouter-to: 10.0.0.1:53 udp: "},
		{"rawrouter = :PORT\nrawrouter-to = 10.0.0.1:53\nrawrouter-fallback = 10.0.0.2:53/udp", "4: rawrouter-fallback: 10.0.0.2:53/udp: "},
		{"rawrouter = udp://:PORT\nrawrouter-to = 10.0.0.1:53", "2: rawrouter: udp://:PORT: "},
		{"rawrouter = udp::PORT\nrawrouter-to = 10.0.0.1:53", "2: rawrouter: udp::PORT: "},
		{"rawrouter = 127.0.0.1:PORT udp\nrawrouter-to = 10.0.0.1:53", "2: rawrouter: 127.0.0.1:PORT udp: "},
		{"sslrouter = udp:127.0.0.1:PORT\nsslrouter-to = 10.0.0.1:53", "2: sslrouter: udp:127.0.0.1:PORT: "},
		{"sslrouter2 = addr=dtls://127.0.0.1:PORT\nsslrouter-to = 10.0.0.1:53", "2: sslrouter2: dtls://127.0.0.1:PORT: "},
		{"sslrouter = :PORT\nsslrouter-sni = true\nsslrouter-use-pattern = udp:%%s.svc.cluster.local:53", "4: sslrouter-use-pattern: udp:%s.svc.cluster.local:53: "},
		{"https = quic://:PORT,DIR/a.crt,DIR/a.key", "2: https: quic://:PORT: "},
		{"https2 = addr=quic::PORT,cert=DIR/a.crt,key=DIR/a.key", "2: https2: quic::PORT: "},
		{"http = udp:127.0.0.1:PORT", "2: http: udp:127.0.0.1:PORT: "},
		{"https = :PORT\nroute-sni = a.test pass:h3:10.0.0.1:443", "3: route-sni: h3:10.0.0.1:443: "},
		{"https = :PORT\nstream-default = udp:10.0.0.1:53", "3: stream-default: udp:10.0.0.1:53: "},
	} {
		m.write("main.ini", "[uwsgi]\n"+test.lines+"\n")
		said, code := m.ask("check", "main.ini")
		if want := strings.ReplaceAll("main.ini:"+test.asked, "PORT", m.port) + tcpOnly; code == 0 || !strings.Contains(said, want+"\n") || !strings.Contains(said, "emperor: 1 mistake\n") {
			t.Errorf("want %q in exit status %d\n%s", want, code, said)
		}
	}

	// Options of others: nothing listens there, and the rest goes on.
	const others = "http3 = :443\nhttps3 = :443\nhttp3-socket = :443\nquic = :443\ndtls = :5684\nudprouter = :53\nudp = :53\n"
	m.write("main.ini", "[uwsgi]\n"+others+"emperor = DIR/vassals\n")
	m.write("vassals/app.ini", "[uwsgi]\nudp = 127.0.0.1:1\nhttp3 = yes\n")
	said, code := m.ask("check", "main.ini")
	if code != 0 || strings.Count(said, "not supported: "+tcpOnly+"; ") != strings.Count(others, "\n") {
		t.Errorf("exit status %d\n%s", code, said)
	}
	for at, option := range strings.Split(strings.TrimSpace(others), "\n") {
		name, _, _ := strings.Cut(option, " ")
		if want := "main.ini:" + string(rune('2'+at)) + ": " + name + ": "; !strings.Contains(said, want) {
			t.Errorf("want %q in\n%s", want, said)
		}
	}
}
