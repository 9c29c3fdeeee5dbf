package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"emperor/internal/testcert"
)

// browser is what matters of one here: a request goes over any HTTP/2 connection whose
// certificate is good for its host (all hosts have one address), and one that is answered
// 421 is made again over a connection of its own. (Chromium 156 in its place was seen to
// do the same: the wrong server's page, and with each of the cures the right one's.)
type browser struct {
	m     *machine
	roots *x509.CertPool
	older bool // speaks HTTP/1.1 only
	conns []*opened
}

// opened is a connection of a browser.
type opened struct {
	*http.ClientConn
	leaf *x509.Certificate
	many bool // requests for several hosts may go over it: HTTP/2
}

// visit asks for a host's page and returns what is on it, and how many connections the
// browser has then.
func (b *browser) visit(host string) (page string, connections int) {
	b.m.t.Helper()
	for _, conn := range b.conns {
		if conn.many && conn.leaf.VerifyHostname(host) == nil {
			status, body := b.get(conn, host)
			if status != http.StatusMisdirectedRequest {
				return body, len(b.conns)
			}
			break
		}
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: b.roots},
		ForceAttemptHTTP2: !b.older,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, b.m.address())
		},
	}
	ctx, cancel := context.WithTimeout(b.m.t.Context(), patience)
	defer cancel()
	conn, err := transport.NewClientConn(ctx, "https", host+":"+b.m.port)
	if err != nil {
		b.m.t.Fatalf("%s: %v", host, err)
	}
	b.m.t.Cleanup(func() { _ = conn.Close() })
	b.conns = append(b.conns, &opened{ClientConn: conn})
	_, body := b.get(b.conns[len(b.conns)-1], host)
	return body, len(b.conns)
}

func (b *browser) get(conn *opened, host string) (status int, body string) {
	b.m.t.Helper()
	ctx, cancel := context.WithTimeout(b.m.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+":"+b.m.port+"/", nil)
	if err != nil {
		b.m.t.Fatal(err)
	}
	response, err := conn.RoundTrip(request)
	if err != nil {
		b.m.t.Fatalf("%s: %v", host, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.m.t.Fatalf("%s: %v", host, err)
	}
	conn.leaf, conn.many = response.TLS.PeerCertificates[0], response.ProtoMajor == 2
	return response.StatusCode, string(text)
}

// hostedServer is a server of a host, behind the front.
type hostedServer struct {
	host    string
	address string
	shown   atomic.Pointer[tls.Certificate]
	strict  atomic.Bool // answers 421 for other hosts
}

func hostServer(t *testing.T, host string) *hostedServer {
	t.Helper()
	s := &hostedServer{host: host}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	server := &http.Server{
		TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.shown.Load(), nil }},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name, _, _ := strings.Cut(r.Host, ":"); s.strict.Load() && name != s.host {
				w.WriteHeader(http.StatusMisdirectedRequest)
			}
			_, _ = fmt.Fprintf(w, "%s's server", s.host)
		}),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

// coalescingMain passes two names on and serves a third, with one certificate for all.
const coalescingMain = `[uwsgi]
https = 127.0.0.1:PORT,DIR/wild.crt,DIR/wild.key
http-ca = DIR/ca.pem
route-sni = a.example.test pass:A_ADDRESSCONDITION
route-sni = b.example.test pass:B_ADDRESSCONDITION
route-host = ^a\.example\.test$ https:A_ADDRESS,a.example.test
route-host = ^b\.example\.test$ https:B_ADDRESS,b.example.test
route-host = ^www\.example\.test$ redirect:/www
`

