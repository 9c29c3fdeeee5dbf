package router

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
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
	any *upstream.TLS // for no name yet; nil where nobody is behind TLS

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
		found := slices.IndexFunc(systemRoots, func(candidate string) bool {
			_, err := os.Stat(candidate)
			return err == nil
		})
		if found < 0 && supply.checking {
			mistake(v, errNoRoots)
			return
		}
		path = systemRoots[max(found, 0)] // only a name in the router, which gets the content
	}
	content, known, err := supply.content(path, v)
	if err == nil && known {
		// The empty name is nobody's: each connection asks for one (to).
		u.any, err = upstream.NewTLS(upstream.TLSOptions{VerifyName: noName, Roots: append([]byte{}, content...)})
	}
	if err != nil {
		mistake(v, fmt.Errorf("%s: %w", path, err))
	}
}

// noName is verified by no certificate.
const noName = "."

var errNoRoots = fmt.Errorf("this system has no CA certificates (%s): install ca-certificates, or name a file", systemRoots[0])

var errNoServerName = errors.New("a vassal behind https: needs a name to prove, want https:ADDRESS,NAME")

// to returns what a connection to a vassal that has to prove that name needs.
func (u *upstreamTLS) to(name string) (*upstream.TLS, error) {
	if name == "" || u.any == nil {
		return nil, errNoServerName
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if t := u.named[name]; t != nil {
		return t, nil
	}
	t, err := u.any.For(name)
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
