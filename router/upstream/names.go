package upstream

import "net/netip"

// Names resolves host names for Dial; resolve.Resolver does it.
type Names interface {
	// Addresses returns what host stands for at once, best first. If it is not
	// known yet, it returns only a channel that is closed when it is.
	Addresses(host string) (addresses []netip.Addr, pending <-chan struct{}, err error)
	// Poke says that the address could not be connected to.
	Poke(host string, failed netip.Addr)
}

// SetNames says who resolves names for the Conns of p; before it, addresses with
// a name are ErrName.
func (p *Poller) SetNames(n Names) {}
