package router

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/accesslog"
	"emperor/router/subscription"
)

// A vassal that announces itself is known by what it announces, once it runs. Before its
// first start, and when a new emperor has forgotten what was announced, only its file
// says for which hosts it would; the emperor reads that, and it is in the vassal's row.
// So a request for such a host waits until the vassal runs and has announced itself,
// which wakes it if it sleeps. Where it goes is said by the announcement alone.

// announcementServer is an address at which this front takes announcements.
type announcementServer struct {
	text string
	at   netip.AddrPort // invalid for a path
}

func announcementServers(values []config.Value) (servers []announcementServer) {
	for _, v := range values {
		servers = append(servers, announcementServer{text: v.Value, at: announcedTo(v.Value)})
	}
	return servers
}

// announcedTo reads the address of a server; invalid: it is none of IP and port.
func announcedTo(text string) netip.AddrPort {
	switch host, port, _ := strings.Cut(text, ":"); {
	case host == "localhost":
		text = "127.0.0.1:" + port
	case host == "":
		text = "0.0.0.0:" + port
	}
	at, _ := netip.ParseAddrPort(text)
	return at
}

// hears tells whether what is sent to an address comes to one of the front's servers.
func (s *subscriptions) hears(address string) bool {
	to := announcedTo(address)
	return slices.ContainsFunc(s.servers, func(server announcementServer) bool {
		return server.text == address ||
			to.IsValid() && to.Port() == server.at.Port() && (to.Addr() == server.at.Addr() || server.at.Addr().IsUnspecified())
	})
}

// setKeys makes requests for the keys find the site; t.mu is held.
func (t *table) setKeys(s *site, old, announces []link.Announcement) {
	if slices.Equal(old, announces) {
		return
	}
	for _, a := range old {
		key := subscription.Canonical(a.Key)
		if t.byKey[key] = slices.DeleteFunc(t.byKey[key], func(other *site) bool { return other == s }); len(t.byKey[key]) == 0 {
			delete(t.byKey, key)
		}
	}
	for _, a := range announces {
		if key := subscription.Canonical(a.Key); !slices.Contains(t.byKey[key], s) {
			t.byKey[key] = append(t.byKey[key], s)
		}
	}
}

// announcers are the sites that announce themselves for a key.
func (t *table) announcers(key []byte) []*site {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clone(t.byKey[string(key)])
}

// announcer finds a vassal that would serve the request if it ran, and better than v,
// which is what has been announced. nil: there is none. One that has run for a while
// without a word is none. One that does not start for now is, where there is no other.
func (x *exchange) announcer(v *subscription.View[*nodes]) *site {
	if v != nil && !v.Empty() && (v.Key == string(x.request.Host.Name) || v.Key == string(x.hostPort)) {
		return nil // nothing is better; this is every request but the first
	}
	var down *site
	for key := range x.router.announced.Keys(x.request.Host.Name, x.hostPort) {
		if v != nil && !v.Empty() && v.Key == string(key) {
			return nil
		}
		for _, s := range x.router.table.announcers(key) {
			g := s.current.Load()
			if !g.announcesTo(&x.settings.subscriptions, key) {
				continue
			}
			switch g.state {
			case link.Asleep, link.Starting:
				return s
			case link.Ready:
				if time.Since(g.since) < returning {
					return s
				}
			default:
				down = s
			}
		}
	}
	if v != nil && !v.Empty() {
		return nil
	}
	return down
}

// announcesTo tells whether the generation announces the key to this front.
func (g *generation) announcesTo(front *subscriptions, key []byte) bool {
	return !g.removed && slices.ContainsFunc(g.announces, func(a link.Announcement) bool {
		return subscription.Canonical(a.Key) == string(key) && front.hears(a.Server)
	})
}

// awaitAnnouncer waits until the vassal runs and has announced itself for the request's
// host. nil: it was answered.
func (x *exchange) awaitAnnouncer(s *site) *subscription.View[*nodes] {
	if err := x.waitForReady(s); err != nil {
		x.answerNotAdmitted(&destination{site: s}, err)
		return nil
	}
	limit := min(x.settings.hold.time, returning)
	v := x.awaitView(limit, func(v *subscription.View[*nodes]) bool { return !v.Empty() && x.announcer(v) == nil })
	switch {
	case v != nil:
		return v
	case x.down.gone():
		x.down.closeAfter()
		return nil
	}
	x.entry.Vassal, x.entry.Ended = s.name, accesslog.NotReady
	x.complain(slog.LevelWarn, "the vassal runs, but has not announced itself", slog.Int("status", 503), slog.String("vassal", s.name), slog.String("host", string(bytes.Clone(x.request.HostField))))
	x.answerLater(503, 5, "this site is starting or out of order; try again soon")
	return nil
}

// explainAnnouncers names the vassals whose files say that they announce the host.
func explainAnnouncers(out *strings.Builder, front *subscriptions, vassals []link.Vassal, host string) {
	for i := range vassals {
		for _, a := range vassals[i].Announces {
			if subscription.Canonical(a.Key) == subscription.Canonical(host) && front.hears(a.Server) {
				fmt.Fprintf(out, "           vassal %s announces itself for it, and is started for it where it sleeps\n", vassals[i].Name)
				break
			}
		}
	}
}
