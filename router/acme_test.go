package router

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// configurationOf is a configuration of lines "key = value".
func configurationOf(lines ...string) *link.Configuration {
	c := &link.Configuration{}
	for i, line := range lines {
		key, value, _ := strings.Cut(line, " = ")
		c.Options = append(c.Options, link.Option{Key: key, Value: value, File: "f.ini", Line: i + 1})
	}
	return c
}

// TestIssuanceNames: which hosts are ordered for by themselves, which when somebody
// asks, and which never.
func TestIssuanceNames(t *testing.T) {
	dir := t.TempDir()
	certificate, key := pairUntil(t, time.Now().Add(time.Hour), "covered.example.com")
	write(t, dir+"/c.crt", certificate)
	write(t, dir+"/c.key", key)
	c := configurationOf(
		"acme = on",
		"acme-allow = *.friends.example.com",
		"acme-allow = spelled.example.net",
		"acme-allow = unserved.example.net",
		"https = :443",
		"sni = covered.example.com "+dir+"/c.crt,"+dir+"/c.key",
		"sni = *.wild.example.com "+dir+"/c.crt,"+dir+"/c.key",
		`route-host = ^(www\.)?Example\.com$ vassal:site`,
		`route-host = ^(covered|a\.wild)\.example\.com$ vassal:site`,
		`route-host = ^old\.example\.com$ redirect-permanent:https://example.com/`,
		`route-host = ^refused\.example\.com$ return:403`,
		`route-host = ^hidden\.example\.com$ break:`,
		`route-host = ^(192\.0\.2\.1|localhost)$ vassal:site`,
		`route-host = ^port\.example\.com:8443$ vassal:site`,
		`route-host = ^([-\w]+)\.(friends|strangers)\.example\.com$ uwsgi:/run/$1.sock,0,0`,
		`route-host = ^spelled\.example\.net$ vassal:other`,
	)
	i := Issuance(c)
	if i == nil {
		t.Fatal("nothing is issued")
	}
	if want := []string{"example.com", "old.example.com", "spelled.example.net", "www.example.com"}; !slices.Equal(i.Names, want) {
		t.Errorf("names %q, want %q", i.Names, want)
	}
	if want := []string{link.TLSALPN01}; !slices.Equal(i.Challenges, want) || i.CA != letsEncrypt || i.MostOrders != 300 || i.KeyType != "p256" {
		t.Errorf("%+v", i)
	}
	if to, ok := i.Serve("a.friends.example.com"); !ok || to != (link.Served{Address: "/run/a.sock"}) {
		t.Errorf("%+v %v", to, ok)
	}
	keep := Keeper(c)
	for name, want := range map[string]struct{ allowed, may bool }{
		"a.friends.example.com":    {true, true},
		"a.b.friends.example.com":  {false, false},
		"friends.example.com":      {false, false},
		"a.strangers.example.com":  {false, false},
		"unserved.example.net":     {true, false},
		"refused.example.com":      {false, false},
		"example.com":              {false, true}, // spelled
		"covered.example.com":      {false, false},
		"nobody.friends.example.":  {false, false},
		"..friends.example.com":    {false, false},
		"a/b.friends.example.com":  {true, false}, // no rule has it
		"nobody.other.example.com": {false, false},
	} {
		if got := i.Allowed(name); got != want.allowed {
			t.Errorf("%s is allowed: %v", name, got)
		}
		path := link.IssuedPath(name)
		if err := keep(link.PairRequest{Name: name, Certificate: path, Key: path}); (err == nil) != want.may {
			t.Errorf("the router may ask for %s: %v", name, err)
		}
	}
	// With somebody to ask, whatever is served may be asked for.
	c.Options = append(c.Options, link.Option{Key: "acme-ask", Value: "http://127.0.0.1/may"})
	path := link.IssuedPath("a.strangers.example.com")
	if err := Keeper(c)(link.PairRequest{Name: "a.strangers.example.com", Certificate: path, Key: path}); err != nil {
		t.Error(err)
	}
	c.Options[0].Value = "off"
	if Issuance(c) != nil {
		t.Error("it is off")
	}
}

func TestIssuanceOptions(t *testing.T) {
	dir := t.TempDir()
	certificate, _ := pairUntil(t, time.Now().Add(time.Hour), "ca")
	write(t, dir+"/roots.pem", certificate)
	write(t, dir+"/none.pem", "nothing")
	for _, test := range []struct {
		lines []string
		want  string // a mistake, or the authority and the challenges
	}{
		{[]string{"http = :80"}, letsEncrypt + " http-01"},
		{[]string{"http-to-https = :80", "https = :443", "acme-staging = true"}, letsEncryptStaging + " http-01 tls-alpn-01"},
		{[]string{"acme-ca = https://ca.test/dir", "acme-ca-root = " + dir + "/roots.pem", "acme-challenge = tls-alpn-01"}, "https://ca.test/dir tls-alpn-01"},
		{[]string{"acme-ca = https://ca.test/dir", "acme-staging = true"}, "want either acme-ca or acme-staging"},
		{[]string{"acme-ca = http://ca.test/dir"}, "want the URL of an ACME directory"},
		{[]string{"acme-ca-root = " + dir + "/none.pem"}, "no certificate in PEM form"},
		{[]string{"acme-key-type = dsa"}, "want p256, p384, rsa2048, rsa4096, ed25519"},
		{[]string{"acme-key-type = RSA2048"}, letsEncrypt},
		{[]string{"acme-email = me"}, "want an address"},
		{[]string{"acme-ask = ask.test"}, "want a URL"},
		{[]string{"acme-allow = *"}, "want a host or *.DOMAIN"},
		{[]string{"acme-allow = a.*.example.com"}, "want a host or *.DOMAIN"},
		{[]string{"acme-challenge = dns-01"}, "want http-01 or tls-alpn-01"},
	} {
		c := configurationOf(append([]string{"acme = on"}, test.lines...)...)
		for _, o := range c.Options {
			if o.Key == "acme-ca-root" {
				text, err := os.ReadFile(o.Value)
				if err != nil {
					t.Fatal(err)
				}
				c.Resources = append(c.Resources, link.Resource{Kind: link.Content, Path: o.Value, Content: text})
			}
		}
		if problems := CheckConfiguration(c).Errors(); len(problems) > 0 {
			if !strings.Contains(problems[0].Error(), test.want) {
				t.Errorf("%q: %v, want %q", test.lines, problems, test.want)
			}
			continue
		}
		i := Issuance(c)
		if got := strings.TrimSpace(i.CA + " " + strings.Join(i.Challenges, " ")); got != test.want {
			t.Errorf("%q: %q, want %q", test.lines, got, test.want)
		}
	}
}

