package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrOutside is what DialWithin returns when what it was to connect to is in none of
// the networks. Nothing was sent there.
var ErrOutside = errors.New("outside of the networks that are allowed")

// inside returns the addresses that are in the networks. Who runs a name's zone
// decides what it stands for, and may say 127.0.0.1 or another machine of ours: only
// what is dialled can be judged, not the name.
func inside(addresses []netip.Addr, networks []netip.Prefix) []netip.Addr {
	if len(networks) == 0 {
		return addresses
	}
	var kept []netip.Addr
	for _, a := range addresses {
		if contains(networks, a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// list names the addresses for an error, not all of hundreds.
func list(addresses []netip.Addr) string {
	const most = 4
	text := ""
	for i, a := range addresses {
		switch {
		case i == most:
			return fmt.Sprintf("%s and %d more", text, len(addresses)-most)
		case i > 0:
			text += ", "
		}
		text += a.String()
	}
	return text
}

// contains compares what is connected to: an IPv4 address in IPv6 clothes is that
// IPv4 address, and a zone says through which device, not where to.
func contains(networks []netip.Prefix, ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, n := range networks {
		if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// within tells that the socket is in the networks; one of this machine's files is
// in no network, and always allowed.
func (s *socketAddress) within(networks []netip.Prefix) bool {
	if len(networks) == 0 {
		return true
	}
	switch s.family {
	case unix.AF_INET:
		return contains(networks, netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw)).Addr))
	case unix.AF_INET6:
		return contains(networks, netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(&s.raw)).Addr))
	}
	return true
}
