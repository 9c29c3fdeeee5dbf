package sni

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
)

// failed reports what the client was told: the text of an alert.
func (r *result) failed() string {
	if r.clientErr == nil && r.serverErr == nil {
		return ""
	}
	return strings.TrimPrefix(fmt.Sprint(r.clientErr), "remote error: tls: ")
}

func TestUnknownNames(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"))
	own := w.site("default.example.com")
	strict := w.listener(ListenerOptions{})
	tolerant := w.listener(ListenerOptions{Own: &own})
	for _, tt := range []struct{ asked, note, without, with string }{
		{"a.example.com", `name "a.example.com": certificate /sni/a.example.com.crt (sni a.example.com, main.ini:1)`, "", "a.example.com"},
		{"A.EXAMPLE.com", `name "A.EXAMPLE.com": certificate /sni/a.example.com.crt (sni a.example.com, main.ini:1)`, "", "a.example.com"},
		{"b.example.com", `name "b.example.com": certificate /sni/default.example.com.crt (default, main.ini:1): unknown name`, "unrecognized name", "default.example.com"},
		{"", `no name: certificate /sni/default.example.com.crt (default, main.ini:1)`, "unrecognized name", "default.example.com"},
	} {
		client := w.trusting(tt.asked)
		client.InsecureSkipVerify = true
		r := handshake(strict, client)
		if got := r.failed(); got != tt.without {
			t.Errorf("%q without a default: %q, want %q", tt.asked, got, tt.without)
		}
		r = handshake(tolerant, client)
		if r.failed() != "" || r.client.PeerCertificates[0].Subject.CommonName != tt.with || r.note.String() != tt.note {
			t.Errorf("%q with a default: %q, %s\nwant %s", tt.asked, r.failed(), r.note, tt.note)
		}
	}
}

func TestBrokenPairHarmsItsNameOnly(t *testing.T) {
	w := newWorld(t)
	broken := w.site("broken.example.com")
	w.files.put(broken.Source.Key.Path(), []byte("nothing"))
	w.serve(w.site("a.example.com"), broken)
	own := w.site("default.example.com")
	l := w.listener(ListenerOptions{Own: &own})
	for name, want := range map[string]string{"a.example.com": "a.example.com", "broken.example.com": "default.example.com"} {
		client := w.trusting(name)
		client.InsecureSkipVerify = true
		r := handshake(l, client)
		r.serialOf(t)
		if got := r.client.PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%s: the certificate of %s, want %s", name, got, want)
		}
		if name != want && !strings.Contains(r.note.String(), "key: there is none") {
			t.Errorf("note %s", r.note)
		}
	}
	// With nothing to show instead, both reasons count.
	other := w.site("other.example.com")
	w.files.put(other.Source.Key.Path(), []byte("nothing"))
	r := handshake(w.listener(ListenerOptions{Own: &other}), w.trusting("broken.example.com"))
	if text := r.note.String(); r.failed() != "unrecognized name" || !strings.Contains(text, "/sni/broken.example.com.key: key: there is none") ||
		!strings.Contains(text, "and the listener's own: /sni/other.example.com.crt, ") {
		t.Errorf("%s, note %s", r.failed(), text)
	}
}

