package upstream

import "net/netip"

// Names resolves the names of hosts for Dial. resolve.Resolver does it.
type Names interface {
	// Addresses returns what host stands for at once, best first. If that is not
	// known yet, it returns only a channel that is closed when it is.
	Addresses(host string) (addresses []netip.Addr, pending <-chan struct{}, err error)
	// Poke says that the address could not be connected to. It returns a channel
	// that is closed when host has been asked for again, or nil when that has just
	// been done.
	Poke(host string, failed netip.Addr) (asked <-chan struct{})
}

// SetNames says who resolves names for the Conns of d. Before it they can't dial
// a name (ErrName).
func (d *Dialer) SetNames(n Names) { d.names.Store(&n) }