// TestStreamsCoalescing: a browser that was shown a wildcard's certificate for one name
// sends requests for others over the same connection, which nobody who passes bytes on
// can see. It is warned of, and each of the cures is one.
func TestStreamsCoalescing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	authority := testcert.NewAuthority(t, "a CA of tests")
	m.put(m.path("ca.pem"), authority.PEM)
	wildcard := authority.Issue(t, testcert.Wanted{Names: []string{"*.example.test"}})
	wildcard.Put(t, m.path("wild"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.PEM))
	a, b := hostServer(t, "a.example.test"), hostServer(t, "b.example.test")
	show := func(s *hostedServer, pair testcert.Pair) {
		certificate := pair.TLS(t)
		s.shown.Store(&certificate)
	}
	show(a, wildcard)
	show(b, wildcard)
	configure := func(condition, more string) {
		m.write("main.ini", strings.NewReplacer("A_ADDRESS", a.address, "B_ADDRESS", b.address, "CONDITION", condition).Replace(coalescingMain)+more)
	}
	configure("", "")
	m.start("main.ini")
	m.waitReady()
	open := func() *browser { return &browser{m: m, roots: roots} }
	// visits opens a browser and expects each host's page, over so many connections.
	visits := func(when string, connections int, pages ...[2]string) {
		t.Helper()
		visitor := open()
		n := 0
		for _, page := range pages {
			var got string
			if got, n = visitor.visit(page[0]); !strings.HasPrefix(got, page[1]) {
				t.Errorf("%s: %s shows %q, want %q", when, page[0], got, page[1])
			}
		}
		if n != connections {
			t.Errorf("%s: %d connections, want %d", when, n, connections)
		}
	}
	toA, toB := [2]string{a.host, "a.example.test's server"}, [2]string{b.host, "b.example.test's server"}

	visits("without a cure", 1, toA, [2]string{b.host, "a.example.test's server"})

	// The start and check say so.
	warning := []string{"a.example.test goes to " + a.address, "b.example.test goes to " + b.address, "www.example.test ends here", "421", "stream-shared-certificate"}
	covered := []string{m.path("wild.crt") + ": it is for *.example.test", "a.example.test (", "b.example.test ("}
	m.waitLog(0, append(warning, " warn ")...)
	m.waitLog(0, append(covered, " warn ", "main.ini:2: ")...)
	out, code := m.ask("check", "main.ini")
	if lines := linesWith(out, "docs/streams.md"); code != 0 || len(lines) != 2 ||
		!holdsAll(lines[1], append(warning, "main.ini:4: warning: route-sni: ", "main.ini:5")) ||
		!holdsAll(lines[0], append(covered, "main.ini:2: warning: https: ")) {
		t.Errorf("check, exit code %d:\n%s", code, out)
	}

	// The front itself answers 421 for names that it passes on.
	visits("from a site of the front's to a name that is passed on", 2, [2]string{"www.example.test", ""}, toA)

	a.strict.Store(true)
	visits("with 421 from the server", 2, toA, toB)
	a.strict.Store(false)

	show(a, authority.Issue(t, testcert.Wanted{Names: []string{a.host}}))
	visits("with certificates for one name", 2, toA, toB)
	show(a, wildcard)

	// Who speaks HTTP/2 ends here, and each request goes by its own name.
	configured := func(condition, more string) {
		t.Helper()
		mark := m.mark()
		configure(condition, more)
		m.waitLog(mark, "the main file was applied")
		m.mu.Lock()
		lines := m.lines[mark:]
		m.mu.Unlock()
		for _, text := range lines {
			if strings.Contains(text, "docs/streams.md") {
				t.Errorf("with %q and %q: %s", condition, more, text)
			}
		}
		if out, code := m.ask("check", "main.ini"); code != 0 || strings.Contains(out, "docs/streams.md") {
			t.Errorf("check with %q and %q, exit code %d:\n%s", condition, more, code, out)
		}
	}
	configured(",alpn=http/1.1", "")
	visits("without HTTP/2 for what is passed on", 1, toA, toB)
	old := &browser{m: m, roots: roots, older: true}
	for i, want := range [][2]string{toA, toB} {
		if page, n := old.visit(want[0]); page != want[1] || n != i+1 {
			t.Errorf("without HTTP/2, %s: %q over %d connections", want[0], page, n)
		}
	}

	configured("", "stream-shared-certificate = true\n")
}

// linesWith are the lines of a text that hold a word.
func linesWith(text, word string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
