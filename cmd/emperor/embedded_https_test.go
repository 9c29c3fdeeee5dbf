package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestOneAppBehindTLS: https of a command line or a file that is about one app is our
// front's, as http is: HTTP/2, HTTPS in the app's variables, and not a uWSGI's.
func TestOneAppBehindTLS(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name string
		args []string
		file string
	}{
		{"a program after --", []string{"run", "--https", "127.0.0.1:PORT,DIR/own.crt,DIR/own.key", "--", "node", "webapp.js"}, ""},
		{"uWSGI's words", []string{"--master", "--plugin", "python3", "--https", "127.0.0.1:PORT,DIR/own.crt,DIR/own.key,HIGH", "--wsgi-file", "webapp.py"}, ""},
		{"https-socket and sni in a file", []string{"app.ini"}, "[uwsgi]\nplugin = python3\nmaster = true\nhttps-socket = 127.0.0.1:PORT,DIR/default.crt,DIR/default.key\nsni = site.test DIR/own.crt,DIR/own.key\nssl-verbose = true\nwsgi-file = webapp.py\n"},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			m := appMachine(t)
			m.certify("own", 7, "site.test")
			m.certify("default", 1, "default.test")
			if way.file != "" {
				m.write("app.ini", way.file)
			}
			m.startApp(way.args...)
			m.waitReady()
			transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", m.address())
			}}
			defer transport.CloseIdleConnections()
			r, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://site.test/")
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if r.StatusCode != 200 || r.ProtoMajor != 2 || r.TLS.PeerCertificates[0].SerialNumber.Int64() != 7 {
				t.Errorf("%s %d %q, certificate %v", r.Proto, r.StatusCode, text, r.TLS.PeerCertificates[0].SerialNumber)
			}
			for pid, words := range m.processes() {
				if strings.HasPrefix(words, "uwsgi") && strings.Contains(words, "own.key") {
					t.Errorf("uWSGI, %d, has the key: %s", pid, words)
				}
			}
		})
	}
}
