package router

import (
	"fmt"
	"path/filepath"
	"strings"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/sni"
	"emperor/router/subscription"
)

// Nodes may announce the certificate of their key (uWSGI's sni_crt, sni_key and sni_ca
// of subscribe2). It is the key's as long as it has a node.

const optionAnnouncedPairs = "http-subscription-sni-dir"

var announcedPairOptions = []config.Option{
	{Name: optionAnnouncedPairs, Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Believe announcements that name a certificate (sni_key, sni_crt and sni_ca of uWSGI's subscribe2) below this folder. Without it none is used: who can announce himself would choose which files are read."},
}

// announcedPairs are the folders of http-subscription-sni-dir.
type announcedPairs struct {
	folders []string
	policy  sni.Policy
}

func (a *announcedPairs) compile(c *config.Config, policy sni.Policy, mistake func(config.Value, error)) {
	a.policy = policy
	for _, v := range c.All(optionAnnouncedPairs) {
		if !filepath.IsAbs(v.Value) {
			mistake(v, fmt.Errorf("want a whole path, got %q", v.Value))
			continue
		}
		a.folders = append(a.folders, filepath.Clean(v.Value))
	}
}

// allows tells whether the files may be used.
func (a *announcedPairs) allows(p subscription.Pair) bool {
	return a.below(p.Certificate) && a.below(p.Key) && (p.ClientCA == "" || a.below(p.ClientCA))
}

func (a *announcedPairs) below(path string) bool {
	for _, folder := range a.folders {
		if strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/") && filepath.Clean(path) == path {
			return true
		}
	}
	return false
}

// allowsRequest is allows for whoever reads the files.
func (a *announcedPairs) allowsRequest(q *link.PairRequest) bool {
	return a.allows(subscription.Pair{Certificate: q.Certificate, Key: q.Key, ClientCA: q.ClientCA})
}

// announcedPair is what the name has by announcements. As for other files of client
// CAs that stand beside a pair, clients are asked for a certificate, and not required
// to have one.
func (r *Router) announcedPair(name string) (sni.Choice, bool) {
	s := r.current()
	if s == nil || len(s.certificates.announced.folders) == 0 {
		return sni.Choice{}, false
	}
	a := &s.certificates.announced
	pair, ok := r.announced.Pair(name)
	if !ok || !a.allows(pair) {
		return sni.Choice{}, false
	}
	files := sni.Files{Certificate: pair.Certificate, Key: pair.Key, ClientCA: pair.ClientCA}
	if pair.ClientCA != "" {
		files.Client = sni.RequestClientCert
	}
	policy, _, err := files.Policy(a.policy)
	if err != nil {
		return sni.Choice{}, false
	}
	choice, err := sni.AlsoChoice(sni.Entry{Names: []string{name}, Source: files.Source(), Policy: policy})
	return choice, err == nil
}

// unusedPair says why the certificate of an announcement is not used; empty if it is,
// or if there is none.
func (r *Router) unusedPair(p *subscription.Packet) string {
	s := r.current()
	if p.Pair.IsZero() || s == nil || s.certificates.announced.allows(p.Pair) {
		return ""
	}
	return fmt.Sprintf("not used: %s is not below a folder of %s", p.Pair.Certificate, optionAnnouncedPairs)
}

// forgetPairs unloads the pairs of keys that have no node any more.
func (r *Router) forgetPairs() {
	if s := r.current(); s != nil && len(s.certificates.announced.folders) > 0 {
		r.certificates.SetTable(r.certificates.Table())
	}
}
