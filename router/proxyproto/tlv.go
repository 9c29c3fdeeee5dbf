package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"iter"
)

// Kinds of additional fields. Each of these may occur once; of others (0xE0 and up
// are the proxy's own) nothing is known.
const (
	ALPN      = 0x01 // the protocol that was negotiated: "h2"
	Authority = 0x02 // the name the visitor asked for (SNI)
	CRC32C    = 0x03 // checksum of the header; checked by Parse
	NoOp      = 0x04 // padding
	UniqueID  = 0x05 // the connection's id, at most 128 bytes
	TLSInfo   = 0x20 // see SSL
	NetNS     = 0x30 // name of the network namespace
)

// Kinds of fields within TLSInfo.
const (
	sslVersion    = 0x21
	sslCommonName = 0x22
	sslCipher     = 0x23
	sslSignature  = 0x24
	sslKey        = 0x25
)

const (
	tlvHead = 3 // kind and length
	sslHead = 5 // flags and the result of the verification

	flagTLS         = 0x01
	flagCertificate = 0x02
	flagSession     = 0x04

	maxUniqueID = 128
)

// once are the kinds that may occur once: two could be believed by two readers.
var once = [256]bool{ALPN: true, Authority: true, CRC32C: true, UniqueID: true, TLSInfo: true, NetNS: true}

// checkTLVs checks the additional fields of the header b, which begin at start and
// end with it.
func checkTLVs(b []byte, start int) error {
	var seen [256]bool
	for at := start; at < len(b); {
		kind, value, err := tlvAt(b, at)
		if err != nil {
			return err
		}
		if seen[kind] && once[kind] {
			return wrong(at, "a second field of kind %#02x", kind)
		}
		seen[kind] = true
		inside := at + tlvHead
		switch kind {
		case CRC32C:
			if len(value) != crc32.Size {
				return wrong(at, "a checksum has 4 bytes, got %d", len(value))
			}
			if want := checksum(b, inside); binary.BigEndian.Uint32(value) != want {
				return wrong(inside, "the checksum is wrong")
			}
		case UniqueID:
			if len(value) > maxUniqueID {
				return wrong(at, "the unique id has %d bytes, more than %d", len(value), maxUniqueID)
			}
		case TLSInfo:
			if len(value) < sslHead {
				return wrong(at, "what is said about TLS has %d bytes, want at least %d", len(value), sslHead)
			}
			end := inside + len(value)
			for sub := inside + sslHead; sub < end; {
				_, value, err := tlvAt(b[:end], sub)
				if err != nil {
					return err
				}
				sub += tlvHead + len(value)
			}
		}
		at = inside + len(value)
	}
	return nil
}

// tlvAt is the field of b that begins at an offset.
func tlvAt(b []byte, at int) (kind byte, value []byte, err error) {
	if len(b)-at < tlvHead {
		return 0, nil, wrong(at, "a field is cut off")
	}
	kind = b[at]
	size := int(binary.BigEndian.Uint16(b[at+1:]))
	value = b[at+tlvHead:]
	if len(value) < size {
		return 0, nil, wrong(at, "a field has %d bytes, but only %d are left", size, len(value))
	}
	return kind, value[:size], nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of the header b, whose own place counts as zeros.
func checksum(b []byte, place int) uint32 {
	var zeros [crc32.Size]byte
	sum := crc32.Update(0, castagnoli, b[:place])
	sum = crc32.Update(sum, castagnoli, zeros[:])
	return crc32.Update(sum, castagnoli, b[place+crc32.Size:])
}

// fields yields fields up to the first that is not well formed.
func fields(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for at := 0; at < len(b); {
			kind, value, err := tlvAt(b, at)
			if err != nil || !yield(kind, value) {
				return
			}
			at += tlvHead + len(value)
		}
	}
}

// All yields the additional fields, kind and value, in their order.
func (h *Header) All() iter.Seq2[byte, []byte] { return fields(h.TLVs) }

// Find returns the first additional field of a kind.
func (h *Header) Find(kind byte) (value []byte, ok bool) {
	for k, value := range h.All() {
		if k == kind {
			return value, true
		}
	}
	return nil, false
}

// SSL is what the proxy says about the visitor's TLS connection.
type SSL struct {
	TLS         bool   // the visitor used TLS
	Certificate bool   // it sent a client certificate on this connection,
	Session     bool   // or in the TLS session that this one resumed,
	Verified    bool   // and that was verified
	Version     []byte // "TLSv1.3"
	CommonName  []byte // of the client certificate
	Cipher      []byte
	Signature   []byte // algorithm of the proxy's certificate
	Key         []byte // algorithm of its key
}

// SSL returns what the header says about TLS.
func (h *Header) SSL() (s SSL, ok bool) {
	b, ok := h.Find(TLSInfo)
	if !ok || len(b) < sslHead {
		return SSL{}, false
	}
	s.TLS = b[0]&flagTLS != 0
	s.Certificate = b[0]&flagCertificate != 0
	s.Session = b[0]&flagSession != 0
	s.Verified = (s.Certificate || s.Session) && binary.BigEndian.Uint32(b[1:]) == 0
	for kind, value := range fields(b[sslHead:]) {
		switch kind {
		case sslVersion:
			s.Version = value
		case sslCommonName:
			s.CommonName = value
		case sslCipher:
			s.Cipher = value
		case sslSignature:
			s.Signature = value
		case sslKey:
			s.Key = value
		}
	}
	return s, true
}
