package router

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// TestExplainStreams: which rule a connection takes, and where it goes; a browser's
// that never comes to the HTTP rules is said to.
func TestExplainStreams(t *testing.T) {
	dir := t.TempDir()
	pairFiles(t, dir, "default", time.Now().Add(30*24*time.Hour), "default")
	pair := dir + "/default.crt," + dir + "/default.key"
	configuration := &link.Configuration{Listeners: []link.Listener{
		{Option: "https", Address: ":443", File: "f.ini", Line: 1}, {Option: "sslrouter", Address: ":853", File: "f.ini", Line: 2}, {Option: "rawrouter", Address: ":22", File: "f.ini", Line: 3}}}
	for i, line := range []string{
		"https = :443," + pair,
		"sslrouter = :853",
		"rawrouter = :22",
		"route-sni = db.test tcp:vassal:db|/run/other.sock,backup",
		"route-sni = *.pass.test pass:10.0.0.1:443,alpn=!h2",
		"route-sni = web.test http",
		"route-remote-addr = 192.0.2.0/24 reject",
		`route-sni = ^(\d+)\.port\.test$ pass:10.0.0.1:$1`,
		"route-sni = lost.test pass:vassal:bse",
		"stream-default = /run/db.sock",
		"sslrouter-to = 10.0.0.2:53",
		"rawrouter-to = 10.0.0.3:22",
		`route-host = ^web\.test$ return:204`,
		`route-remote-addr = ^198\.51\.100\. return:403`,
	} {
		key, value, _ := strings.Cut(line, " = ")
		configuration.Options = append(configuration.Options, link.Option{Key: key, Value: value, File: "f.ini", Line: i + 1})
	}
	vassals := []link.Vassal{{Name: "db", Addresses: []link.Address{{Address: "/run/db.sock", Protocol: "http"}}}, {Name: "base"}}
	for _, test := range []struct {
		url    string
		asking Asking
		want   []string // in this order
		not    string
	}{
		{"tls://DB.test", Asking{}, []string{"connection TLS for DB.test\n", "listener   f.ini:1: https = :443", "no   f.ini:7", "yes  f.ini:4: route-sni = db.test", "matches db.test; TLS ends here", "handshake  name \"DB.test\": certificate " + dir + "/default.crt", "goes to    vassal db, /run/db.sock\n", "goes to    /run/other.sock (backup)\n"}, "closed"},
		{"tls://a.pass.test:443", Asking{Protocols: []string{"imap"}}, []string{"offers imap", "yes  f.ini:5", "goes to    10.0.0.1:443\n"}, "handshake"},
		{"tls://a.pass.test", Asking{Protocols: []string{"h2", "http/1.1"}}, []string{"no   f.ini:5", `no match: alpn, and the client offers "h2", "http/1.1"`, "goes to    the HTTP rules: no rule"}, "closed"},
		{"tls://web.test", Asking{}, []string{"yes  f.ini:6", "goes to    the HTTP rules (emperor explain FILE https://web.test/)"}, "closed"},
		{"tls://web.test", Asking{Remote: netip.MustParseAddr("192.0.2.7")}, []string{"from 192.0.2.7", "yes  f.ini:7", "closed     the client gets the alert"}, "goes to"},
		{"tls://70000.port.test", Asking{}, []string{"yes  f.ini:8", `closed     "70000" is no port`}, "goes to"},
		{"tls://lost.test", Asking{}, []string{"closed     there is no vassal bse", "there is one called base"}, "goes to"},
		{"tls://:443", Asking{Protocols: []string{"imap"}, Remote: netip.MustParseAddr("192.0.2.7")}, []string{"TLS without a name, offers imap, from 192.0.2.7", "yes  f.ini:7", "closed"}, "https:///"},
		{"tls://", Asking{}, []string{"connection TLS without a name", "yes  f.ini:10", "goes to    /run/db.sock, vassal db"}, "closed"},
		{"tcp://:443", Asking{}, []string{"connection bytes that are no TLS", "yes  f.ini:10: stream-default = ", "goes to    /run/db.sock, vassal db"}, "handshake"},
		{"tcp://:443", Asking{Remote: netip.MustParseAddr("192.0.2.7")}, []string{"yes  f.ini:7", "closed     rejected"}, "alert"},
		{"tls://10.0.0.1", Asking{}, []string{"name       none", "yes  f.ini:10"}, "closed"},
		{"tls://dns.test:853", Asking{}, []string{"listener   f.ini:2: sslrouter = :853", "goes to    10.0.0.2:53"}, "handshake"},
		{"tcp://:22", Asking{}, []string{"listener   f.ini:3: rawrouter = :22", "goes to    10.0.0.3:22"}, "no  "},
	} {
		got, err := ExplainStream(configuration, vassals, test.asking, test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
		}
		inOrder(t, test.url, got, test.want, test.not)
	}
	for _, test := range []struct {
		url    string
		asking Asking
		want   []string
		not    string
	}{
		{"https://db.test/", Asking{}, []string{"listener   f.ini:1", "yes  f.ini:4", "goes to    vassal db"}, "route-host"},
		{"https://web.test/", Asking{}, []string{"yes  f.ini:6: route-sni = web.test http", "handshake", "yes  f.ini:13", "answer     204"}, "goes to"},
		{"https://a.pass.test/", Asking{}, []string{"handshake", "no   f.ini:13", "answer     404"}, "route-sni"},
		{"https://a.pass.test/", Asking{Protocols: []string{"http/1.1"}}, []string{"yes  f.ini:5", "goes to    10.0.0.1:443"}, "answer"},
		{"https://web.test/", Asking{Remote: netip.MustParseAddr("192.0.2.7")}, []string{"yes  f.ini:7", "closed"}, "answer"},
		{"http://from.test/", Asking{Remote: netip.MustParseAddr("198.51.100.7")}, []string{"yes  f.ini:14", "answer     403"}, "not known"},
	} {
		got, err := Explain(configuration, vassals, test.asking, "GET", test.url)
		if err != nil {
			t.Fatal(err)
		}
		inOrder(t, test.url, got, test.want, test.not)
	}
	for _, test := range []struct {
		url    string
		asking Asking
		want   string
	}{
		{"tcp://", Asking{}, `"tcp://": want a URL such as tls://db.example.com:443, or tcp://:443 for bytes that are no TLS`},
		{"tls:db.test", Asking{}, `"tls:db.test": want a URL such as tls://db.example.com:443, or`},
		{"tls://db test", Asking{}, `want a URL such as`},
		{"tls://db.test:https", Asking{}, `want a URL such as`},
		{"tls://db.test:70000", Asking{}, `"tls://db.test:70000": the port is 70000, want a number from 1 to 65535`},
		{"tcp://:0", Asking{}, `the port is 0, want a number from 1 to 65535`},
		{"tls://db.test/login", Asking{}, `"tls://db.test/login": there is no request in a stream, want a URL such as tls://db.example.com:443`},
		{"tls://me@db.test", Asking{}, `there is no request in a stream`},
		{"tls://db.test?x", Asking{}, `there is no request in a stream`},
		{"tls://*.test", Asking{}, `"*.test" is no name: it has a character other than`},
		{"tls://db..test", Asking{}, `"db..test" is no name: a part between dots is empty`},
		{"tls://bücher.test", Asking{}, `clients ask for such a name in ASCII (xn--…)`},
		{"tcp://:443", Asking{Protocols: []string{"h2"}}, `tcp://:443: who does not speak TLS offers no protocols (ALPN)`},
	} {
		if got, err := ExplainStream(configuration, vassals, test.asking, test.url); err == nil || !strings.Contains(err.Error(), test.want) || got != "" {
			t.Errorf("%s: %v, want %q; and it says\n%s", test.url, err, test.want, got)
		}
	}
	if got, err := ExplainStream(configuration, vassals, Asking{}, "TLS://db.test"); err != nil || !strings.Contains(got, "goes to    vassal db") {
		t.Errorf("a scheme in capitals: %v\n%s", err, got)
	}
}

// inOrder checks that a text has all of want, one after the other, and not that.
func inOrder(t *testing.T, what, text string, want []string, not string) {
	t.Helper()
	rest := text
	for _, one := range want {
		_, after, found := strings.Cut(rest, one)
		if !found {
			t.Errorf("%s: want %q in\n%s", what, one, text)
			return
		}
		rest = after
	}
	if strings.Contains(text, not) {
		t.Errorf("%s: %q in\n%s", what, not, text)
	}
}
