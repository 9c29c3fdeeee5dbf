package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"strings"
	"testing"
)

const severalHosts = `[uwsgi]
https = 127.0.0.1:PORT,DIR/all.crt,DIR/all.key
sni = one.test DIR/all.crt,DIR/all.key
sni = two.test DIR/two.crt,DIR/two.key
sni = strong.test DIR/all.crt,DIR/all.key,ECDHE-ECDSA-AES256-GCM-SHA384
sni = staff.test DIR/all.crt,DIR/all.key,HIGH,!DIR/alice.crt
sni = asked.test DIR/all.crt,DIR/all.key,HIGH,DIR/alice.crt
route-run = addheader:X-Who: ${HTTPS_DN}
route-run = addheader:X-Host: ${HTTP_HOST}
route-run = return:200
`

// severalHostsMachine runs that front; alice is a client's certificate, mallory
// another that nobody knows.
func severalHostsMachine(t *testing.T) *machine {
	m := newMachine(t)
	m.certify("all", 1, "one.test", "two.test", "strong.test", "staff.test", "asked.test")
	m.certify("two", 2, "two.test")
	m.certify("alice", 3, "alice")
	m.certify("mallory", 4, "mallory")
	m.write("main.ini", severalHosts)
	m.start("main.ini")
	m.waitReady()
	return m
}

// TestCurlAndClientCertificates: what curl gets with and without a certificate, by
// both protocols: who needs one is refused in the handshake, who is asked for one is
// served, a Host of another policy is 421.
func TestCurlAndClientCertificates(t *testing.T) {
	t.Parallel()
	m := severalHostsMachine(t)
	curl := func(args ...string) (string, error) {
		args = append([]string{"-sk", "-i", "--noproxy", "*", "--max-time", "30"}, args...)
		for _, name := range []string{"one", "two", "strong", "staff", "asked"} {
			args = append(args, "--resolve", name+".test:"+m.port+":127.0.0.1")
		}
		out, err := exec.Command("curl", args...).CombinedOutput()
		return string(out), err
	}
	certificate := func(name string) []string {
		return []string{"--cert", m.path(name + ".crt"), "--key", m.path(name + ".key")}
	}
	for _, protocol := range []struct{ option, answer string }{{"--http1.1", "HTTP/1.1 "}, {"--http2", "HTTP/2 "}} {
		for _, test := range []struct {
			to     string
			more   []string
			status string // "" : the handshake fails
			who    string // X-Who
		}{
			{"one.test", nil, "200", ""},
			{"one.test", certificate("alice"), "200", ""}, // nobody asks for it
			{"one.test", []string{"-H", "Host: two.test"}, "200", ""},
			{"one.test", []string{"-H", "Host: strong.test"}, "421", ""},
			{"one.test", []string{"-H", "Host: staff.test"}, "421", ""},
			{"one.test", []string{"-H", "Host: asked.test"}, "421", ""},
			{"staff.test", nil, "", ""},
			{"staff.test", certificate("mallory"), "", ""},
			{"staff.test", certificate("alice"), "200", "/CN=alice"},
			{"staff.test", append(certificate("alice"), "-H", "Host: one.test"), "421", ""},
			{"asked.test", nil, "200", ""},
			{"asked.test", certificate("alice"), "200", "/CN=alice"},
			{"asked.test", certificate("mallory"), "", ""},
			{"asked.test", []string{"-H", "Host: staff.test"}, "421", ""},
		} {
			out, err := curl(append(test.more, protocol.option, "https://"+test.to+":"+m.port+"/")...)
			head := strings.ToLower(out)
			if test.status == "" {
				if err == nil {
					t.Errorf("%s %s %q: %s", protocol.option, test.to, test.more, out)
				}
				continue
			}
			if err != nil || !strings.HasPrefix(out, protocol.answer+test.status) || test.who != "" && !strings.Contains(head, "\nx-who: "+strings.ToLower(test.who)) || test.who == "" && strings.Contains(head, "alice") {
				t.Errorf("%s %s %q: %v\n%s", protocol.option, test.to, test.more, err, out)
			}
		}
	}
	out, err := curl("http://one.test:" + m.port + "/")
	if err != nil || !strings.HasPrefix(out, "HTTP/1.1 400 ") || !strings.Contains(out, "https://") {
		t.Errorf("plain HTTP: %v\n%s", err, out)
	}
}

// TestOneConnectionForSeveralHosts: as a browser does whose certificate is good for
// several names: requests for hosts of the same policy share an HTTP/2 connection;
// one of another gets 421 there, the connection goes on, and a connection of its own
// serves it.
func TestOneConnectionForSeveralHosts(t *testing.T) {
	t.Parallel()
	m := severalHostsMachine(t)
	ask := func(client *http.Client, to, host string) (status int, answered string, reused bool) {
		t.Helper()
		request, err := http.NewRequest("GET", "https://"+to+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		request = request.WithContext(httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}))
		r, err := client.Do(request)
		if err != nil {
			t.Fatalf("%s at %s: %v", host, to, err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		if r.ProtoMajor != 2 {
			t.Errorf("%s at %s: %s", host, to, r.Proto)
		}
		return r.StatusCode, r.Header.Get("X-Host"), reused
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", m.address())
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for i, step := range []struct {
		host   string
		status int
	}{
		{"one.test", 200}, {"two.test", 200}, {"TWO.test:443", 200}, {"staff.test", 421}, {"strong.test", 421}, {"one.test", 200}, {"nobodys.test", 200},
	} {
		status, answered, reused := ask(client, "one.test", step.host)
		if status != step.status || status == 200 && !strings.EqualFold(answered, step.host) || reused != (i > 0) {
			t.Errorf("%s: %d for %q, on a kept connection: %t", step.host, status, answered, reused)
		}
	}
	// What a client does after 421.
	if status, _, reused := ask(client, "strong.test", "strong.test"); status != 200 || reused {
		t.Errorf("on a connection of its own: %d, reused %t", status, reused)
	}
}
