package proxyproto

import (
	"errors"
	"net/netip"
)

// The families that a stud header begins with: AF_INET and AF_INET6 of Linux.
const (
	studIPv4 = 2
	studIPv6 = 10
)

// ParseStud reads the older header that stud and hitch write (--write-ip): one byte
// of the address family, and the visitor's address. Who sends it has ended TLS. As
// with Parse, n is 0 while bytes are missing.
func ParseStud(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	switch b[0] {
	case studIPv4:
		n = 1 + 4
	case studIPv6:
		n = 1 + 16
	default:
		return h, 0, errors.New("no stud header: want a byte 2 or 10 and an address")
	}
	if len(b) < n {
		return h, 0, nil
	}
	address, _ := netip.AddrFromSlice(b[1:n])
	h.Source = netip.AddrPortFrom(address, 0)
	return h, n, nil
}
