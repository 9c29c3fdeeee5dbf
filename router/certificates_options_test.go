package router

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/sni"
)

// compiled are the settings of lines "key = value", with all mistakes and warnings.
func compiled(t *testing.T, lines ...string) (*Settings, string) {
	t.Helper()
	var sent []link.Option
	for i, line := range lines {
		key, value, _ := strings.Cut(line, " = ")
		if value == "" {
			value = "1" // as ReadConfiguration does
		}
		sent = append(sent, link.Option{Key: key, Value: value, File: "f.ini", Line: i + 1})
	}
	c := mustOptions(t, sent)
	s, problems := compile(c, &supply{checking: true})
	return s, problems.String()
}

// TestTLSOptions: every TLS option of uWSGI's HTTPS router (router.md §2.7) does
// what it says, wherever it stands, or is refused with the reason.
func TestTLSOptions(t *testing.T) {
	const https = "https = :443,/c,/k"
	own := func(s *Settings) *sni.Policy { return &s.certificates.https[0].options.Own.Policy }
	offers := func(protocols ...string) func(*Settings) bool {
		return func(s *Settings) bool { return slices.Equal(s.certificates.https[0].options.Protocols, protocols) }
	}
	versions := func(low, high uint16) func(*Settings) bool {
		return func(s *Settings) bool { p := own(s); return p.MinVersion == low && p.MaxVersion == high }
	}
	client := func(auth sni.ClientAuth) func(*Settings) bool {
		return func(s *Settings) bool { return own(s).Client == auth && own(s).ClientCA.Path() == "/ca" }
	}
	for _, test := range []struct {
		lines []string
		err   string // a mistake or warning; all of them begin with FILE:LINE: OPTION:
		holds func(*Settings) bool
	}{
		{lines: []string{https}, holds: versions(tls.VersionTLS12, 0)},
		{lines: []string{https}, holds: offers("h2", "http/1.1")},
		{lines: []string{"https-socket = :443,/c,/k"}, holds: versions(tls.VersionTLS12, 0)},
		{lines: []string{"https = :443,/c,/k,HIGH,/ca"}, holds: client(sni.RequestClientCert)},
		{lines: []string{"https = :443,/c,/k,HIGH,!/ca"}, holds: client(sni.RequireClientCert)},
		{lines: []string{"https = :443,/c,/k,HIGH,"}, err: "f.ini:1: https: the file of client CAs is empty"},
		{lines: []string{"https = :443,/c,/k,HIGH,!"}, err: "f.ini:1: https: the file of client CAs is empty"},
		{lines: []string{"https = :443,/c,/k,RC4"}, err: "f.ini:1: https: "},
		{lines: []string{"https = 443,/c,/k"}, err: "f.ini:1: https: "},
		{lines: []string{"https = :443,-----BEGIN CERTIFICATE-----,x"}, err: "put it into a file"},
		{lines: []string{"https2 = addr=:443,cert=/c,key=/k,ciphers=HIGH,clientca=!/ca"}, holds: client(sni.RequireClientCert)},
		{lines: []string{"https2 = addr=:443,crt=/c,key=/k,client_ca=/ca"}, holds: client(sni.RequestClientCert)},
		{lines: []string{"https2 = addr=:443,cert=/c,key=/k,cyphers=HIGH"}, err: `f.ini:1: https2: unknown key "cyphers", did you mean "ciphers"?`},
		{lines: []string{"https2 = addr=:443,cert=/c"}, err: "f.ini:1: https2: "},
		{lines: []string{"https-http2 = false", https}, holds: offers("http/1.1")},
		{lines: []string{"https-http2 = false", "https2 = addr=:443,cert=/c,key=/k,spdy=1"}, holds: offers("h2", "http/1.1")},

		{lines: []string{"ssl-verify-depth = 3", https}, holds: func(s *Settings) bool { return own(s).VerifyDepth == 3 }},
		{lines: []string{https, "ssl-verify-depth = 3"}, holds: func(s *Settings) bool { return own(s).VerifyDepth == 3 }},
		{lines: []string{https, "ssl-verify-depth = 0"}, holds: func(s *Settings) bool { return own(s).VerifyDepth == sni.NoneBetween }},
		{lines: []string{https}, holds: func(s *Settings) bool { return own(s).VerifyDepth == 1 }},

		{lines: []string{https, "ssl-enable3"}, err: "f.ini:2: ssl-enable3: SSL 3 is broken"},
		{lines: []string{https, "ssl-enable-sslv3 = true"}, err: "SSL 3 is broken"},
		{lines: []string{https, "ssl-enable3 = false"}, holds: versions(tls.VersionTLS12, 0)},
		{lines: []string{https, "ssl-enable-tlsv1"}, err: "f.ini:2: ssl-enable-tlsv1: TLS 1.0 and 1.1 are broken and refused: leave the line out, or write ssl-i-know = true"},
		{lines: []string{https, "ssl-enable-tlsv1 = false"}, holds: versions(tls.VersionTLS12, 0)},
		{lines: []string{https, "ssl-enable-tlsv1", "ssl-i-know = true"}, holds: versions(tls.VersionTLS10, 0)},
		{lines: []string{https, "ssl-enable-tlsv1", "ssl-min-version = 1.2"}, holds: versions(tls.VersionTLS12, 0)},
		{lines: []string{https, "ssl-min-version = 1.1"}, err: "f.ini:2: ssl-min-version: TLS 1.0 and 1.1 are broken"},
		{lines: []string{https, "ssl-min-version = 1.1", "ssl-i-know"}, holds: versions(tls.VersionTLS11, 0)},
		{lines: []string{https, "ssl-min-version = 1.3"}, holds: versions(tls.VersionTLS13, 0)},
		{lines: []string{https, "ssl-min-version = 3"}, err: `f.ini:2: ssl-min-version: want 1.2 or 1.3, got "3"`},

		{lines: []string{"ssl-option = 536870912", https}, holds: versions(tls.VersionTLS12, tls.VersionTLS12)},
		{lines: []string{https, "ssl-option = 536870912"}, holds: versions(tls.VersionTLS12, tls.VersionTLS12)},
		{lines: []string{https, "ssl-option = 536870912", "ssl-option = 16384"}, holds: func(s *Settings) bool { return own(s).NoTickets && own(s).MaxVersion == tls.VersionTLS12 }},
		{lines: []string{https, "ssl-option = 536870912", "ssl-option = 134217728"}, err: "f.ini:3: ssl-option: the bits leave no TLS version"},
		{lines: []string{https, "ssl-option = NO_TLS"}, err: "f.ini:2: ssl-option: "},
		{lines: []string{https, "ssl-option = 4"}, err: "f.ini:2: warning: ssl-option: the bits 0x4 have no effect"},

		{lines: []string{https, "ssl-sessions-timeout = 300"}, holds: func(s *Settings) bool { return own(s).SessionTime.Seconds() == 300 }},
		{lines: []string{"https-session-context = x", https}, holds: func(s *Settings) bool { return s.certificates.https[0].options.SessionContext == "x" }},
		{lines: []string{https, "https-session-context = x"}, holds: func(s *Settings) bool { return s.certificates.https[0].options.SessionContext == "" }},
		{lines: []string{https, "https-export-cert"}, holds: func(s *Settings) bool { return s.certificates.vars.ExportCertificate }},
		{lines: []string{https, "https-export-tls"}, holds: func(s *Settings) bool { return s.certificates.vars.Details }},
		{lines: []string{https, "https-hsts = max-age=1"}, holds: func(s *Settings) bool {
			return string(s.certificates.hsts) == "Strict-Transport-Security: max-age=1\r\n"
		}},
		{lines: []string{https, "https-hsts = a\x01b"}, err: "f.ini:2: https-hsts: "},

		{lines: []string{"sni = a.test /c,/k,HIGH,!/ca"}, holds: func(s *Settings) bool {
			c, ok := s.certificates.table.Find("a.test")
			return ok && c.Policy.Client == sni.RequireClientCert
		}},
		{lines: []string{"sni = a.test /c,/k,HIGH,"}, err: "f.ini:1: sni: the file of client CAs is empty"},
		{lines: []string{`sni-regexp = ^(\w+)\.test$ /$1.c,/$1.k,HIGH,!/$1.ca`}, holds: func(s *Settings) bool {
			c, ok := s.certificates.table.Find("a.test")
			return ok && c.Policy.Client == sni.RequireClientCert && c.ClientCA.Path() == "/a.ca"
		}},
		{lines: []string{"sni-regexp = ( /c,/k"}, err: "f.ini:1: sni-regexp: "},
		{lines: []string{"sni-regexp = *.a.test /c,/k"}, err: `f.ini:1: warning: sni-regexp: "*.a.test" is no regular expression and read as a wildcard`},
		{lines: []string{"sni-dir = /d", "sni-dir-ciphers = RC4"}, err: "f.ini:2: sni-dir-ciphers: "},
	} {
		s, err := compiled(t, test.lines...)
		switch {
		case test.err != "":
			if !strings.Contains(err, test.err) {
				t.Errorf("%q: error %q, want %q", test.lines, err, test.err)
			}
		case err != "" || !test.holds(s):
			t.Errorf("%q: does not hold (%s)", test.lines, err)
		}
	}
	set, err := config.NewSet(Options)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ssl-tmp-dir", "ssl-verbose", "ssl-sessions-use-cache", "ssl-session-use-cache", "https-socket-modifier1", "https-socket-modifier2"} {
		if o, ok := set.Lookup(name); !ok || o.Ignored == "" {
			t.Errorf("%s: nothing says why it is without effect", name)
		}
	}
}
