package proxyproto

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Version 2: startV2, version and command, family and transport, the length of what
// follows, two addresses of a size that the family says, and the additional fields.
const (
	lengthV2 = 16

	commandLocal = 0x20 // with the version, which is 2
	commandProxy = 0x21

	familyNone       = 0x00
	familyIPv4       = 0x11
	familyIPv4Packet = 0x12
	familyIPv6       = 0x21
	familyIPv6Packet = 0x22
	familyUnix       = 0x31
	familyUnixPacket = 0x32

	pathSize = 108 // of each of the two for familyUnix
)

// addressesSize is how many bytes the addresses of a family have.
func addressesSize(family byte) int {
	switch family {
	case familyIPv4:
		return 4 + 4 + 2 + 2
	case familyIPv6:
		return 16 + 16 + 2 + 2
	case familyUnix:
		return 2 * pathSize
	}
	return 0
}

// parseV2 reads a header of which lengthV2 bytes are there.
func parseV2(b []byte) (h Header, n int, err error) {
	command, family := b[12], b[13]
	switch command {
	case commandLocal, commandProxy:
	default:
		return Header{}, 0, wrong(12, "want version 2 with command 0 or 1, got %#02x", command)
	}
	switch family {
	case familyNone, familyIPv4, familyIPv6, familyUnix:
	case familyIPv4Packet, familyIPv6Packet, familyUnixPacket:
		if command == commandProxy {
			return Header{}, 0, wrong(13, "want a stream (TCP or unix), got datagrams (%#02x)", family)
		}
	default:
		return Header{}, 0, wrong(13, "there is no address family and transport %#02x", family)
	}
	size := int(binary.BigEndian.Uint16(b[14:]))
	n = lengthV2 + size
	if n > MaxSize {
		return Header{}, 0, wrong(14, "the header has %d bytes, more than %d", n, MaxSize)
	}
	addresses := addressesSize(family)
	if command == commandProxy && size < addresses {
		return Header{}, 0, wrong(14, "the addresses alone have %d bytes, got %d", addresses, size)
	}
	if len(b) < n {
		return Header{}, 0, nil
	}
	b = b[:n]
	h = Header{Version: 2, Local: command == commandLocal || family == familyNone}
	if command == commandLocal && (family != familyNone || size == 0) {
		// What a proxy says about its own connection is to be skipped, and need not
		// even look like what the family says.
		return h, n, nil
	}
	if h.Local {
		addresses = 0
	}
	body := b[lengthV2:]
	h.TLVs = body[addresses:]
	if len(h.TLVs) == 0 {
		h.TLVs = nil
	} else if err := checkTLVs(b, lengthV2+addresses); err != nil {
		if command == commandLocal {
			return Header{Version: 2, Local: true}, n, nil
		}
		return Header{}, 0, err
	}
	if !h.Local {
		h.setAddresses(family, body)
	}
	return h, n, nil
}

func (h *Header) setAddresses(family byte, b []byte) {
	switch family {
	case familyIPv4:
		h.Source = addrPort(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[8:]))
		h.Destination = addrPort(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[10:]))
	case familyIPv6:
		h.Source = addrPort(netip.AddrFrom16([16]byte(b)), binary.BigEndian.Uint16(b[32:]))
		h.Destination = addrPort(netip.AddrFrom16([16]byte(b[16:])), binary.BigEndian.Uint16(b[34:]))
	case familyUnix:
		h.Unix = true
		h.SourcePath, h.DestinationPath = socketName(b[:pathSize]), socketName(b[pathSize:2*pathSize])
	}
}

// socketName cuts the padding off a unix socket's name. The name of an abstract
// socket begins with a zero byte.
func socketName(b []byte) []byte {
	if b[0] == 0 {
		return bytes.TrimRight(b, "\x00")
	}
	name, _, _ := bytes.Cut(b, []byte{0})
	return name
}
