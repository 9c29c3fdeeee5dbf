package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// neighbour runs a program beside the emperor as long as the test takes.
func (m *machine) neighbour(program string, args ...string) {
	m.t.Helper()
	command := exec.Command(program, args...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if m.t.Failed() {
			m.t.Logf("%s: %s", program, output.String())
		}
	})
}

// untilListening waits until somebody listens on a port of this machine.
func (m *machine) untilListening(port string) {
	m.t.Helper()
	m.eventually("somebody listens on "+port, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// TestNginxBehindTLS: a real server behind https:, with certificates of CAs of our
// own, whose file only root may read: the router, which is somebody else and
// confined, gets what is in it.
func TestNginxBehindTLS(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	port := testport.Free(t)
	for i, name := range []string{"a.test", "b.test", "c.test"} {
		m.certify(name, int64(i+1), name)
	}
	var authorities []byte
	for _, name := range []string{"a.test", "b.test"} {
		certificate, err := os.ReadFile(m.path(name + ".crt"))
		if err != nil {
			t.Fatal(err)
		}
		authorities = append(authorities, certificate...)
	}
	m.put(m.path("ca.pem"), string(authorities))
	if err := os.Chmod(m.path("ca.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := ""
	for _, name := range []string{"a.test", "b.test", "c.test"} {
		servers += fmt.Sprintf("server { listen 127.0.0.1:%s ssl; server_name %s; ssl_certificate DIR/%s.crt; ssl_certificate_key DIR/%s.key;\n"+
			`return 200 "$ssl_server_name $host $connection $http_x_forwarded_host";`+" }\n", port, name, name, name)
	}
	m.write("nginx.conf", "daemon off; pid DIR/nginx.pid; error_log stderr; worker_processes 1; events {}\nhttp { access_log off; client_body_temp_path DIR/t1; proxy_temp_path DIR/t2; fastcgi_temp_path DIR/t3; uwsgi_temp_path DIR/t4; scgi_temp_path DIR/t5;\n"+servers+"}\n")
	m.neighbour("nginx", "-c", m.path("nginx.conf"))
	m.untilListening(port)
	m.write("uwsgi.ini", strings.ReplaceAll(`[uwsgi]
http = 127.0.0.1:PORT
http-ca = DIR/ca.pem
route-host = ^(a|b|c)\.visited$ https:127.0.0.1:TLS,$1.test
route-host = ^wrong\.visited$ https:127.0.0.1:TLS,other.test
route-host = ^nodes\.visited$ https:127.0.0.1:1|127.0.0.1:TLS,b.test
`, "TLS", port))
	m.start()
	m.waitLog(0, "listening", "127.0.0.1:"+m.port)

	connections := map[string]string{} // name → nginx's number of its connection
	for range 5 {
		for _, name := range []string{"a", "b"} {
			words := strings.Fields(m.page(name+".visited", "/"))
			if len(words) != 4 || words[0] != name+".test" || words[1] != name+".test" || words[3] != name+".visited" {
				t.Fatalf("%s: nginx saw %q", name, words)
			}
			if before, ok := connections[name]; ok && before != words[2] {
				t.Errorf("%s: another connection, the one before was not kept", name)
			}
			connections[name] = words[2]
		}
	}
	if connections["a"] == connections["b"] {
		t.Error("one connection for two names")
	}
	if got := m.page("nodes.visited", "/"); !strings.HasPrefix(got, "b.test ") {
		t.Errorf("of two addresses, one dead: %q", got)
	}
	for name, words := range map[string][]string{
		"c":     {"certificate signed by unknown authority", "https:127.0.0.1:" + port, "c.visited"},
		"wrong": {"certificate is valid for a.test, not other.test", "uwsgi.ini:5"},
	} {
		mark := m.mark()
		if status, _, err := m.get(name+".visited", "/"); status != 502 || err != nil {
			t.Errorf("%s: %d %v", name, status, err)
		}
		m.waitLog(mark, words...)
	}

	// A CA that is added to the file counts after a reload.
	certificate, err := os.ReadFile(m.path("c.test.crt"))
	if err != nil {
		t.Fatal(err)
	}
	m.put(m.path("ca.pem"), string(append(authorities, certificate...)))
	m.signal(syscall.SIGHUP)
	m.eventually("the new CA is trusted", func() bool {
		status, _, err := m.get("c.visited", "/")
		return err == nil && status == 200
	})
	m.stop()
}

// envApp answers with what it knows of the visitor.
const envApp = `
def application(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join([env["REMOTE_ADDR"], env.get("HTTPS", "-"), env.get("HTTP_X_FORWARDED_FOR", "-")]).encode()]
`

// TestBehindHAProxy: a real sender of PROXY headers, in both versions, with TLS that
// ends at it, and with its health checks, which have to find us well.
func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	one, two, secured, status := testport.Free(t), testport.Free(t), testport.Free(t), testport.Free(t)
	m.certify("lb", 1, "lb.test")
	both := ""
	for _, ending := range []string{".crt", ".key"} {
		text, err := os.ReadFile(m.path("lb" + ending))
		if err != nil {
			t.Fatal(err)
		}
		both += string(text)
	}
	m.put(m.path("lb.pem"), both)
	m.write("haproxy.cfg", fmt.Sprintf(`global
defaults
	mode tcp
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	option httpchk GET /up
	http-check expect status 200
	default-server check inter 200ms check-send-proxy
listen one
	bind 127.0.0.1:%s
	server front 127.0.0.1:PORT send-proxy
listen two
	bind 127.0.0.1:%s
	server front 127.0.0.1:PORT send-proxy-v2
listen secured
	bind 127.0.0.1:%s ssl crt DIR/lb.pem
	server front 127.0.0.1:PORT send-proxy-v2-ssl
frontend status
	mode http
	bind 127.0.0.1:%s
	stats enable
	stats uri /
`, one, two, secured, status))
	m.write("app.py", envApp)
	m.write("vassals.d/app.ini", "[uwsgi]\nsocket = DIR/%n.sock\nplugin = python3\nwsgi-file = DIR/app.py\n")
	m.write("uwsgi.ini", "[uwsgi]\nemperor = DIR/vassals.d/*.ini\nhttp = 127.0.0.1:PORT\nhttp-enable-proxy-protocol = true\nhttp-health = /up\nroute-run = vassal:app\n")
	m.start()
	m.waitReady()
	m.neighbour("haproxy", "-f", m.path("haproxy.cfg"))
	m.untilListening(secured)
	m.eventually("HAProxy finds the front well", func() bool {
		r, err := http.Get("http://127.0.0.1:" + status + "/;csv")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		return strings.Count(string(text), ",UP,") >= 6 // each server, and its listen
	})
	for port, want := range map[string]string{one: "127.0.0.77 - -", two: "127.0.0.77 - -", secured: "127.0.0.77 on -"} {
		// A visitor with an address of his own.
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}, Timeout: patience}
		transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		scheme := "http"
		if port == secured {
			scheme = "https"
		}
		client := &http.Client{Transport: transport}
		for range 3 {
			r, err := client.Get(scheme + "://127.0.0.1:" + port + "/")
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if r.StatusCode != 200 || string(text) != want || err != nil {
				t.Errorf("%s: %d %q %v, want %q", port, r.StatusCode, text, err, want)
			}
		}
		transport.CloseIdleConnections()
	}
	// Who comes without the header is not served, although he is on this machine.
	if status, text, err := m.get("any", "/"); err == nil {
		t.Errorf("without a PROXY header: %d %q", status, text)
	}
	m.waitLog(0, "connection closed: http-enable-proxy-protocol wants a PROXY header from this peer")
	m.stop()
}