// TestChallengeByHTTP: a certificate authority gets the answer to its own question
// whatever else holds for the site; any other path of that kind is the site's.
func TestChallengeByHTTP(t *testing.T) {
	f := newFront(t)
	address := f.listen(optionToHTTPS, "127.0.0.1:0")
	dir := t.TempDir()
	write(t, dir+"/theirs", "the site's own")
	if err := f.configure("http-to-https = "+address.String(), "maintenance = closed.test",
		`route = ^/\.well-known/acme-challenge/(\w+)$ static:`+dir+"/$1", "route-host = ^(site|closed)\\.test$ return:200"); err != nil {
		t.Fatal(err)
	}
	ask := func(host, token string) reply {
		visitor := visit(t, address)
		visitor.send("GET /.well-known/acme-challenge/" + token + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		r, _ := visitor.receive("GET")
		return r
	}
	challenges := []link.Challenge{{Name: "site.test", Token: "abc-_1", Answer: "abc-_1.print"}, {Name: "closed.test", Token: "def", Answer: "def.print"}}
	if err := f.Prove(challenges); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host, token string
		status      int
		text        string
	}{
		{"site.test", "abc-_1", 200, "abc-_1.print"},
		{"Site.test:80", "abc-_1", 200, "abc-_1.print"},
		{"closed.test", "def", 200, "def.print"},
		{"site.test", "theirs", 200, "the site's own"},
		{"site.test", "def", 404, ""},
		{"site.test", "", 200, ""},
	} {
		if r := ask(test.host, test.token); r.StatusCode != test.status || test.text != "" && r.text != test.text {
			t.Errorf("%s, %s: %d %q", test.host, test.token, r.StatusCode, r.text)
		}
	}
	if err := f.Prove(nil); err != nil {
		t.Fatal(err)
	}
	if r := ask("site.test", "abc-_1"); r.text == "abc-_1.print" {
		t.Error("the answer is there still")
	}
}

// TestChallengeByTLS: who offers acme-tls/1 alone is shown the challenge's certificate
// and nothing else; everybody else is not.
func TestChallengeByTLS(t *testing.T) {
	dir := t.TempDir()
	certificate, key := pairUntil(t, time.Now().Add(time.Hour), "site.test")
	write(t, dir+"/s.crt", certificate)
	write(t, dir+"/s.key", key)
	f := newFront(t)
	f.option = optionHTTPS
	if err := f.configure("https = "+f.tcp.Addr().String(), "sni = "+dir+"/s.crt,"+dir+"/s.key", "route-run = return:200"); err != nil {
		t.Fatal(err)
	}
	proof, proofKey := pairUntil(t, time.Now().Add(time.Hour), "proof.of.site.test")
	der := func(text string) []byte {
		block, _ := pem.Decode([]byte(text))
		return block.Bytes
	}
	if err := f.Prove([]link.Challenge{{Name: "site.test", Certificate: der(proof), Key: der(proofKey)}}); err != nil {
		t.Fatal(err)
	}
	shown := func(name string, protocols ...string) (*x509.Certificate, *tls.Conn, error) {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", f.tcp.Addr().String(), &tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true})
		if err != nil {
			return nil, nil, err
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn.ConnectionState().PeerCertificates[0], conn, nil
	}
	got, conn, err := shown("Site.test", "acme-tls/1")
	if err != nil || got.DNSNames[0] != "proof.of.site.test" || conn.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
		t.Fatalf("an authority: %v, %v", got, err)
	}
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")
	if answer, _ := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("an authority's request is answered: %q", answer)
	}
	for _, protocols := range [][]string{nil, {"http/1.1"}, {"http/1.1", "acme-tls/1"}} {
		if got, _, err := shown("site.test", protocols...); err != nil || got.DNSNames[0] != "site.test" {
			t.Errorf("a client that offers %q: %v, %v", protocols, got, err)
		}
	}
	if err := f.Prove(nil); err != nil {
		t.Fatal(err)
	}
	if got, _, err := shown("site.test", "acme-tls/1"); err == nil {
		t.Errorf("after the challenge: %v", got.DNSNames)
	}
}
