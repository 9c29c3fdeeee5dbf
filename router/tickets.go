package router

import (
	"log/slog"
	"sync"

	"emperor/internal/link"
)

// tickets is what the emperor knows of the secrets that TLS sessions are sealed with.
// It keeps them for the next router, so that its clients' sessions go on.
type tickets struct {
	mu     sync.Mutex
	shared uint64 // guarded by mu; Ring.Changes of what the emperor has
	taken  bool   // guarded by mu; it has given us some
}

// shareTickets gives the secrets to the emperor if it does not have them yet.
func (c *child) shareTickets() {
	c.tickets.mu.Lock()
	defer c.tickets.mu.Unlock()
	changes := c.router.tickets.Changes()
	if changes == c.tickets.shared {
		return
	}
	// A change while they are exported is shared again.
	if c.peer.Send(link.Message{Kind: link.Tickets, Tickets: c.router.tickets.Export()}) == nil {
		c.tickets.shared = changes
	}
}

// takeTickets takes over the secrets of a router before us, or one that makes its
// own beside us.
func (c *child) takeTickets(exported []byte) {
	c.tickets.mu.Lock()
	defer c.tickets.mu.Unlock()
	take := c.router.tickets.Merge
	if !c.tickets.taken && c.tickets.shared == 0 {
		take = c.router.tickets.Replace // nobody has connected to us yet
	}
	if err := take(exported); err != nil {
		c.router.log.Error("TLS sessions of another router can not be resumed", slog.Any("err", err))
		return
	}
	c.tickets.taken = true
}
