package limit

import (
	"net/netip"
	"sync"
)

// Peers caps the connections at a time per address. An IPv6 peer is counted by
// its /64, which is what one customer is given. An invalid address (a unix socket)
// is never refused.
//
// It remembers addresses only while they are connected, so that the number of
// connections bounds its memory.
type Peers struct {
	mu      sync.Mutex
	most    int                // guarded by mu; 0 is no limit
	counts  map[netip.Addr]int // guarded by mu; counted without a limit too, for the day there is one
	largest int                // guarded by mu; size of counts since it was made
	refused uint64             // guarded by mu
}

// NewPeers returns a cap of so many connections per address; 0 means any number.
func NewPeers(most int) *Peers {
	return &Peers{most: most, counts: map[netip.Addr]int{}}
}

// SetLimit changes the cap. Connections that are over it stay; the next one from
// there is refused.
func (p *Peers) SetLimit(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = most
}

// Enter counts a connection from a, if it may be. After true, Leave has to follow
// once with the same address.
func (p *Peers) Enter(a netip.Addr) bool {
	if !a.IsValid() {
		return true
	}
	a = customer(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts[a]
	if p.most > 0 && n >= p.most {
		p.refused++
		return false
	}
	p.counts[a] = n + 1
	p.largest = max(p.largest, len(p.counts))
	return true
}

// Leave takes back a successful Enter.
func (p *Peers) Leave(a netip.Addr) {
	if !a.IsValid() {
		return
	}
	a = customer(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts[a]
	switch {
	case n > 1:
		p.counts[a] = n - 1
		return
	case n == 0:
		panic("limit: Leave without Enter")
	}
	delete(p.counts, a)
	// A map keeps the room it once needed: after a flood it is made anew.
	if p.largest > keptPeers && len(p.counts) < p.largest/8 {
		smaller := make(map[netip.Addr]int, len(p.counts))
		for a, n := range p.counts {
			smaller[a] = n
		}
		p.counts, p.largest = smaller, len(smaller)
	}
}

// keptPeers is how many addresses' room is not worth giving back.
const keptPeers = 4096

// Count is how many connections there are from where a is.
func (p *Peers) Count(a netip.Addr) int {
	a = customer(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[a]
}

// Refused is how many connections were refused since the start.
func (p *Peers) Refused() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// customer is what is counted as one for an address.
func customer(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() || !a.IsValid() {
		return a
	}
	bytes := a.As16()
	clear(bytes[8:])
	return netip.AddrFrom16(bytes) // without a zone: one customer has one network
}
