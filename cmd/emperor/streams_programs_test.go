package main

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"emperor/internal/testcert"
	"emperor/internal/testport"
	"emperor/router/proxyproto"
)

// outputOf runs a program to its end and returns what it wrote.
func (m *machine) outputOf(input, program string, args ...string) (string, error) {
	m.t.Helper()
	command := exec.Command(program, args...)
	command.Dir, command.Stdin = m.dir, strings.NewReader(input)
	out, err := command.CombinedOutput()
	return string(out), err
}

// issued puts a pair where nginx, openssl and redis find it, with the CA that vouches
// for it.
func (m *machine) issued(ca *testcert.Authority, name string, names ...string) {
	m.t.Helper()
	ca.Issue(m.t, testcert.Wanted{Names: names}).Put(m.t, m.path(name))
}

// TestProgramsBehindStreams: what people have behind one TLS port. Two https servers of
// others, each with its own certificate (nginx, openssl s_server), asked by curl with
// full verification; Redis, which knows nothing of TLS; an SSH server by a port of its
// own and on the https port.
func TestProgramsBehindStreams(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ca := testcert.NewAuthority(t, "streams")
	m.put(m.path("ca.pem"), ca.PEM)
	m.issued(ca, "nginx", "nginx.test")
	m.issued(ca, "openssl", "openssl.test")
	m.issued(ca, "front", "redis.test", "site.test")
	nginx, nginxV1, nginxV2, openssl, redis, ssh, raw := testport.Free(t), testport.Free(t), testport.Free(t), testport.Free(t), testport.Free(t), testport.Free(t), testport.Free(t)

	const server = "ssl_certificate DIR/nginx.crt; ssl_certificate_key DIR/nginx.key; ssl_protocols TLSv1.2 TLSv1.3;"
	m.write("nginx.conf", `daemon off; pid DIR/nginx.pid; error_log stderr; worker_processes 1; events {}
http { access_log off; client_body_temp_path DIR/t1; proxy_temp_path DIR/t2; fastcgi_temp_path DIR/t3; uwsgi_temp_path DIR/t4; scgi_temp_path DIR/t5;
server { listen 127.0.0.1:`+nginx+` ssl http2; `+server+` location / { return 200 "nginx $ssl_server_name $server_protocol\n"; } }
server { listen 127.0.0.1:`+nginxV1+` ssl proxy_protocol; `+server+` location / { return 200 "visitor $proxy_protocol_addr:$proxy_protocol_port\n"; } }
server { listen 127.0.0.1:`+nginxV2+` ssl proxy_protocol; `+server+` location / { return 200 "visitor $proxy_protocol_addr:$proxy_protocol_port\n"; } }
}
`)
	m.neighbour("nginx", "-c", m.path("nginx.conf"))
	m.neighbour("openssl", "s_server", "-accept", "127.0.0.1:"+openssl, "-cert", m.path("openssl.crt"), "-key", m.path("openssl.key"), "-www", "-quiet")
	m.neighbour("redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--dir", m.dir)
	m.sshServer(ssh)
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/front.crt,DIR/front.key
rawrouter = 127.0.0.1:`+raw+`
rawrouter-to = 127.0.0.1:`+ssh+`
route-sni = nginx.test pass:127.0.0.1:`+nginx+`
route-sni = v1.nginx.test pass:127.0.0.1:`+nginxV1+`,proxy=v1
route-sni = v2.nginx.test pass:127.0.0.1:`+nginxV2+`,proxy=v2
route-sni = openssl.test pass:127.0.0.1:`+openssl+`
route-sni = redis.test tcp:127.0.0.1:`+redis+`
stream-default = 127.0.0.1:`+ssh+`
route-run = return:204
`)
	for _, port := range []string{nginx, openssl, redis, ssh} {
		m.untilListening(port)
	}
	m.start("main.ini")
	m.waitReady()

	curl := func(name string, more ...string) string {
		t.Helper()
		out, err := m.outputOf("", "curl", append([]string{"--silent", "--show-error", "--max-time", "60", "--noproxy", "*", "--cacert", m.path("ca.pem"), "--connect-to", "::127.0.0.1:" + m.port, "https://" + name + "/"}, more...)...)
		if err != nil {
			t.Errorf("curl %s: %v", name, err)
		}
		return out
	}
	if out := curl("nginx.test"); out != "nginx nginx.test HTTP/2.0\n" {
		t.Errorf("nginx: %q", out)
	}
	if out := curl("nginx.test", "--http1.1", "--tls-max", "1.2"); out != "nginx nginx.test HTTP/1.1\n" {
		t.Errorf("nginx, TLS 1.2: %q", out)
	}
	for _, name := range []string{"v1.nginx.test", "v2.nginx.test"} {
		// Its certificate is nginx.test's: that name is not what is looked at here.
		if out := curl(name, "--insecure", "--write-out", "visitor %{local_ip}:%{local_port}\n"); !twice(out) {
			t.Errorf("%s: %q; want the visitor's address twice", name, out)
		}
	}
	if out := curl("openssl.test"); !strings.Contains(out, "s_server") {
		t.Errorf("openssl: %q", out)
	}
	if out := curl("site.test", "--write-out", "%{http_code}"); out != "204" {
		t.Errorf("the site: %q", out)
	}
	out, err := m.outputOf("SET greeting hello\nGET greeting\nECHO "+strings.Repeat("x", 100_000)+"\n", "redis-cli", "-h", "127.0.0.1", "-p", m.port, "--tls", "--sni", "redis.test", "--cacert", m.path("ca.pem"))
	if err != nil || out != "OK\nhello\n"+strings.Repeat("x", 100_000)+"\n" {
		t.Errorf("redis: %.100q, %v", out, err)
	}
	key, err := os.ReadFile(m.path("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{raw, m.port} {
		// A whole key exchange. Nobody may log in, but the server's key is remembered.
		known := m.path("known-" + port)
		out, _ := m.outputOf("", "ssh", "-p", port, "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "-o", "UserKnownHostsFile="+known, "-o", "StrictHostKeyChecking=accept-new", "-o", "PreferredAuthentications=none", "nobody@127.0.0.1")
		if keys, err := os.ReadFile(known); err != nil || !strings.Contains(string(keys), strings.Fields(string(key))[1]) {
			t.Errorf("SSH on port %s: %q, %v", port, out, err)
		}
	}
	m.stop()
}

// twice tells whether a text is a line and the same again.
func twice(text string) bool {
	first, rest, _ := strings.Cut(text, "\n")
	return first != "" && rest == first+"\n"
}

// sshServer starts sshd for this test only; its key is in host.pub.
func (m *machine) sshServer(port string) {
	m.t.Helper()
	if out, err := m.outputOf("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", m.path("host")); err != nil {
		m.t.Fatal(out, err)
	}
	// sshd wants its own full path, and as root a folder, which its service makes.
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	m.neighbour(program, "-D", "-e", "-f", "/dev/null", "-h", m.path("host"), "-o", "ListenAddress=127.0.0.1:"+port, "-o", "PidFile=none")
}

// TestWhoTheVisitorIs: backends are told by PROXY headers of version 1 and 2, the second
// with the name and protocol that the client asked for; and who comes through another
// proxy is whom that proxy names.
func TestWhoTheVisitorIs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("own", 1, "tcp1.test", "tcp2.test")
	headers := make(chan proxyproto.Header, 10)
	read := func(serve func(net.Conn)) func(net.Conn) {
		return func(conn net.Conn) {
			var text []byte
			for one := make([]byte, 1); ; {
				if _, err := io.ReadFull(conn, one); err != nil {
					t.Errorf("a header that ends after %q", text)
					return
				}
				text = append(text, one[0])
				h, n, err := proxyproto.Parse(text)
				if err != nil {
					t.Errorf("no header: %q, %v", text, err)
					return
				}
				if n == len(text) {
					h.TLVs = bytes.Clone(h.TLVs)
					headers <- h
					serve(conn)
					return
				}
			}
		}
	}
	secret := behind(t, read(overTLS(t, certified(t, 2, "pass.test"), greeting("pass"))))
	plain := behind(t, read(greeting("plain")))
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/own.crt,DIR/own.key
http-enable-proxy-protocol = true
http-proxy-protocol-from = 127.0.0.7
route-sni = pass1.test pass:`+secret.address+`,proxy=v1
route-sni = pass2.test pass:`+secret.address+`,proxy=v2
route-sni = tcp1.test tcp:`+plain.address+`,proxy=v1
route-sni = tcp2.test tcp:`+plain.address+`,proxy=v2
route-remote-addr = ^192\.0\.2\.66$ reject
`)
	m.start("main.ini")
	m.waitReady()
	front := netip.MustParseAddrPort(m.address())
	visit := func(from, header, name string) (conversation, netip.AddrPort) {
		t.Helper()
		d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", m.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, header); err != nil {
			t.Fatal(err)
		}
		c := by(name, "custom/1")
		return converseOn(conn, c, "said"), conn.LocalAddr().(*net.TCPAddr).AddrPort()
	}
	v2, err := (&proxyproto.Header{Source: netip.MustParseAddrPort("[2001:db8::1]:77"), Destination: netip.MustParseAddrPort("[2001:db8::2]:443"), Version: 2}).AppendV2(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, from, header string
		source             string // "" for the connection's own
		destination        string
	}{
		{"pass1.test", "127.0.0.1", "", "", front.String()},
		{"pass2.test", "127.0.0.1", "", "", front.String()},
		{"tcp1.test", "127.0.0.1", "", "", front.String()},
		{"tcp2.test", "127.0.0.1", "", "", front.String()},
		{"pass1.test", "127.0.0.7", "PROXY TCP4 192.0.2.1 192.0.2.2 55 443\r\n", "192.0.2.1:55", "192.0.2.2:443"},
		{"tcp2.test", "127.0.0.7", "PROXY TCP4 192.0.2.1 192.0.2.2 55 443\r\n", "192.0.2.1:55", "192.0.2.2:443"},
		{"pass2.test", "127.0.0.7", string(v2), "[2001:db8::1]:77", "[2001:db8::2]:443"},
		{"tcp1.test", "127.0.0.7", string(v2), "[2001:db8::1]:77", "[2001:db8::2]:443"},
	} {
		s, self := visit(test.from, test.header, test.name)
		if s.err != nil || !strings.HasPrefix(s.rest, "said") {
			t.Errorf("%s from %s: %+v", test.name, test.from, s)
			continue
		}
		h := <-headers
		if test.source == "" {
			test.source = self.String()
		}
		if h.Source.String() != test.source || h.Destination.String() != test.destination {
			t.Errorf("%s from %s: %v → %v, want %s → %s", test.name, test.from, h.Source, h.Destination, test.source, test.destination)
		}
		v2 := strings.Contains(test.name, "2.")
		if want := map[bool]int{false: 1, true: 2}[v2]; int(h.Version) != want {
			t.Errorf("%s: version %d", test.name, h.Version)
		}
		if v2 {
			fields := map[byte]string{}
			for kind, value := range h.All() {
				fields[byte(kind)] = string(value)
			}
			if fields[2] != test.name || fields[1] != "custom/1" { // PP2_TYPE_AUTHORITY, PP2_TYPE_ALPN
				t.Errorf("%s: fields %q", test.name, fields)
			}
		}
	}
	// Whom a rule keeps out is kept out by the address that the proxy names.
	if s, _ := visit("127.0.0.7", "PROXY TCP4 192.0.2.66 192.0.2.2 55 443\r\n", "pass1.test"); s.err == nil {
		t.Errorf("who is kept out was let in: %+v", s)
	}
	// Nobody else's word is taken.
	if s, _ := visit("127.0.0.1", "PROXY TCP4 192.0.2.1 192.0.2.2 55 443\r\n", "pass1.test"); s.err == nil {
		t.Errorf("a header of anybody was believed: %+v", s)
	}
}

// TestXclient: what rawrouter-xclient does for mail servers. The server's first line
// comes to the client, and the server is told the client's address before the client
// can say anything.
func TestXclient(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	b := behind(t, func(conn net.Conn) {
		if _, err := io.WriteString(conn, "220 mail.test ESMTP\r\n"); err != nil {
			return
		}
		told, err := line(conn)
		if err != nil {
			return
		}
		asked, err := line(conn)
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "250 "+told+"|"+asked+"\r\n")
	})
	m.write("main.ini", "[uwsgi]\nrawrouter = 127.0.0.1:PORT\nrawrouter-xclient = true\nrawrouter-to = "+b.address+"\n")
	m.start("main.ini")
	m.waitReady()
	conn := dialStream(t, m.address())
	_, _ = io.WriteString(conn, "EHLO client.test\r\n") // too early, as spammers do
	banner, err := line(conn)
	if err != nil || banner != "220 mail.test ESMTP" {
		t.Errorf("banner %q, %v", banner, err)
	}
	if answer, err := line(conn); err != nil || answer != "250 XCLIENT ADDR=127.0.0.1|EHLO client.test" {
		t.Errorf("answer %q, %v", answer, err)
	}
}
