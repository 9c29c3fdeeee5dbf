package router

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/sni"
	"emperor/router/stream"
)

// mostChecked bounds how many pairs of a folder `check` reads.
const mostChecked = 2000

// CheckCertificates reads every pair that the configuration names, with the rights
// of the caller, and tells what is wrong or about to be. A pair that is wrong harms
// its name only, so the front would start all the same.
func CheckCertificates(configuration *link.Configuration, now time.Time) config.Problems {
	set, err := config.NewSet(Options)
	if err != nil {
		return config.Problems{{Text: err.Error()}}
	}
	c := options(set, configuration.Options)
	settings, _ := compile(c, &supply{checking: true, given: configuration.Resources})
	k := &certificateCheck{now: now, shared: map[string]bool{}}
	if !settings.streams.shared {
		k.streams = settings.streams.table
	}
	for _, v := range c.All(append([]string{"sni", "sni-regexp"}, secureOptions...)...) {
		switch v.Key {
		case optionHTTPS, optionHTTPS2, optionSSLRouter, optionSSLRouter2:
			if h, err := parseSecure(v); err == nil && h.OwnCertificate {
				k.files(v, h.Files, "")
			}
		case "sni":
			if n, err := sni.ParseSNI(v.Value); err == nil {
				k.files(v, n.Files, n.Name)
			}
		}
		// The paths of an sni-regexp depend on names nobody has asked for yet.
	}
	k.listeners(c, settings)
	for _, note := range settings.certificates.notes {
		if note.Key != "sni" { // of those, every file was looked at
			k.problems = append(k.problems, note)
		}
	}
	for _, d := range settings.certificates.names.Directories {
		v := config.Value{Key: "sni-dir"}
		for _, line := range c.All("sni-dir") {
			if line.Value == d.Path {
				v = line
			}
		}
		for i := range d.Names {
			if i == mostChecked {
				k.warn(v, fmt.Sprintf("only the first %d of %d pairs were looked at", i, len(d.Names)))
				break
			}
			// Asked as a client would.
			name := d.Names[i].Name
			choice, ok := settings.certificates.table.Find(strings.Replace(name, "*", "any", 1))
			if !ok {
				continue
			}
			q := link.PairRequest{Name: name, Certificate: choice.Source.Certificate.Path(), Key: choice.Source.Key.Path()}
			if !choice.ClientCA.IsZero() {
				q.ClientCA = choice.ClientCA.Path()
			}
			k.pair(v, q, name)
		}
	}
	return k.problems
}

// listeners warns of listeners that have nothing to show, and of certificates that no
// listener shows.
func (k *certificateCheck) listeners(c *config.Config, settings *Settings) {
	s := &settings.certificates
	if s.table.Len() == 0 && !c.Has("sni") && !c.Has("sni-regexp") && !c.Bool("acme") && !c.Has(optionAnnouncedPairs) {
		for _, l := range s.https {
			if l.options.Own == nil && !settings.streams.peeks && isHTTPS(l.line.Key) { // else bytes may go on as they are
				k.warn(l.line, "no name has a certificate, so that each handshake would fail: want ADDRESS,CRT,KEY, or lines of sni, sni-dir or acme")
			}
		}
	}
	if all := c.All("sni", "sni-regexp", "sni-dir"); len(s.https) == 0 && len(all) > 0 && len(c.All(secureOptions...)) == 0 {
		k.warn(all[0], "no listener shows certificates: want https = ADDRESS")
	}
}

type certificateCheck struct {
	now      time.Time
	streams  *stream.Table   // nil: whose names they cover is not asked for
	shared   map[string]bool // certificates that were said to cover names of streams
	problems config.Problems
}

func (k *certificateCheck) fail(v config.Value, text string) {
	k.problems = append(k.problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: text})
}

func (k *certificateCheck) warn(v config.Value, text string) {
	k.problems = append(k.problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: text, Warning: true})
}

func (k *certificateCheck) files(v config.Value, f sni.Files, name string) {
	k.pair(v, link.PairRequest{Certificate: f.Certificate, Key: f.Key, ClientCA: f.ClientCA}, name)
}

func (k *certificateCheck) pair(v config.Value, q link.PairRequest, name string) {
	pair, err := readPair(&q)
	if err != nil {
		k.fail(v, err.Error())
	}
	if pair == nil {
		return
	}
	for _, note := range pair.Notes {
		k.warn(v, q.Certificate+": "+note)
	}
	if name != "" && name != "*" && !covers(pair.DNSNames(), name) {
		k.warn(v, fmt.Sprintf("%s is for %s, not for %s: browsers will refuse it", q.Certificate, strings.Join(pair.DNSNames(), " "), name))
	}
	if text := k.streams.Covered(pair.DNSNames()); text != "" && !k.shared[q.Certificate] {
		k.shared[q.Certificate] = true
		k.warn(v, q.Certificate+": "+text)
	}
	if pair.Leaf != nil {
		e := sni.Expiry{Source: q.Certificate, NotAfter: pair.Leaf.NotAfter}
		switch step := e.Step(k.now); {
		case step == 0:
			k.fail(v, fmt.Sprintf("%s ended on %s", q.Certificate, e.NotAfter.Format(time.DateOnly)))
		case step > 0:
			k.warn(v, fmt.Sprintf("%s ends on %s, in %d days", q.Certificate, e.NotAfter.Format(time.DateOnly), e.Days(k.now)))
		}
	}
}

// readPair reads what a handshake would need, with the rights of the caller. With the
// error that the client CAs are none there is a pair.
func readPair(q *link.PairRequest) (*sni.Pair, error) {
	m, err := readMaterial(q)
	if err != nil {
		return nil, err
	}
	pair, err := sni.ParsePair(m.Certificate, m.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", q.Certificate, err)
	}
	if q.ClientCA != "" && !x509.NewCertPool().AppendCertsFromPEM(m.ClientCA) {
		return pair, fmt.Errorf("%s: no CA certificate in PEM form", q.ClientCA)
	}
	return pair, nil
}

// covers tells whether a certificate with these names is good for name, which may
// be a wildcard.
func covers(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
		if parent, ok := strings.CutPrefix(n, "*."); ok {
			if _, after, found := strings.Cut(name, "."); found && after == parent {
				return true
			}
		}
	}
	return false
}
