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
// the rights of whoever asks.
func explainCertificate(out *strings.Builder, s *Settings, configuration *link.Configuration, u *url.URL) {
	all := sni.NewCertificates(sni.Options{Loader: &materials{}})
	defer all.Close()
	all.SetTable(s.certificates.table)
	var of sni.ListenerOptions
	if l := listenerFor(configuration, u); l != nil {
		for i := range s.certificates.https {
			if s.certificates.https[i].address == l.Address {
				of = s.certificates.https[i].options
			}
		}
	}
	l, err := all.Listener(of)
	if err != nil {
		fmt.Fprintf(out, "handshake  none: %v\n", err)
		return
	}
	h := l.Explain(context.Background(), u.Hostname())
	if choice, ok := all.Table().Find(h.Name); ok && choice.Kind == sni.Ordered {
		fmt.Fprintf(out, "handshake  name %q: the certificate that the emperor orders for it (acme, %s; emperor certs); without one:\n", h.Name, choice.At)
	}
	fmt.Fprintf(out, "handshake  %s\n", &h)
	if errors.Is(h.Reason, fs.ErrPermission) {
		fmt.Fprintln(out, "           (you may not read that; the emperor may be allowed to)")
	}
	if h.Choice.Kind == sni.Unknown {
		fmt.Fprintln(out, "           and the client gets the alert unrecognized_name")
	}
}