func TestProtocolsAndVersions(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com")
	policy := func(change func(*Policy)) Entry {
		other := e
		change(&other.Policy)
		return other
	}
	ciphers := func(text string) Ciphers {
		c, _, err := ParseCiphers(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tt := range []struct {
		name     string
		entry    Entry
		listener ListenerOptions
		client   func(*tls.Config)
		alert    string
		version  uint16
		protocol string
		cipher   uint16
	}{
		{name: "the default", entry: e, version: tls.VersionTLS13, protocol: "h2"},
		{name: "TLS 1.2", entry: e, client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, version: tls.VersionTLS12, protocol: "h2"},
		{name: "TLS 1.1", entry: e, client: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, alert: "protocol version not supported"},
		{name: "TLS 1.1 where allowed", entry: policy(func(p *Policy) { p.MinVersion = tls.VersionTLS10 }),
			client: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, version: tls.VersionTLS11, protocol: "http/1.1"},
		{name: "TLS 1.1 and HTTP/2 only", entry: policy(func(p *Policy) { p.MinVersion = tls.VersionTLS10 }),
			client: func(c *tls.Config) {
				c.MinVersion, c.MaxVersion, c.NextProtos = tls.VersionTLS10, tls.VersionTLS11, []string{"h2"}
			}, alert: "no application protocol"},
		{name: "TLS 1.0 to 1.3 where allowed", entry: policy(func(p *Policy) { p.MinVersion = tls.VersionTLS10 }),
			client: func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }, version: tls.VersionTLS13, protocol: "h2"},
		{name: "TLS 1.2 with a suite that HTTP/2 forbids", entry: e,
			client: func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
			}, version: tls.VersionTLS12, protocol: "http/1.1", cipher: tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
		{name: "TLS 1.2 with a suite that HTTP/2 allows, for keys of another kind", entry: e,
			client: func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
			}, version: tls.VersionTLS12, protocol: "http/1.1", cipher: tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
		{name: "TLS 1.3 is the name's newest no more", entry: policy(func(p *Policy) { p.MaxVersion = tls.VersionTLS12 }),
			client: func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA} }, version: tls.VersionTLS12, protocol: "http/1.1"},
		{name: "no TLS 1.3", entry: policy(func(p *Policy) { p.MaxVersion = tls.VersionTLS12 }), version: tls.VersionTLS12, protocol: "h2"},
		{name: "no HTTP/2 for this name", entry: policy(func(p *Policy) { p.NoHTTP2 = true }), version: tls.VersionTLS13, protocol: "http/1.1"},
		{name: "no HTTP/2 on this listener", entry: e, listener: ListenerOptions{Protocols: []string{"http/1.1"}}, version: tls.VersionTLS13, protocol: "http/1.1"},
		{name: "no ALPN", entry: e, listener: ListenerOptions{Protocols: []string{}}, version: tls.VersionTLS13},
		{name: "no ALPN asked for", entry: e, client: func(c *tls.Config) { c.NextProtos = nil }, version: tls.VersionTLS13},
		{name: "another ALPN", entry: e, client: func(c *tls.Config) { c.NextProtos = []string{"imap"} }, alert: "no application protocol"},
		{name: "one cipher", entry: policy(func(p *Policy) { p.Ciphers = ciphers("ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-CHACHA20-POLY1305") }),
			client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, version: tls.VersionTLS12, protocol: "h2", cipher: tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
		{name: "ciphers that HTTP/2 forbids", entry: policy(func(p *Policy) { p.Ciphers = ciphers("ECDHE-ECDSA-AES256-SHA") }),
			client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, version: tls.VersionTLS12, protocol: "http/1.1", cipher: tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA},
		{name: "no common cipher", entry: policy(func(p *Policy) { p.Ciphers = ciphers("ECDHE-ECDSA-AES256-SHA") }),
			client: func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			}, alert: "handshake failure"},
		{name: "ciphers of TLS 1.3", entry: policy(func(p *Policy) { p.Ciphers = ciphers("TLS_AES_128_GCM_SHA256") }),
			client: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, alert: "protocol version not supported"},
	} {
		w.serve(tt.entry)
		client := w.trusting("a.example.com")
		if tt.client != nil {
			tt.client(client)
		}
		r := handshake(w.listener(tt.listener), client)
		if got := r.failed(); got != tt.alert {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.alert)
			continue
		}
		if tt.alert == "" && (r.server.Version != tt.version || r.server.NegotiatedProtocol != tt.protocol || tt.cipher != 0 && r.server.CipherSuite != tt.cipher) {
			t.Errorf("%s: %s, ALPN %q, %s", tt.name, tls.VersionName(r.server.Version), r.server.NegotiatedProtocol, CipherName(r.server.CipherSuite))
		}
	}
}

func TestKeyExchangeIsPostQuantum(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"))
	if r := handshake(w.listener(ListenerOptions{}), w.trusting("a.example.com")); r.server.CurveID != tls.X25519MLKEM768 {
		t.Errorf("key exchange %v (client %v)", r.server.CurveID, r.clientErr)
	}
}

