package main

import (
	"strings"
	"testing"
)

// TestExplainStream: the command says where a TLS connection would go.
func TestExplainStream(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("streams.ini", "[uwsgi]\nhttps = 127.0.0.1:443\nroute-sni = db.test pass:10.0.0.1:443,remote-addr=10.0.0.0/8,alpn=imap\nroute-sni = lost.test pass:vassal:lost\nstream-default = reject\nemperor = DIR/vassals\n")
	m.write("vassals/lost.ini", "[uwsgi]\ncommand = '\n")
	for _, test := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"tls://db.test", "--from=10.1.1.1", "--alpn=h2,imap"}, "goes to    10.0.0.1:443", 0},
		{[]string{"tls://db.test", "--alpn=imap"}, "the client's address is not known", 0},
		{[]string{"tls://", "--from=10.1.1.1"}, "no name is asked for; rejected", 0},
		{[]string{"tls://db.test", "--from=somewhere"}, "--from=somewhere: want an IP address", exitUsage},
		{[]string{"tls://db.test", "--alpn=h2,"}, "--alpn=h2,: want protocols such as h2,http/1.1", exitUsage},
		{[]string{"tls://db.test", "--fom=10.1.1.1"}, "--fom=10.1.1.1 stands where the URL should", exitUsage},
		{[]string{"tls://db.test/login"}, "there is no request in a stream", 1},
		{[]string{"tls://lost.test"}, "closed     there is no vassal lost\n           (lost has a mistake in its file, see emperor check)\n", 0},
		{[]string{"tls://bad.test:70000"}, "the port is 70000", 1},
	} {
		out, code := m.ask(append([]string{"explain", "streams.ini"}, test.args...)...)
		if code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("explain %v: exit %d\n%s", test.args, code, out)
		}
	}
}
