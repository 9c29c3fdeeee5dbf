package router

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"

	"emperor/internal/config"
	"emperor/router/rule"
	"emperor/router/upstream"
)

var upstreamTLSOptions = []config.Option{
	{Name: "http-ca", Type: config.Path, Where: config.Main,
		Help: "File of CA certificates (PEM) that vassals behind https: have to prove themselves by; the default are the system's."},
}

// upstreamTLS makes what connections to vassals behind TLS need, by the name they
// have to prove.
type upstreamTLS struct {
	roots []byte

	mu    sync.Mutex
	named map[string]*upstream.TLS // guarded by mu
}

// mostNames bounds what is remembered, as a capture may be part of a name.
const mostNames = 1000

// systemRoots are where distributions keep their CA certificates.
var systemRoots = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"}

func (u *upstreamTLS) compile(c *config.Config, rules *rule.Table, supply *supply, mistake func(config.Value, error)) {
	v, given := c.Last("http-ca")
	var first *rule.Rule
	if rules != nil {
		for _, r := range rules.Rules() {
			if kind, _, _ := r.Target(); kind == rule.HTTPS {
				first = r
				break
			}
		}
	}
	if !given && first == nil {
		return
	}
	path := v.Value
	if !given {
		at := first.Pos()
		v = config.Value{Key: "http-ca", Pos: config.Pos{File: at.File, Line: at.Line}}
		path = systemRoots[0]
		for _, candidate := range systemRoots {
			if _, err := os.Stat(candidate); err == nil {
				path = candidate
				break
			}
		}
	}
	var err error
	if u.roots, _, err = supply.content(path, v); err != nil {
		mistake(v, err)
	}
}

var errNoServerName = errors.New("a vassal behind https: needs a name to prove, want https:ADDRESS,NAME")

// to returns what a connection to that name needs.
func (u *upstreamTLS) to(name string) (*upstream.TLS, error) {
	if name == "" {
		return nil, errNoServerName
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if t := u.named[name]; t != nil {
		return t, nil
	}
	t, err := upstream.NewTLS(upstream.TLSOptions{ServerName: name, Roots: u.roots})
	if err != nil {
		return nil, err
	}
	if len(u.named) >= mostNames || u.named == nil {
		u.named = map[string]*upstream.TLS{}
	}
	u.named[name] = t
	return t, nil
}

// serverNameOf is the host of "host:port"; "" for a unix socket.
func serverNameOf(address []byte) string {
	if len(address) == 0 || address[0] == '/' || address[0] == '@' {
		return ""
	}
	if address[0] == '[' {
		if end := bytes.IndexByte(address, ']'); end > 0 {
			return string(address[1:end])
		}
	}
	host, _, _ := strings.Cut(string(address), ":")
	return host
}