func TestClientCertificates(t *testing.T) {
	w := newWorld(t)
	staff, strangers := newAuthority(t, "staff"), newAuthority(t, "strangers")
	near := newIntermediate(t, staff, "near")
	far := newIntermediate(t, near, "far")
	anyDepth := w.asks(w.site("any.example.com"), RequireClientCert, staff)
	anyDepth.Policy.VerifyDepth = -1
	itself := w.asks(w.site("itself.example.com"), RequireClientCert, staff)
	itself.Policy.VerifyDepth = NoneBetween
	byPattern := w.asks(Entry{Pattern: `^(r)\.example\.com$`, Source: Files{Certificate: "/sni/$1.crt", Key: "/sni/$1.key"}.Source()}, RequireClientCert, staff)
	certificate, key := w.ca.issue(t, "r.example.com")
	w.files.put("/sni/r.crt", certificate)
	w.files.put("/sni/r.key", key)
	w.serve(
		w.asks(w.site("request.example.com"), RequestClientCert, staff),
		w.asks(w.site("require.example.com"), RequireClientCert, staff),
		anyDepth, itself, byPattern, w.site("open.example.com"),
	)
	l := w.listener(ListenerOptions{})
	none := tls.Certificate{}
	member := staff.client(t, "member one")
	for _, tt := range []struct {
		name        string
		certificate tls.Certificate
		alert13     string // in TLS 1.3
		alert12     string
		dn          string
	}{
		{"open", none, "", "", ""},
		{"open", member, "", "", ""},
		{"request", none, "", "", ""},
		{"request", member, "", "", "/CN=member one"},
		{"request", strangers.client(t, "stranger"), "unknown certificate authority", "unknown certificate authority", ""},
		{"require", none, "certificate required", "handshake failure", ""},
		{"require", member, "", "", "/CN=member one"},
		{"require", strangers.client(t, "stranger"), "unknown certificate authority", "unknown certificate authority", ""},
		{"require", near.client(t, "one between"), "", "", "/CN=one between"},
		{"require", far.client(t, "two between"), "bad certificate", "bad certificate", ""},
		{"any", far.client(t, "two between"), "", "", "/CN=two between"},
		{"itself", member, "", "", "/CN=member one"},
		{"itself", near.client(t, "one between"), "bad certificate", "bad certificate", ""},
		{"r", none, "certificate required", "handshake failure", ""},
		{"r", member, "", "", "/CN=member one"},
		{"r", strangers.client(t, "stranger"), "unknown certificate authority", "unknown certificate authority", ""},
	} {
		for version, alert := range map[uint16]string{tls.VersionTLS13: tt.alert13, tls.VersionTLS12: tt.alert12} {
			client := w.trusting(tt.name + ".example.com")
			client.MaxVersion = version
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.certificate, nil }
			r := handshake(l, client)
			dn := ""
			if c := NewClient(&r.server); c != nil {
				dn = c.DN
			}
			if r.failed() != alert || dn != tt.dn {
				t.Errorf("%s, %s to %s: %q (%v), DN %q; want %q, DN %q", tls.VersionName(version), tt.dn, tt.name, r.failed(), r.serverErr, dn, alert, tt.dn)
			}
		}
	}
}

func TestMisdirectedRequests(t *testing.T) {
	w := newWorld(t)
	staff, club := newAuthority(t, "staff"), newAuthority(t, "club")
	old, _, err := ParseCiphers("HIGH:!SHA1")
	if err != nil {
		t.Fatal(err)
	}
	strict := w.site("ciphers.example.com")
	strict.Policy.Ciphers = old
	same, _, err := ParseCiphers("DEFAULT")
	if err != nil {
		t.Fatal(err)
	}
	spelled := w.site("spelled.example.com")
	spelled.Policy.Ciphers = same
	entries := []Entry{
		w.site("open.example.com"), w.site("other.example.com"), w.site("*.example.net"), strict, spelled,
		w.asks(w.site("staff.example.com"), RequireClientCert, staff),
		w.asks(w.site("staff2.example.com"), RequireClientCert, staff),
		w.asks(w.site("asked.example.com"), RequestClientCert, staff),
		w.asks(w.site("club.example.com"), RequireClientCert, club),
	}
	w.serve(entries...)
	own := w.site("default.example.com")
	ownStaff := w.asks(w.site("default.example.com"), RequireClientCert, staff)
	for _, tt := range []struct {
		own       *Entry
		sni, host string
		want      bool
	}{
		{&own, "open.example.com", "open.example.com", false},
		{&own, "open.example.com", "other.example.com", false},
		{&own, "open.example.com", "a.example.net", false},
		{&own, "open.example.com", "spelled.example.com", false},
		{&own, "open.example.com", "unknown.example.com", false},
		{&own, "open.example.com", "ciphers.example.com", true},
		{&own, "open.example.com", "staff.example.com", true},
		{&own, "open.example.com", "STAFF.example.com.", true},
		{&own, "open.example.com", "192.0.2.1", false},
		{&ownStaff, "open.example.com", "192.0.2.1", true},
		{&own, "", "staff.example.com", true},
		{&own, "", "open.example.com", false},
		{&own, "192.0.2.1", "staff.example.com", true},
		{&own, "unknown.example.com", "staff.example.com", true},
		{&own, "staff.example.com", "staff.example.com", false},
		{&own, "staff.example.com", "staff2.example.com", false},
		{&own, "staff.example.com", "asked.example.com", true},
		{&own, "staff.example.com", "club.example.com", true},
		{&own, "staff.example.com", "open.example.com", true},
		{&ownStaff, "open.example.com", "unknown.example.com", true},
		{&ownStaff, "", "staff.example.com", false},
		{nil, "open.example.com", "unknown.example.com", false},
		{nil, "open.example.com", "staff.example.com", true},
	} {
		l := w.listener(ListenerOptions{Own: tt.own})
		client := w.trusting(tt.sni)
		client.InsecureSkipVerify = true
		client.Certificates = []tls.Certificate{staff.client(t, "member")}
		r := handshake(l, client)
		r.serialOf(t)
		if got := l.Misdirected(r.note, tt.host); got != tt.want {
			t.Errorf("connection to %q (%s), request for %s: misdirected %t, want %t", tt.sni, r.note, tt.host, got, tt.want)
		}
	}
}

