package proxyproto

import "iter"

// Kinds of additional fields.
const (
	ALPN      = 0x01 // the protocol that was negotiated: "h2"
	Authority = 0x02 // the name the visitor asked for (SNI)
	CRC32C    = 0x03 // checksum of the header; checked by Parse
	NoOp      = 0x04 // padding
	UniqueID  = 0x05 // the connection's id, at most 128 bytes
	TLSInfo   = 0x20 // see SSL
	NetNS     = 0x30
)

// All yields the additional fields in their order.
func (h *Header) All() iter.Seq2[byte, []byte] { return func(func(byte, []byte) bool) {} }

// Find returns the first additional field of a kind.
func (h *Header) Find(kind byte) (value []byte, ok bool) { return nil, false }

// SSL is what the proxy says about the visitor's TLS connection.
type SSL struct {
	TLS         bool   // the visitor used TLS
	Certificate bool   // it sent a client certificate on this connection
	Session     bool   // or in the TLS session that this one resumed
	Verified    bool   // and that was verified
	Version     []byte // "TLSv1.3"
	CommonName  []byte // of the client certificate
	Cipher      []byte
	Signature   []byte // algorithm of the front's certificate
	Key         []byte // algorithm of its key
}

// SSL returns what the header says about TLS.
func (h *Header) SSL() (s SSL, ok bool) { return SSL{}, false }

// AppendTLV appends an additional field, to build Header.TLVs.
func AppendTLV(dst []byte, kind byte, value []byte) []byte { return dst }

// AppendSSL appends the field about TLS.
func AppendSSL(dst []byte, s *SSL) []byte { return dst }
