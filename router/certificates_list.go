package router

import (
	"path/filepath"
	"strings"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/sni"
)

// ListCertificates tells of every certificate that the options name where it is and
// when it ends, by reading it with the rights of the caller. Those of sni-regexp are
// not known before somebody asks for them.
func ListCertificates(configuration *link.Configuration) []link.Certificate {
	set, err := config.NewSet(Options)
	if err != nil {
		return nil
	}
	c := options(set, configuration.Options)
	var all []link.Certificate
	for _, v := range c.All(append([]string{"sni", "sni-regexp"}, secureOptions...)...) {
		one := link.Certificate{Option: v.Key, At: v.Pos.String()}
		switch v.Key {
		case optionHTTPS, optionHTTPS2, optionSSLRouter, optionSSLRouter2:
			h, err := parseSecure(v)
			if err != nil || !h.OwnCertificate {
				continue
			}
			one.Name = strings.Join(inspect(&one, &link.PairRequest{Certificate: h.Certificate, Key: h.Key, ClientCA: h.ClientCA}), " ")
		case "sni":
			n, err := sni.ParseSNI(v.Value)
			if err != nil {
				continue
			}
			one.Name = n.Name
			if names := inspect(&one, &link.PairRequest{Certificate: n.Certificate, Key: n.Key, ClientCA: n.ClientCA}); one.Name == "" {
				one.Name = strings.Join(names, " ")
			}
		default:
			n, err := sni.ParseSNIRegexp(v.Value)
			if err != nil {
				continue
			}
			one.Name, one.File = n.Pattern, n.Certificate
		}
		all = append(all, one)
	}
	settings, _ := compile(c, &supply{checking: true, given: configuration.Resources})
	for _, d := range settings.certificates.names.Directories {
		for i := range d.Names {
			name := d.Names[i].Name
			// Asked as a client would.
			choice, ok := settings.certificates.table.Find(strings.Replace(name, "*", "any", 1))
			if !ok || choice.Source.Certificate.Directory != filepath.Clean(d.Path) && choice.Source.Certificate.Directory != strings.TrimRight(d.Path, "/") {
				continue // another option has the name
			}
			one := link.Certificate{Name: name, Option: "sni-dir", At: d.At}
			q := link.PairRequest{Certificate: choice.Source.Certificate.Path(), Key: choice.Source.Key.Path()}
			if !choice.ClientCA.IsZero() {
				q.ClientCA = choice.ClientCA.Path()
			}
			inspect(&one, &q)
			all = append(all, one)
		}
	}
	return all
}

// inspect says of a pair when it ends, or why a handshake could not use it, and returns
// the names that it is for. Of one that cannot be used what is known is said, too.
func inspect(c *link.Certificate, q *link.PairRequest) (names []string) {
	c.File = q.Certificate
	pair, err := readPair(q)
	if err != nil {
		c.Trouble = err.Error()
	}
	if pair != nil {
		c.Expires = pair.Leaf.NotAfter
		return pair.DNSNames()
	}
	m, err := readMaterial(&link.PairRequest{Certificate: q.Certificate})
	if err != nil {
		return nil
	}
	leaf, names, err := sni.ParseCertificate(m.Certificate)
	if err != nil {
		return nil
	}
	c.Expires = leaf.NotAfter
	return names
}
