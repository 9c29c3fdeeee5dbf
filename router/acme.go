package router

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/sni"
)

// Certificates that an ACME certificate authority issues are ordered by the emperor,
// which keeps their keys. The front has two parts in it: its options say for which
// names, and it answers the authority's challenges with what the emperor gives it.

const optionACME = "acme"

var acmeOptions = []config.Option{
	{Name: optionACME, Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Order certificates (Let's Encrypt's, or acme-ca's) for hosts that rules spell and no other certificate is for, renew them, and serve them on every https listener. By setting it you agree to the authority's terms."},
	{Name: "acme-allow", Type: config.String, Repeat: true, Where: config.Main,
		Help: "A host such as shop.example.com, or *.example.com (one label; ordered when somebody asks for it), that rules serve without spelling it: for a rule with captures, or one for all hosts, strangers could choose names."},
	{Name: "acme-ask", Type: config.String, Where: config.Main,
		Help: "URL that is asked (?domain=NAME) whether any other host that is served may be ordered: 200 is yes. An order waits for somebody who wants the name."},
	{Name: "acme-staging", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Order from Let's Encrypt's staging authority: for trying things out, browsers do not trust it."},
	{Name: "acme-ca", Type: config.String, Where: config.Main,
		Help: "URL of another authority's ACME directory."},
	{Name: "acme-ca-root", Type: config.Path, Where: config.Main,
		Help: "PEM file of the certificates that vouch for the server of acme-ca, where the system's do not."},
	{Name: "acme-email", Type: config.String, Where: config.Main,
		Help: "Address that the authority may write to."},
	{Name: "acme-key-type", Type: config.String, Default: "p256", Where: config.Main,
		Help: "Kind of key of new certificates: p256, p384, rsa2048, rsa4096 or ed25519."},
	{Name: "acme-dir", Type: config.Path, Where: config.Main,
		Help: "Folder, only the emperor's (mode 700), of certificates, keys and the account. Default: acme below systemd's StateDirectory, in /var/lib/emperor as root, else in $XDG_STATE_HOME/emperor or ~/.local/state/emperor."},
	{Name: "acme-challenge", Type: config.String, Where: config.Main,
		Help: "How names are proved: http-01 (port 80), tls-alpn-01 (port 443), or both with a comma; default: whatever there are listeners for."},
	{Name: "acme-orders-per-week", Type: config.Int, Min: 1, Default: "300", Where: config.Main,
		Help: "Greatest number of orders in seven days, whatever happens; restarts do not begin it anew."},
}

// Let's Encrypt's directories.
const (
	letsEncrypt        = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptStaging = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

var keyTypes = []string{"p256", "p384", "rsa2048", "rsa4096", "ed25519"}

// issuance is acme as the options want it.
type issuance struct {
	on      bool
	at      config.Value
	link    link.Issuance // but for what depends on rules
	allowed []string      // of acme-allow: hosts and "*.example.com"
}

func (i *issuance) compile(c *config.Config, supply *supply, mistake func(config.Value, error)) {
	i.on = c.Bool(optionACME)
	i.at, _ = c.Last(optionACME)
	i.link = link.Issuance{
		CA: letsEncrypt, Email: c.Text("acme-email"), KeyType: strings.ToLower(c.Text("acme-key-type")),
		Directory: c.Text("acme-dir"), Ask: c.Text("acme-ask"), MostOrders: int(c.Int("acme-orders-per-week")),
	}
	if c.Bool("acme-staging") {
		i.link.CA = letsEncryptStaging
	}
	if v, ok := c.Last("acme-ca"); ok && v.Value != "" {
		if i.link.CA = v.Value; c.Bool("acme-staging") {
			mistake(v, errors.New("want either acme-ca or acme-staging"))
		}
		if u, err := url.Parse(v.Value); err != nil || u.Scheme != "https" || u.Host == "" {
			mistake(v, fmt.Errorf("want the URL of an ACME directory, https://…, got %q", v.Value))
		}
	}
	if v, ok := c.Last("acme-ask"); ok && v.Value != "" {
		if u, err := url.Parse(v.Value); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			mistake(v, fmt.Errorf("want a URL, http://… or https://…, got %q", v.Value))
		}
	}
	if v, ok := c.Last("acme-email"); ok && v.Value != "" && strings.Count(v.Value, "@") != 1 {
		mistake(v, fmt.Errorf("want an address, got %q", v.Value))
	}
	if v, ok := c.Last("acme-key-type"); ok && !slices.Contains(keyTypes, i.link.KeyType) {
		mistake(v, fmt.Errorf("want %s, got %q", strings.Join(keyTypes, ", "), v.Value))
	}
	for _, v := range c.All("acme-allow") {
		name, wildcard := strings.CutPrefix(v.Value, "*.")
		name, err := sni.CanonicalName(name)
		if err != nil {
			mistake(v, fmt.Errorf("want a host or *.DOMAIN, got %q: %w", v.Value, err))
			continue
		}
		if wildcard {
			name = "*." + name
		}
		i.allowed = append(i.allowed, name)
	}
	if v, ok := c.Last("acme-ca-root"); ok && v.Value != "" {
		roots, known, err := supply.content(v.Value, v)
		switch {
		case err != nil:
			mistake(v, err)
		case known && !x509.NewCertPool().AppendCertsFromPEM(roots):
			mistake(v, fmt.Errorf("%s: no certificate in PEM form", v.Value))
		}
		i.link.Roots = roots
	}
	i.link.Challenges = challenges(c)
	if v, ok := c.Last("acme-challenge"); ok && v.Value != "" {
		i.link.Challenges = nil
		for kind := range strings.SplitSeq(v.Value, ",") {
			if kind = strings.TrimSpace(kind); kind != link.HTTP01 && kind != link.TLSALPN01 {
				mistake(v, fmt.Errorf("want %s or %s, got %q", link.HTTP01, link.TLSALPN01, kind))
			}
			i.link.Challenges = append(i.link.Challenges, kind)
		}
	}
}

// challenges are the kinds that there are listeners for.
func challenges(c *config.Config) (kinds []string) {
	if len(c.All(optionHTTP, optionToHTTPS)) > 0 {
		kinds = append(kinds, link.HTTP01)
	}
	if len(c.All(optionHTTPS, optionHTTPS2)) > 0 {
		kinds = append(kinds, link.TLSALPN01)
	}
	return kinds
}

// mayAsk tells whether a name that rules do not spell may be ordered, by acme-allow
// alone or when acme-ask agrees.
func (i *issuance) mayAsk(name string) bool { return i.link.Ask != "" || i.isAllowed(name) }

func (i *issuance) isAllowed(name string) bool {
	_, parent, _ := strings.Cut(name, ".")
	return slices.Contains(i.allowed, name) || slices.Contains(i.allowed, "*."+parent)
}

// names makes of the rules what the certificates' table needs.
func (i *issuance) names(s *Settings, policy sni.Policy) *sni.Issued {
	if !i.on || s.rules == nil {
		return nil
	}
	issued := &sni.Issued{Directory: link.IssuedDirectory, Policy: policy, At: i.at.Pos.String()}
	spelled := s.rules.Hosts()
	for _, name := range i.allowed {
		if !strings.HasPrefix(name, "*.") {
			spelled = append(spelled, name)
		}
	}
	slices.Sort(spelled)
	for _, host := range slices.Compact(spelled) {
		if name, err := sni.CanonicalName(host); err != nil || name != host || !issuable(host) {
			continue
		}
		if _, ok := s.serves(host); ok {
			issued.Names = append(issued.Names, host)
		}
	}
	if i.link.Ask != "" || len(i.allowed) > 0 {
		issued.Serves = func(name string) bool {
			if !i.mayAsk(name) || !issuable(name) {
				return false
			}
			_, ok := s.serves(name)
			return ok
		}
	}
	return issued
}

// issuable: no authority has anything for a name without a dot or an address.
func issuable(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && strings.Contains(name, ".")
}

// decisions are for serves, which is asked at handshakes.
var decisions = sync.Pool{New: func() any { return new(rule.Decision) }}

// serves tells where a request for a host goes; false if nowhere, or if its front
// page is an error.
func (s *Settings) serves(host string) (link.Served, bool) {
	d := decisions.Get().(*rule.Decision)
	defer func() {
		d.Reset()
		decisions.Put(d)
	}()
	slash := []byte("/")
	s.rules.Match(&rule.Query{Host: []byte(host), Path: slash, URI: slash}, d)
	switch d.Kind {
	case rule.Uwsgi, rule.HTTP, rule.HTTPS, rule.FastCGI, rule.SCGI:
		return link.Served{Address: string(d.Address)}, true
	case rule.Vassal:
		return link.Served{Vassal: string(d.Name)}, true
	case rule.Redirect, rule.Static, rule.File, rule.Challenge:
		return link.Served{}, true
	case rule.Status:
		return link.Served{}, d.Code < 400
	case rule.None:
		return link.Served{}, len(s.defaults.targets) > 0 || s.mapping.active || s.subscriptions.active
	}
	return link.Served{}, false
}

// Issuance is what a configuration says about certificates that are to be ordered;
// nil: nothing.
func Issuance(c *link.Configuration) *link.Issuance {
	set, err := config.NewSet(Options)
	if err != nil {
		return nil
	}
	given := options(set, c.Options)
	if !given.Bool(optionACME) {
		return nil
	}
	settings, _ := compile(given, &supply{checking: true, given: c.Resources})
	i := &settings.certificates.issuance
	if settings.rules == nil {
		return nil
	}
	out := i.link
	out.Names = settings.certificates.orderedNames()
	out.Allowed, out.Serve = i.isAllowed, settings.serves
	return &out
}

// orderedNames are those that rules spell and that no certificate of the other
// options is for.
func (s *certificates) orderedNames() (names []string) {
	if s.names.Issued == nil {
		return nil
	}
	for _, name := range s.names.Issued.Names {
		if choice, ok := s.table.Find(name); ok && choice.Kind == sni.Ordered {
			names = append(names, name)
		}
	}
	return names
}

// proof is an answer to an http-01 challenge.
type proof struct{ host, token string }

// proofs are all of them.
type proofs map[proof]string

// Prove makes these the challenges that are answered.
func (r *Router) Prove(challenges []link.Challenge) error {
	answers := proofs{}
	shown := map[string]*tls.Certificate{}
	for _, c := range challenges {
		if c.Token != "" {
			answers[proof{c.Name, c.Token}] = c.Answer
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(c.Key)
		if err != nil {
			return fmt.Errorf("router: the certificate for the challenge of %s: %w", c.Name, err)
		}
		shown[c.Name] = &tls.Certificate{Certificate: [][]byte{c.Certificate}, PrivateKey: key}
	}
	r.proofs.Store(&answers)
	r.certificates.SetChallenges(shown)
	return nil
}

// answerChallenge answers an authority's question for a token that the emperor has
// ordered for. Others' tokens are the site's own affair.
func (x *exchange) answerChallenge() bool {
	all := x.router.proofs.Load()
	if all == nil || len(*all) == 0 {
		return false
	}
	token, ok := bytes.CutPrefix(x.request.Path, acmePath)
	if !ok {
		return false
	}
	answer, ok := (*all)[proof{string(x.request.Host.Name), string(token)}]
	if !ok {
		return false
	}
	x.mine = http1.Response{Minor: 1, Status: 200, Fields: append(x.mine.Fields[:0], textPlainUTF8...)}
	x.scratch = append(x.scratch[:0], answer...)
	x.reply(x.scratch, nil)
	return true
}