// Connections that are there when the configuration changes go on, unless a client
// certificate is asked for now that was not before.
func TestMisdirectedAfterAChange(t *testing.T) {
	w := newWorld(t)
	staff := newAuthority(t, "staff")
	plain := w.site("a.example.com")
	suites, _, _ := ParseCiphers("AESGCM")
	fewer := plain
	fewer.Policy.Ciphers = suites
	asks := w.asks(plain, RequireClientCert, staff)
	for _, tt := range []struct {
		before, after Entry
		want          bool
	}{{plain, plain, false}, {plain, fewer, false}, {plain, asks, true}, {asks, plain, false}, {asks, asks, false}} {
		w.serve(tt.before)
		l := w.listener(ListenerOptions{})
		client := w.trusting("a.example.com")
		client.Certificates = []tls.Certificate{staff.client(t, "member")}
		r := handshake(l, client)
		r.serialOf(t)
		w.serve(tt.after)
		if got := l.Misdirected(r.note, "a.example.com"); got != tt.want {
			t.Errorf("%+v, then %+v: %t", tt.before.Policy.ID(), tt.after.Policy.ID(), got)
		}
	}
	// A broken pair is no way around what its name demands.
	broken := w.asks(w.site("b.example.com"), RequireClientCert, staff)
	w.files.remove(broken.Source.Key.Path())
	w.serve(broken)
	own := w.site("default.example.com")
	l := w.listener(ListenerOptions{Own: &own})
	client := w.trusting("b.example.com")
	client.InsecureSkipVerify = true
	r := handshake(l, client)
	r.serialOf(t)
	if r.note.Choice.Kind != Default || !l.Misdirected(r.note, "b.example.com") {
		t.Errorf("%s: misdirected %t", r.note, l.Misdirected(r.note, "b.example.com"))
	}
}

func TestPolicyIDs(t *testing.T) {
	base := Policy{}
	ca := Policy{Client: RequireClientCert, ClientCA: File{Name: "/ca"}}
	ids := map[PolicyID]string{base.ID(): "base"}
	for name, p := range map[string]Policy{
		"versions": {MaxVersion: tls.VersionTLS12}, "HTTP/1.1": {NoHTTP2: true}, "required": ca,
		"requested":  {Client: RequestClientCert, ClientCA: File{Name: "/ca"}},
		"another CA": {Client: RequireClientCert, ClientCA: File{Name: "/ca2"}},
		"depth":      {Client: RequireClientCert, ClientCA: File{Name: "/ca"}, VerifyDepth: 3},
	} {
		if other, ok := ids[p.ID()]; ok {
			t.Errorf("%s and %s have the same ID", name, other)
		}
		ids[p.ID()] = name
	}
	for name, p := range map[string]Policy{
		"spelled versions":    {MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
		"CA nobody asks":      {ClientCA: File{Name: "/ca"}},
		"depth nobody asks":   {VerifyDepth: 3},
		"Go's suites spelled": {Ciphers: Ciphers{chosen: secureSuites}},
	} {
		if p.ID() != base.ID() {
			t.Errorf("%s: another ID than that of the default", name)
		}
	}
	ca.VerifyDepth = DefaultVerifyDepth
	if ids[ca.ID()] != "required" {
		t.Error("the default depth, spelled, is another ID")
	}
}

// What a handshake asks of this package once its pair is loaded costs no memory.
func TestChoosingAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	w.certs.SetTable(bigTable(t, 1000))
	certificate, key := w.ca.issue(t, "site-7.example.com")
	w.files.put("/etc/customers/site-7.example.com.crt", certificate)
	w.files.put("/etc/customers/site-7.example.com.key", key)
	own := w.site("default.example.com")
	l := w.listener(ListenerOptions{Own: &own})
	h := &Handshake{}
	for _, name := range []string{"site-7.example.com", "unknown.example.com", ""} {
		choose := func() {
			if pair := l.choose(t.Context(), h, name); pair == nil || pair.configFor(&h.Choice, l.flavour, w.ring, w.certs.options.Now) == nil {
				t.Fatal("no configuration")
			}
		}
		choose()
		if n := testing.AllocsPerRun(100, choose); n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}
