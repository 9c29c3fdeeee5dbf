package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// serverNames knows the addresses of name servers that are given by name. Their names
// are names like all others, for another Resolver, which asks the system's servers:
// an answer is used until its TTL ends and while there is no better one.
type serverNames struct {
	resolver *Resolver
	log      *slog.Logger

	mu      sync.Mutex
	unknown map[string]bool // guarded by mu; names of which it has been said that they are not resolved
}

func newServerNames(log *slog.Logger) *serverNames {
	return &serverNames{resolver: newResolver(&asker{}, log), log: log, unknown: map[string]bool{}}
}

// configure: the servers of c may have names that its System knows.
func (s *serverNames) configure(c Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for host := range s.unknown {
		if !slices.ContainsFunc(c.Servers, func(one Server) bool { return one.Host == host }) {
			delete(s.unknown, host)
		}
	}
	c.Servers = c.System
	s.resolver.Configure(c)
}

var errNoServer = errors.New("there is no name server to ask")

// find returns the servers with their addresses, and why it does if there are none.
// As long as one of them can be asked the others are not waited for, unless all are
// wanted.
func (s *serverNames) find(ctx context.Context, servers []Server, all bool, patience time.Duration) ([]Server, error) {
	if !slices.ContainsFunc(servers, func(one Server) bool { return one.Host != "" }) {
		if len(servers) == 0 {
			return nil, errNoServer
		}
		return servers, nil
	}
	if s == nil {
		return nil, errNoServer
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		known, pending, err := s.look(servers)
		if len(pending) == 0 || len(known) > 0 && !all || !awaitAny(ctx, pending) && len(known) > 0 {
			return known, err
		}
		if ctx.Err() != nil {
			var hosts []string
			for _, one := range servers {
				if one.Host != "" {
					hosts = append(hosts, one.Host)
				}
			}
			return nil, fmt.Errorf("name server %s: its own name is not resolved yet", strings.Join(hosts, ", "))
		}
	}
}

// look returns what is known of the servers at once.
func (s *serverNames) look(servers []Server) (known []Server, pending []<-chan struct{}, err error) {
	for _, one := range servers {
		if one.Host == "" {
			known = append(known, one)
			continue
		}
		addresses, wait, failure := s.resolver.Addresses(one.Host)
		switch {
		case wait != nil:
			pending = append(pending, wait)
			continue
		case failure != nil:
			// Not wrapped: that there is no such server says nothing about the name asked for.
			err = fmt.Errorf("name server %s: its own name can't be resolved: %v", one.Host, failure)
		}
		s.say(one.Host, failure)
		for _, ip := range addresses {
			known = append(known, Server{Host: one.Host, Address: ip, Port: one.Port})
		}
	}
	return known, pending, err
}

// say tells once that a server is not there, and once that it is.
func (s *serverNames) say(host string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && !s.unknown[host] && !errors.Is(err, errEnded):
		s.unknown[host] = true
		s.log.Warn("a name server can't be asked until its own name is resolved", slog.String("host", host), slog.Any("err", err))
	case err == nil && s.unknown[host]:
		delete(s.unknown, host)
		s.log.Info("a name server's own name is resolved", slog.String("host", host))
	}
}

// failed tells that a server did not answer: it may have moved.
func (s *serverNames) failed(server Server, err error) {
	var network *net.OpError
	if errors.As(err, &network) {
		s.resolver.Poke(server.Host, server.Address)
	}
}

// introduce asks for the names of all servers, so that the first request that needs one
// does not wait for it, and a mistake in a name is known when the front starts.
func (s *serverNames) introduce(ctx context.Context, servers []Server) {
	for _, one := range servers {
		if one.Host == "" {
			continue
		}
		if _, err := s.resolver.Lookup(ctx, one.Host); ctx.Err() == nil {
			s.say(one.Host, err)
		}
	}
}

// awaitAny waits for one of the channels to be closed.
func awaitAny(ctx context.Context, channels []<-chan struct{}) bool {
	ctx, cancel := context.WithCancel(ctx)
	any := make(chan struct{}, len(channels))
	var waiting sync.WaitGroup
	for _, c := range channels {
		waiting.Go(func() {
			select {
			case <-c:
				any <- struct{}{}
			case <-ctx.Done():
			}
		})
	}
	defer waiting.Wait()
	defer cancel()
	select {
	case <-any:
		return true
	case <-ctx.Done():
		return false
	}
}
