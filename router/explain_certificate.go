package router

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"emperor/internal/link"
	"emperor/router/sni"
)

// explainCertificate tells which pair a client gets that asks for the URL's host, in
// the words of the log of handshakes that failed. It does what a handshake does, with
// the rights of whoever asks. The answer is whether there is one, as far as they see.
func explainCertificate(out *strings.Builder, s *Settings, configuration *link.Configuration, u *url.URL) bool {
	all, l, err := certificatesFor(s, listenerFor(configuration, u))
	if err != nil {
		fmt.Fprintf(out, "handshake  none: %v\n", err)
		return false
	}
	defer all.Close()
	h := l.Explain(context.Background(), u.Hostname())
	if choice, ok := all.Table().Find(h.Name); ok && choice.Kind == sni.Ordered {
		fmt.Fprintf(out, "handshake  name %q: the certificate that the emperor orders for it (acme, %s; emperor certs); without one:\n", h.Name, choice.At)
	}
	fmt.Fprintf(out, "handshake  %s\n", &h)
	hidden := errors.Is(h.Reason, fs.ErrPermission)
	if hidden {
		fmt.Fprintln(out, "           (you may not read that; the emperor may be allowed to)")
	}
	if h.Choice.Kind == sni.Unknown {
		fmt.Fprintln(out, "           and the client gets the alert unrecognized_name")
	}
	return hidden || h.Choice.Kind != sni.Unknown
}

// certificatesFor is what a listener's clients are shown; nil is a listener without a
// certificate of its own. Without an error the certificates must be closed.
func certificatesFor(s *Settings, listener *link.Listener) (*sni.Certificates, *sni.Listener, error) {
	all := sni.NewCertificates(sni.Options{Loader: &materials{}})
	all.SetTable(s.certificates.table)
	var of sni.ListenerOptions
	if listener != nil {
		for i := range s.certificates.https {
			if s.certificates.https[i].address == listener.Address {
				of = s.certificates.https[i].options
			}
		}
	}
	l, err := all.Listener(of)
	if err != nil {
		all.Close()
	}
	return all, l, err
}
