package main

import (
	"crypto/rand"
	"fmt"
	"testing"
)

// TestNoRequestFailsInDeploysOverCGI deploys an unmodified uWSGI that speaks SCGI
// or FastCGI on its socket.
func TestNoRequestFailsInDeploysOverCGI(t *testing.T) {
	t.Parallel()
	for name, socket := range map[string]string{
		"scgi-socket":    "scgi-socket = DIR/%n.sock",
		"scgi":           "socket = DIR/%n.sock\nprotocol = scgi",
		"fastcgi-socket": "fastcgi-socket = DIR/%n.sock",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := sitesMachine(t)
			vassal := socket + `
plugin = python3
chdir = DIR
wsgi-file = DIR/webapp.py
processes = 2
threads = 4
disable-logging = true
`
			m.vassal("site", vassal)
			m.start()
			visitors := m.visitors("site.test")
			body := make([]byte, 10<<20)
			_, _ = rand.Read(body)
			if got, err := once(m.address(), "site.test", "POST", "/echo", body); err != nil || got != string(body) {
				t.Errorf("a body of 10 MiB: %d bytes came back, %v", len(got), err)
			}
			for release := 1; release <= 2; release++ {
				m.write("RELEASE", fmt.Sprint(release))
				m.vassal("site", fmt.Sprintf("%s; release %d\n", vassal, release))
				m.untilRelease("site.test", fmt.Sprint(release))
			}
			report(t, visitors, "2 deploys")
			m.stop()
		})
	}
}
