package limit

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
)

func TestPeersAreCountedByCustomer(t *testing.T) {
	p := NewPeers(2)
	enter := func(address string, want bool) {
		t.Helper()
		if got := p.Enter(netip.MustParseAddr(address)); got != want {
			t.Errorf("Enter(%s) = %v, want %v", address, got, want)
		}
	}
	enter("192.0.2.1", true)
	enter("::ffff:192.0.2.1", true) // the same, on a socket for both families
	enter("192.0.2.1", false)
	enter("192.0.2.2", true)
	enter("2001:db8:0:1::1", true)
	enter("2001:db8:0:1:ffff::2", true)
	enter("2001:db8:0:1::3", false)
	enter("2001:db8:0:2::1", true)
	enter("fe80::1%eth0", true)
	enter("fe80::1%eth1", true)
	enter("fe80::2", false)
	for range 10 {
		if !p.Enter(netip.Addr{}) {
			t.Error("a unix socket's peer is refused")
		}
	}
	p.Leave(netip.Addr{})
	p.Leave(netip.MustParseAddr("::ffff:192.0.2.1"))
	enter("192.0.2.1", true)
	if got := p.Refused(); got != 3 {
		t.Errorf("%d refused, want 3", got)
	}

	p.SetLimit(1)
	enter("192.0.2.2", false)
	p.SetLimit(0)
	enter("192.0.2.2", true)
	enter("192.0.2.2", true)
	p.SetLimit(3)
	enter("192.0.2.2", false) // those let in without a limit are counted
}

// TestPeersForgetWhoIsGone: after a flood from many addresses nothing is left of it.
func TestPeersForgetWhoIsGone(t *testing.T) {
	p := NewPeers(1)
	flood := make([]netip.Addr, 100_000)
	for i := range flood {
		flood[i] = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if !p.Enter(flood[i]) {
			t.Fatal("refused at its first connection")
		}
	}
	for _, a := range flood {
		p.Leave(a)
	}
	if len(p.counts) != 0 || p.largest > keptPeers {
		t.Errorf("%d addresses are remembered, room for %d", len(p.counts), p.largest)
	}
}

// TestPeersAgainstAModel enters and leaves at random from several goroutines; each
// has addresses of its own, so that it knows the answer.
func TestPeersAgainstAModel(t *testing.T) {
	const most = 3
	p := NewPeers(most)
	var running sync.WaitGroup
	for g := range 4 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(g)))
			model := map[netip.Addr]int{}
			for range 20_000 {
				a := netip.AddrFrom4([4]byte{10, 0, byte(g), byte(random.IntN(5))})
				if random.IntN(2) == 0 {
					if got, want := p.Enter(a), model[a] < most; got != want {
						t.Errorf("Enter with %d connections = %v", model[a], got)
						return
					} else if got {
						model[a]++
					}
				} else if model[a] > 0 {
					p.Leave(a)
					model[a]--
				}
			}
			for a, n := range model {
				if got := p.Count(a); got != n {
					t.Errorf("%d connections, want %d", got, n)
				}
			}
		})
	}
	running.Wait()
}

func BenchmarkPeers(b *testing.B) {
	p := NewPeers(10)
	a := netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		p.Enter(a)
		p.Leave(a)
	}
}
