package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strconv"
)

// AppendV1 appends the header as text. What version 1 can't say (a unix socket) is
// UNKNOWN, and additional fields are left out.
func (h *Header) AppendV1(dst []byte) []byte {
	if !h.hasAddresses() {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	source, destination := h.Source.Addr(), h.Destination.Addr()
	if source.Is4() && destination.Is4() {
		dst = append(dst, "PROXY TCP4 "...)
	} else {
		dst = append(dst, "PROXY TCP6 "...)
		source, destination = netip.AddrFrom16(source.As16()), netip.AddrFrom16(destination.As16())
	}
	dst = append(source.AppendTo(dst), ' ')
	dst = append(destination.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(h.Source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(h.Destination.Port()), 10)
	return append(dst, "\r\n"...)
}

// AppendV2 appends the header in binary with its additional fields, and a checksum
// if asked for: one that is among the fields is of another header, and left out. The
// error says that something is larger than it may be; dst is unchanged then.
func (h *Header) AppendV2(dst []byte, withChecksum bool) ([]byte, error) {
	start := len(dst)
	out := append(dst, startV2...)
	switch {
	case h.Unix:
		if len(h.SourcePath) > pathSize || len(h.DestinationPath) > pathSize {
			return dst, wrong(lengthV2, "the name of a unix socket has more than %d bytes", pathSize)
		}
		out = append(out, commandProxy, familyUnix, 0, 0)
		var names [2 * pathSize]byte
		copy(names[:], h.SourcePath)
		copy(names[pathSize:], h.DestinationPath)
		out = append(out, names[:]...)
	case !h.hasAddresses():
		out = append(out, commandLocal, familyNone, 0, 0)
	case h.Source.Addr().Is4() && h.Destination.Addr().Is4():
		out = append(out, commandProxy, familyIPv4, 0, 0)
		source, destination := h.Source.Addr().As4(), h.Destination.Addr().As4()
		out = append(append(out, source[:]...), destination[:]...)
		out = h.appendPorts(out)
	default:
		out = append(out, commandProxy, familyIPv6, 0, 0)
		source, destination := h.Source.Addr().As16(), h.Destination.Addr().As16()
		out = append(append(out, source[:]...), destination[:]...)
		out = h.appendPorts(out)
	}
	for kind, value := range h.All() {
		if kind != CRC32C {
			out = AppendTLV(out, kind, value)
		}
	}
	place := -1
	if withChecksum {
		out = append(out, CRC32C, 0, crc32.Size, 0, 0, 0, 0)
		place = len(out) - crc32.Size - start
	}
	header := out[start:]
	if len(header) > MaxSize {
		return dst, wrong(lengthV2, "the header has %d bytes, more than %d", len(header), MaxSize)
	}
	binary.BigEndian.PutUint16(header[14:], uint16(len(header)-lengthV2))
	if withChecksum {
		binary.BigEndian.PutUint32(header[place:], checksum(header, place))
	}
	return out, nil
}

func (h *Header) hasAddresses() bool {
	return !h.Local && !h.Unix && h.Source.IsValid() && h.Destination.IsValid()
}

func (h *Header) appendPorts(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
	return binary.BigEndian.AppendUint16(dst, h.Destination.Port())
}

// AppendTLV appends an additional field, to build Header.TLVs. A value of more than
// 65,535 bytes is cut there; the header would be too large with it anyway.
func AppendTLV(dst []byte, kind byte, value []byte) []byte {
	value = value[:min(len(value), 1<<16-1)]
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

// AppendSSL appends the additional field about TLS.
func AppendSSL(dst []byte, s *SSL) []byte {
	start := len(dst)
	dst = append(dst, TLSInfo, 0, 0, flags(s), 0, 0, 0, 0)
	if !s.Verified {
		dst[len(dst)-1] = 1
	}
	for _, field := range [...]struct {
		kind  byte
		value []byte
	}{
		{sslVersion, s.Version}, {sslCommonName, s.CommonName}, {sslCipher, s.Cipher},
		{sslSignature, s.Signature}, {sslKey, s.Key},
	} {
		if len(field.value) > 0 {
			dst = AppendTLV(dst, field.kind, field.value)
		}
	}
	binary.BigEndian.PutUint16(dst[start+1:], uint16(len(dst)-start-tlvHead))
	return dst
}

func flags(s *SSL) (b byte) {
	if s.TLS {
		b |= flagTLS
	}
	if s.Certificate {
		b |= flagCertificate
	}
	if s.Session {
		b |= flagSession
	}
	return b
}
