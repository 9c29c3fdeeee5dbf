package router

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

// TestFailedHandshakesAreSaid: one line for each, with who, the name, and the
// certificate that was chosen or why there was none, in the words of explain; a flood
// of them is counted and not written.
func TestFailedHandshakesAreSaid(t *testing.T) {
	_, staff := member(t, "alice")
	dir, later := t.TempDir(), time.Now().Add(100*24*time.Hour)
	write(t, dir+"/staff.pem", staff)
	a := pairFiles(t, dir, "a", later, "a.test")
	broken := pairFiles(t, dir, "broken", later, "broken.test")
	write(t, dir+"/broken.key", "no key")
	f := newFront(t)
	f.option = optionHTTPS
	if err := f.configure("https = "+f.tcp.Addr().String(), "sni = a.test "+a+",HIGH,!"+dir+"/staff.pem", "sni = broken.test "+broken); err != nil {
		t.Fatal(err)
	}
	lines := func() int { return strings.Count(f.log.String(), "TLS handshake failed") }
	fail := func(name string) {
		t.Helper()
		before := lines()
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if err == nil {
			_ = conn.Close()
			t.Fatalf("%q: no failure", name)
		}
		eventually(t, "a line about "+name, func() bool { return lines() == before+1 })
	}
	for name, want := range map[string]string{
		"a.test":                 `name \"a.test\": certificate ` + dir + `/a.crt (sni a.test, uwsgi.ini:4), clients need one of ` + dir + `/staff.pem`,
		"broken.test":            `name \"broken.test\": no certificate: ` + dir + `/broken.crt, ` + dir + `/broken.key: `,
		"other.test":             `name \"other.test\": no certificate: unknown name`,
		"../a.test":              `name \"../a.test\": no certificate: no host name`,
		"":                       `no name: no certificate`,
		strings.Repeat("a", 300): `no certificate: no host name`,
	} {
		before := len(f.log.String())
		fail(name)
		said := f.log.String()[before:]
		if !strings.Contains(said, want) || !strings.Contains(said, "client=127.0.0.1") || !strings.Contains(said, "level=INFO") {
			t.Errorf("%q: %s, want %s", name, said, want)
		}
	}
	// Who goes before it has said anything is one of them, too.
	before := lines()
	conn, err := net.Dial("tcp", f.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	eventually(t, "a line about who said nothing", func() bool { return lines() == before+1 })
	if n := f.counters.handshakesFailed.Load(); n != 7 {
		t.Errorf("%d are counted", n)
	}
	// A flood of them would be rationed as all complaints are.
	ration, now := rationing{}, time.Now()
	for range complaintsPerSecond {
		if _, ok := ration.allow(now); !ok {
			t.Fatal("too few lines are written")
		}
	}
	for range 9 {
		if _, ok := ration.allow(now); ok {
			t.Fatal("too many lines are written")
		}
	}
	if dropped, ok := ration.allow(now.Add(time.Second)); !ok || dropped != 9 {
		t.Errorf("a second later: %d lines were left out, %t", dropped, ok)
	}
}

// TestOldTLS: 1.0 and 1.1 are not spoken, unless somebody insists, and then without
// HTTP/2, which needs 1.2.
func TestOldTLS(t *testing.T) {
	own := pairFiles(t, t.TempDir(), "a", time.Now().Add(100*24*time.Hour), "a.test")
	for _, test := range []struct {
		options []string
		version uint16
		spoken  bool
	}{
		{nil, tls.VersionTLS10, false},
		{nil, tls.VersionTLS11, false},
		{nil, tls.VersionTLS12, true},
		{[]string{"ssl-enable-tlsv1 = true", "ssl-i-know = true"}, tls.VersionTLS10, true},
		{[]string{"ssl-enable-tlsv1 = true", "ssl-i-know = true"}, tls.VersionTLS11, true},
		{[]string{"ssl-enable-tlsv1 = true", "ssl-i-know = true"}, tls.VersionTLS13, true},
		{[]string{"ssl-min-version = 1.1", "ssl-i-know = true"}, tls.VersionTLS10, false},
		{[]string{"ssl-min-version = 1.3"}, tls.VersionTLS12, false},
		{[]string{"ssl-option = 536870912"}, tls.VersionTLS13, false},
		{[]string{"ssl-option = 536870912"}, tls.VersionTLS12, true},
	} {
		f := newFront(t)
		f.option = optionHTTPS
		if err := f.configure(append([]string{"https = " + f.tcp.Addr().String() + "," + own}, test.options...)...); err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{ServerName: "a.test", InsecureSkipVerify: true, MinVersion: test.version, MaxVersion: test.version, NextProtos: []string{"h2", "http/1.1"}})
		if (err == nil) != test.spoken {
			t.Errorf("%q: %s: %v", test.options, tls.VersionName(test.version), err)
		}
		if err != nil {
			continue
		}
		protocol := "h2"
		if test.version < tls.VersionTLS12 {
			protocol = "http/1.1"
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != protocol {
			t.Errorf("%q: %s: %s is spoken", test.options, tls.VersionName(test.version), got)
		}
		_ = conn.Close()
	}
}
