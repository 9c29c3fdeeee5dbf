package spec

import (
	"net/netip"
	"slices"
	"strings"

	"emperor/internal/config"
)

// Claim is an address that a vassal listens on: held for it, or bound by itself.
type Claim struct {
	Path string         // of a unix socket, absolute; "@name" of an abstract one
	Port netip.AddrPort // or of TCP
	Text string         // as written
	Key  string
	Pos  config.Pos
}

// ownListeners are options with which uWSGI listens on further TCP ports.
var ownListeners = []string{"http", "https", "http-router", "fastrouter", "rawrouter", "sslrouter", "stats", "stats-server", "stat"}

// Claims are all addresses that the file names, as far as they are known without
// uWSGI; c is its Config.
func (s *Spec) Claims(c *config.Config) []Claim {
	var out []Claim
	for _, socket := range s.Sockets {
		if s.Kind == Static && socket.Automatic {
			continue // who listens there is in the right
		}
		claim := Claim{Text: socket.Address, Key: s.KeyOf(c, socket), Pos: socket.Pos}
		switch a := socket.At; {
		case a.IsTCP():
			claim.Port = a.TCP
		case a.Abstract != "":
			claim.Path = a.Text
		case a.Path != "" && a.Foreign == "" && !slices.ContainsFunc(jails, c.Has):
			claim.Path = a.In(s.SocketRules.Dir)
		default:
			continue
		}
		out = append(out, claim)
	}
	if s.Kind != UWSGI {
		return out
	}
	for _, v := range c.All(ownListeners...) {
		text, _, _ := strings.Cut(v.Value, ",") // https = ADDRESS,CERTIFICATE,KEY
		if a, err := ParseAddress(text); !v.Unknown && err == nil && a.IsTCP() {
			out = append(out, Claim{Port: a.TCP, Text: text, Key: v.Key, Pos: v.Pos})
		}
	}
	return out
}

// KeyOf finds the option that made a socket.
func (s *Spec) KeyOf(c *config.Config, socket Socket) string {
	for name := range socketOptions {
		for _, v := range c.All(name) {
			if v.Pos == socket.Pos && strings.HasPrefix(v.Value, socket.Address) {
				return v.Key
			}
		}
	}
	return "socket"
}
