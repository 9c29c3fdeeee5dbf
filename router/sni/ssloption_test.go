package sni

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestSSLOption(t *testing.T) {
	old := Policy{MinVersion: tls.VersionTLS10}
	for _, tt := range []struct {
		base      Policy
		value     string
		low, high uint16
		noTickets bool
		note      string
		err       string
	}{
		{Policy{}, "0", tls.VersionTLS12, tls.VersionTLS13, false, "", ""},
		{Policy{}, "536870912", tls.VersionTLS12, tls.VersionTLS12, false, "", ""},
		{Policy{}, "0x8000000", tls.VersionTLS13, tls.VersionTLS13, false, "", ""},
		{Policy{}, "16384", tls.VersionTLS12, tls.VersionTLS13, true, "", ""},
		{Policy{}, "0x42430000", tls.VersionTLS12, tls.VersionTLS13, false, "", ""},
		{old, "0x04000000", tls.VersionTLS11, tls.VersionTLS13, false, "", ""},
		{old, "0x34000000", tls.VersionTLS12, tls.VersionTLS12, false, "", ""},
		{Policy{}, "4", tls.VersionTLS12, tls.VersionTLS13, false, "the bits 0x4 have no effect", ""},
		{Policy{}, "0x28000000", 0, 0, false, "", "leave no TLS version"},
		{old, "0x10000000", 0, 0, false, "", "leave a version out between TLS 1.0 and TLS 1.3"},
		{Policy{}, "SSL_OP_NO_TLSv1", 0, 0, false, "", "is no number of SSL_OP_ bits, want one such as"},
	} {
		p, note, err := tt.base.WithSSLOption(tt.value)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.value, err, tt.err)
			}
			continue
		}
		if err != nil || p.MinVersion != tt.low || p.MaxVersion != tt.high || p.NoTickets != tt.noTickets || !strings.Contains(note, tt.note) || tt.note == "" && note != "" {
			t.Errorf("%s: %+v, %q, %v", tt.value, p, note, err)
		}
	}
}

func TestWithoutTicketsNothingIsResumed(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com")
	e.Policy.NoTickets = true
	w.serve(e)
	l := w.listener(ListenerOptions{})
	if w.resumes(l, l, func() {}) {
		t.Error("a session is resumed")
	}
}
