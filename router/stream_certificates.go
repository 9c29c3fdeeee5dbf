package router

import (
	"fmt"
	"strings"

	"emperor/internal/config"
	"emperor/router/sni"
	"emperor/router/stream"
)

// warnOfCertificates warns of rules that end TLS for names for which there is no
// certificate: their clients get an alert. A listener with a certificate of its own has
// one for every name, and nodes that announce themselves may bring theirs.
func (s *streams) warnOfCertificates(c *config.Config, certificates *certificates, warn func(config.Value, error)) {
	if certificates.table == nil || len(certificates.https) == 0 || c.Has(optionSubscriptions) {
		return
	}
	for i := range certificates.https {
		if certificates.https[i].options.Own != nil {
			return
		}
	}
	for _, r := range s.table.Rules() {
		if r.Key() != "route-sni" || r.Action() != stream.TCP {
			continue
		}
		name, err := sni.CanonicalName(r.Name())
		if err != nil || !strings.Contains(name, ".") {
			continue // a wildcard, a pattern or default
		}
		if _, ok := certificates.table.Find(name); !ok {
			file, line := r.Pos()
			warn(config.Value{Key: r.Key(), Pos: config.Pos{File: file, Line: line}},
				fmt.Errorf("TLS ends here for %s, and no certificate is for it: its clients get the alert unrecognized_name; want sni = %s CERTIFICATE,KEY, or pass: for TLS to end behind", name, name))
		}
	}
}
