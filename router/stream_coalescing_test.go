package router

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"

	"emperor/internal/testcert"
	"emperor/router/sni"
)

// TestPassedOnIsMisdirected: over an HTTP/2 connection of a site's a request for a name
// that streams have is answered 421, so that its browser asks again over a connection
// that is routed. Nobody else takes a connection for several names unless he means it,
// which does not let him in where a rule lets nobody in.
func TestPassedOnIsMisdirected(t *testing.T) {
	f := newFront(t)
	f.secured("route-run = return:204",
		"route-sni = passed.test pass:127.0.0.1:1",
		"route-sni = old.test pass:127.0.0.1:1,alpn=http/1.1",
		"route-sni = plain.test tcp:127.0.0.1:1",
		"route-sni = no.test reject",
		"route-sni = far.test pass:127.0.0.1:1,remote-addr=192.0.2.0/24",
		"route-sni = far.test reject",
		"route-sni = site.test http")
	for _, test := range []struct {
		http2 bool
		sni   string
		host  string
		want  int
	}{
		{true, "site.test", "passed.test", 421},
		{true, "site.test", "PASSED.test.:443", 421},
		{true, "site.test", "plain.test", 421},
		{true, "site.test", "old.test", 204},
		{true, "site.test", "site.test", 204},
		{true, "site.test", "other.test", 204},
		{true, "old.test", "old.test", 204},
		{true, "", "passed.test", 421},
		{false, "site.test", "passed.test", 204},
		{true, "site.test", "no.test", 421},
		{false, "site.test", "no.test", 421},
		{false, "site.test", "far.test", 421},
		{false, "", "no.test", 421},
	} {
		transport := &http.Transport{ForceAttemptHTTP2: test.http2, TLSClientConfig: &tls.Config{ServerName: test.sni, InsecureSkipVerify: true}}
		if test.sni == "" {
			transport.TLSClientConfig.ServerName = "127.0.0.1" // not sent
		}
		conn, err := transport.NewClientConn(t.Context(), "https", f.tcp.Addr().(*net.TCPAddr).String())
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest(http.MethodGet, "https://"+f.tcp.Addr().String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = test.host
		response, err := conn.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != test.want || (response.ProtoMajor == 2) != test.http2 {
			t.Errorf("%s asks for %q on a connection for %q: %d, want %d", response.Proto, test.host, test.sni, response.StatusCode, test.want)
		}
		_ = conn.Close()
	}
}

// TestCertificatesCoverStreams: a certificate of the front's that is good for a name that
// is passed on is warned of when the front starts, and again only after it was not so.
func TestCertificatesCoverStreams(t *testing.T) {
	f := newFront(t)
	https := f.listen(optionHTTPS, "127.0.0.1:0").String()
	path := t.TempDir() + "/wild"
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"*.site.test"}}).Put(t, path)
	configure := func(more string) {
		t.Helper()
		if err := f.configure("https = "+https+","+path+".crt,"+path+".key", "route-sni = passed.site.test pass:127.0.0.1:1", more); err != nil {
			t.Fatal(err)
		}
	}
	said := func() int {
		return strings.Count(f.log.String(), path+".crt: it is for *.site.test, and so for what is passed on, too: passed.site.test (")
	}
	again := func() {
		t.Helper()
		s := f.settings.Load()
		own, _ := s.certificates.byName[https].Own()
		f.warnOfCovered(&s.streams, []sni.Choice{own})
	}
	configure("")
	eventually(t, "it is warned of", func() bool { return said() == 1 })
	configure("route-run = return:204")
	again()
	if n := said(); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	configure("stream-shared-certificate = true")
	again()
	if n := said(); n != 1 {
		t.Errorf("it is said %d times, and is meant so", n)
	}
	configure("")
	eventually(t, "it is warned of again", func() bool { return said() > 1 })
}
