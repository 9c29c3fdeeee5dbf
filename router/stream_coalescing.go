package router

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"emperor/internal/config"
	"emperor/router/rule"
	"emperor/router/sni"
	"emperor/router/stream"
)

// What a browser makes of several names with one certificate is described in package
// stream ([stream.Table.Coalescing]): it sends requests for all of them over one HTTP/2
// connection, which was routed by the first.

var coalescingOptions = []config.Option{
	{Name: stream.KeyShared, Type: config.Bool, Default: "false", Where: config.Main,
		Help: "That names in a domain go to different places by route-sni, though browsers may take them for one server's if one certificate is good for them, is meant so and taken care of: do not warn of it (docs/streams.md)."},
}

// warnOfCoalescing warns of such names, as far as the configuration shows them: those of
// rules, of sni lines and of sites.
func (s *streams) warnOfCoalescing(certificates *certificates, sites *rule.Table, warn func(config.Value, error)) {
	if s.table == nil || s.shared {
		return
	}
	ends := func(yield func(name, place string) bool) {
		for i := range certificates.names.Entries {
			e := &certificates.names.Entries[i]
			for _, name := range e.Names {
				if !yield(name, e.At) {
					return
				}
			}
		}
		for _, d := range certificates.names.Directories {
			for i := range d.Names {
				if !yield(d.Names[i].Name, d.At) {
					return
				}
			}
		}
		if sites == nil {
			return
		}
		for _, name := range sites.Hosts() {
			if !yield(name, "") {
				return
			}
		}
	}
	for _, p := range s.table.Coalescing(ends) {
		warn(config.Value{Key: p.Key, Pos: config.Pos{File: p.File, Line: p.Line}}, errors.New(p.Text))
	}
}

// mostCovering bounds the certificates of which a start says whose names they cover:
// each is compared with every rule. `check` looks at all.
const mostCovering = 100

// covered is what was said of the certificates of the last configuration.
type covered struct {
	mu   sync.Mutex
	said []string // guarded by mu
}

// warnOfCovered says of certificates that are loaded which names of streams they are
// good for, too (stream.Table.Covered), once while that is so.
func (r *Router) warnOfCovered(s *streams, named []sni.Choice) {
	var texts []string
	for i := range named[:min(len(named), mostCovering)] {
		if text := s.table.Covered(r.certificates.Names(&named[i])); text != "" && !s.shared {
			texts = append(texts, fmt.Sprintf("%s: %s: %s", named[i].At, named[i].Source.Certificate.Path(), text))
		}
	}
	r.covered.mu.Lock()
	before := r.covered.said
	r.covered.said = texts
	r.covered.mu.Unlock()
	for _, text := range texts {
		if !slices.Contains(before, text) {
			r.log.Warn(text)
		}
	}
}

// isPassedOn tells whether a request came over a connection that was not routed by its
// name, though one would have been: a browser has taken the connection for good for
// both, and makes one of its own when told so (421). Only HTTP/2 is used that way: who
// asks for one name in the handshake and for another by HTTP/1.1 means it. But that is no
// way around a reject.
func (x *exchange) isPassedOn() bool {
	s := x.peer.secured
	if !x.settings.streams.peeks || s == nil || string(x.request.Host.Name) == s.handshake.Name {
		return false
	}
	name, err := sni.CanonicalName(string(x.request.Host.Name))
	if err != nil || name == s.handshake.Name {
		return false
	}
	asked := stream.Client{Name: name, Remote: x.peer.remote}
	switch s.state.NegotiatedProtocol {
	case "h2":
		asked.Protocols = overHTTP2
		d, ok := x.settings.streams.table.Find(&asked)
		return ok && d.Action != stream.HTTP
	case "http/1.1":
		asked.Protocols = overHTTP2[1:]
	}
	d, ok := x.settings.streams.table.Find(&asked)
	return ok && d.Action == stream.Reject
}

// overHTTP2 is what a client has offered that got HTTP/2.
var overHTTP2 = [][]byte{[]byte("h2"), []byte("http/1.1")}
