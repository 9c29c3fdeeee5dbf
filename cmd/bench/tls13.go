package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"
)

// tlsClient is the client's side of one TLS 1.3 connection (RFC 8446), as cheap as
// it can be made: whoever measures what handshakes cost a front must not need more
// for them than the front does, and an ordinary client does, as it checks
// signatures. This one looks at no certificate, and all connections offer the same
// key share. It is for load on loopback and for nothing else.
//
// It offers one version, one cipher suite (TLS_AES_128_GCM_SHA256) and one group
// (X25519), so that all fronts do the same work.
//
// Bytes go in and out of take; who calls it has the socket.
type tlsClient struct {
	host     string
	private  *ecdh.PrivateKey
	resuming *tlsSession // nil: a full handshake

	transcript  hash.Hash
	early       []byte
	records     []byte // received, and not yet a whole record
	messages    []byte // of the handshake, and not yet a whole message
	in, out     *protection
	secrets     handshakeSecrets
	request     []byte // sent with the end of the handshake
	established bool
	resumed     bool        // the front has taken the session
	session     *tlsSession // the first one that it has given us
	answer      []byte      // what came over the connection
	ended       bool        // the front has said that it closes
	plain       bool        // what comes is the answer, and not TLS
}

// tlsSession is what it takes to resume a session.
type tlsSession struct {
	ticket   []byte
	secret   []byte
	added    uint32 // to the age, to disguise it
	received time.Time
}

// handshakeSecrets are those of the key schedule (RFC 8446 §7.1) that are needed
// again later.
type handshakeSecrets struct{ handshake, client, server, master, resumption []byte }

// Numbers of RFC 8446.
const (
	recordChange      = 20
	recordAlert       = 21
	recordHandshake   = 22
	recordApplication = 23

	messageClientHello       = 1
	messageServerHello       = 2
	messageNewSessionTicket  = 4
	messageExtensions        = 8
	messageCertificate       = 11
	messageCertificateVerify = 15
	messageFinished          = 20

	groupX25519  = 0x001d
	suiteAES128  = 0x1301
	versionTLS12 = 0x0303 // what TLS 1.3 calls itself where older machines look
	versionTLS13 = 0x0304

	extensionServerName   = 0
	extensionGroups       = 10
	extensionSignatures   = 13
	extensionPreSharedKey = 41
	extensionVersions     = 43
	extensionKeyExchange  = 45
	extensionKeyShare     = 51
)

func newTLSClient(host string, private *ecdh.PrivateKey, resuming *tlsSession, request []byte) *tlsClient {
	return &tlsClient{host: host, private: private, resuming: resuming, request: request, transcript: sha256.New()}
}

// start returns the first bytes to send.
func (c *tlsClient) start() []byte {
	secret := make([]byte, sha256.Size)
	if c.resuming != nil {
		secret = c.resuming.secret
	}
	c.early = extract(secret, nil)
	hello := c.hello()
	c.transcript.Write(hello)
	return appendRecord(nil, recordHandshake, hello)
}

// hello writes a ClientHello. When a session is resumed, the last extension is
// the session with a proof that we know its secret, a hash over all before it.
func (c *tlsClient) hello() []byte {
	var random [64]byte
	rand.Read(random[:])
	m := message(messageClientHello, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint16(b, versionTLS12)
		b = append(b, random[:32]...)
		b = append(append(b, 32), random[32:]...)                   // a session's name, for machines on the way
		b = append(b, 0, 2, suiteAES128>>8, suiteAES128&0xff, 1, 0) // one suite; no compression
		return vector16(b, func(b []byte) []byte {
			b = extension(b, extensionServerName, func(b []byte) []byte {
				return vector16(b, func(b []byte) []byte {
					return vector16(append(b, 0), func(b []byte) []byte { return append(b, c.host...) })
				})
			})
			b = extension(b, extensionVersions, bytesOf(2, versionTLS13>>8, versionTLS13&0xff))
			b = extension(b, extensionGroups, bytesOf(0, 2, groupX25519>>8, groupX25519&0xff))
			b = extension(b, extensionSignatures, bytesOf(0, 4, 4, 3, 8, 4)) // ECDSA with P-256, RSA-PSS; both with SHA-256
			b = extension(b, extensionKeyExchange, bytesOf(1, 1))            // a session's secret only along with fresh keys
			b = extension(b, extensionKeyShare, func(b []byte) []byte {
				return vector16(b, func(b []byte) []byte {
					b = append(b, groupX25519>>8, groupX25519&0xff)
					return vector16(b, func(b []byte) []byte { return append(b, c.private.PublicKey().Bytes()...) })
				})
			})
			if c.resuming == nil {
				return b
			}
			return extension(b, extensionPreSharedKey, func(b []byte) []byte {
				b = vector16(b, func(b []byte) []byte {
					b = vector16(b, func(b []byte) []byte { return append(b, c.resuming.ticket...) })
					return binary.BigEndian.AppendUint32(b, uint32(time.Since(c.resuming.received).Milliseconds())+c.resuming.added)
				})
				b = append(b, 0, 1+sha256.Size, sha256.Size)
				return append(b, make([]byte, sha256.Size)...)
			})
		})
	})
	if c.resuming != nil {
		proof := len(m) - sha256.Size
		before := sha256.Sum256(m[:proof-3])
		copy(m[proof:], finished(expand(c.early, "res binder", emptyHash), before[:]))
	}
	return m
}

// take takes received bytes in and returns what is to be sent.
func (c *tlsClient) take(received []byte) (send []byte, err error) {
	if c.plain {
		c.answer = append(c.answer, received...)
		return nil, nil
	}
	c.records = append(c.records, received...)
	rest := c.records
	for len(rest) >= 5 {
		length := int(binary.BigEndian.Uint16(rest[3:]))
		if len(rest) < 5+length {
			break
		}
		kind, content := rest[0], rest[5:5+length]
		if kind == recordApplication {
			if c.in == nil {
				return nil, errors.New("TLS: data before the keys")
			}
			if kind, content, err = c.in.open(rest[:5+length]); err != nil {
				return nil, err
			}
		}
		rest = rest[5+length:]
		switch kind {
		case recordChange: // means nothing any more
		case recordAlert:
			if len(content) != 2 || content[1] != 0 {
				return nil, fmt.Errorf("TLS: alert %x", content)
			}
			c.ended = true
		case recordApplication:
			c.answer = append(c.answer, content...)
		case recordHandshake:
			c.messages = append(c.messages, content...)
			out, err := c.handshake()
			if err != nil {
				return nil, err
			}
			send = append(send, out...)
		default:
			return nil, fmt.Errorf("TLS: a record of kind %d", kind)
		}
	}
	c.records = append(c.records[:0], rest...)
	return send, nil
}

// handshake reads all messages that are whole.
func (c *tlsClient) handshake() (send []byte, err error) {
	for len(c.messages) >= 4 {
		length := 4 + int(c.messages[1])<<16 + int(c.messages[2])<<8 + int(c.messages[3])
		if len(c.messages) < length {
			return send, nil
		}
		m := c.messages[:length]
		c.messages = c.messages[length:]
		switch kind := m[0]; {
		case kind == messageServerHello && c.in == nil:
			err = c.serverHello(m)
		case (kind == messageExtensions || kind == messageCertificate || kind == messageCertificateVerify) && c.in != nil && !c.established:
			c.transcript.Write(m)
		case kind == messageFinished && c.in != nil && !c.established:
			send, err = c.finish(m)
		case kind == messageNewSessionTicket && c.established:
			err = c.ticket(m[4:])
		default:
			err = fmt.Errorf("TLS: message %d was not expected", kind)
		}
		if err != nil {
			return nil, err
		}
	}
	return send, nil
}

// serverHello makes the keys of the handshake.
func (c *tlsClient) serverHello(m []byte) error {
	bad := errors.New("TLS: the ServerHello is not what was asked for")
	const sessionAt = 4 + 2 + 32
	if len(m) < sessionAt+1 || len(m) < sessionAt+1+int(m[sessionAt])+5 {
		return bad
	}
	at := sessionAt + 1 + int(m[sessionAt])
	if binary.BigEndian.Uint16(m[at:]) != suiteAES128 {
		return bad
	}
	var share []byte
	for extensions := m[at+5:]; len(extensions) >= 4; {
		kind, length := binary.BigEndian.Uint16(extensions), int(binary.BigEndian.Uint16(extensions[2:]))
		if len(extensions) < 4+length {
			return bad
		}
		content := extensions[4 : 4+length]
		switch {
		case kind == extensionKeyShare && length == 4+32 && binary.BigEndian.Uint16(content) == groupX25519:
			share = content[4:]
		case kind == extensionPreSharedKey:
			c.resumed = true
		}
		extensions = extensions[4+length:]
	}
	public, err := ecdh.X25519().NewPublicKey(share)
	if err != nil {
		return bad
	}
	shared, err := c.private.ECDH(public)
	if err != nil {
		return bad
	}
	if c.resuming != nil && !c.resumed {
		c.early = extract(make([]byte, sha256.Size), nil)
	}
	c.transcript.Write(m)
	hello := c.transcript.Sum(nil)
	s := &c.secrets
	s.handshake = extract(shared, expand(c.early, "derived", emptyHash))
	s.client, s.server = expand(s.handshake, "c hs traffic", hello), expand(s.handshake, "s hs traffic", hello)
	c.in, c.out = protect(s.server), protect(s.client)
	return nil
}

// finish ends the handshake: ours and the request go out together.
func (c *tlsClient) finish(m []byte) (send []byte, err error) {
	s := &c.secrets
	if !hmac.Equal(m[4:], finished(s.server, c.transcript.Sum(nil))) {
		return nil, errors.New("TLS: the front has not seen the handshake that we have")
	}
	c.transcript.Write(m)
	all := c.transcript.Sum(nil)
	own := message(messageFinished, func(b []byte) []byte { return append(b, finished(s.client, all)...) })
	send = c.out.seal(nil, recordHandshake, own)
	c.transcript.Write(own)

	s.master = extract(make([]byte, sha256.Size), expand(s.handshake, "derived", emptyHash))
	c.in, c.out = protect(expand(s.master, "s ap traffic", all)), protect(expand(s.master, "c ap traffic", all))
	s.resumption = expand(s.master, "res master", c.transcript.Sum(nil))
	c.established = true
	return c.out.seal(send, recordApplication, c.request), nil
}

// ticket keeps the first session that we are given.
func (c *tlsClient) ticket(m []byte) error {
	if c.session != nil || c.resuming != nil {
		return nil
	}
	bad := errors.New("TLS: a session ticket that cannot be read")
	if len(m) < 9 {
		return bad
	}
	added, nonce, rest := binary.BigEndian.Uint32(m[4:]), int(m[8]), m[9:]
	if len(rest) < nonce+2 || len(rest) < nonce+2+int(binary.BigEndian.Uint16(rest[nonce:])) {
		return bad
	}
	length := int(binary.BigEndian.Uint16(rest[nonce:]))
	c.session = &tlsSession{
		ticket: append([]byte(nil), rest[nonce+2:nonce+2+length]...), added: added, received: time.Now(),
		secret: expand(c.secrets.resumption, "resumption", rest[:nonce]),
	}
	return nil
}

// protection seals or opens the records of one direction (RFC 8446 §5.2).
type protection struct {
	aead  cipher.AEAD
	nonce [12]byte
	count uint64
}

func protect(secret []byte) *protection {
	block, err := aes.NewCipher(expandTo(secret, "key", nil, 16))
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	p := &protection{}
	if p.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
	copy(p.nonce[:], expandTo(secret, "iv", nil, len(p.nonce)))
	return p
}

// next is the nonce of the next record.
func (p *protection) next() []byte {
	nonce := p.nonce
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^p.count)
	p.count++
	return nonce[:]
}

func (p *protection) seal(to []byte, kind byte, content []byte) []byte {
	head := [5]byte{recordApplication, versionTLS12 >> 8, versionTLS12 & 0xff}
	binary.BigEndian.PutUint16(head[3:], uint16(len(content)+1+p.aead.Overhead()))
	to = append(to, head[:]...)
	return p.aead.Seal(to, p.next(), append(append([]byte(nil), content...), kind), head[:])
}

func (p *protection) open(record []byte) (kind byte, content []byte, err error) {
	if content, err = p.aead.Open(record[5:5], p.next(), record[5:], record[:5]); err != nil {
		return 0, nil, fmt.Errorf("TLS: %w", err)
	}
	for len(content) > 0 && content[len(content)-1] == 0 {
		content = content[:len(content)-1]
	}
	if len(content) == 0 {
		return 0, nil, errors.New("TLS: an empty record")
	}
	return content[len(content)-1], content[:len(content)-1], nil
}

var emptyHash = func() []byte { h := sha256.Sum256(nil); return h[:] }()

func extract(secret, salt []byte) []byte {
	out, err := hkdf.Extract(sha256.New, secret, salt)
	if err != nil {
		panic(err) // only where shorter keys are forbidden
	}
	return out
}

// expand is Derive-Secret of RFC 8446 §7.1, for a transcript that is hashed already.
func expand(secret []byte, label string, context []byte) []byte {
	return expandTo(secret, label, context, sha256.Size)
}

func expandTo(secret []byte, label string, context []byte, length int) []byte {
	info := append(binary.BigEndian.AppendUint16(nil, uint16(length)), byte(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "...), label...)
	info = append(append(info, byte(len(context))), context...)
	out, err := hkdf.Expand(sha256.New, secret, string(info), length)
	if err != nil {
		panic(err) // length is never more than a hash
	}
	return out
}

// finished proves that one knows a secret and has seen a transcript.
func finished(secret, transcript []byte) []byte {
	mac := hmac.New(sha256.New, expand(secret, "finished", nil))
	mac.Write(transcript)
	return mac.Sum(nil)
}

func message(kind byte, write func([]byte) []byte) []byte {
	b := write([]byte{kind, 0, 0, 0})
	b[1], b[2], b[3] = byte((len(b)-4)>>16), byte((len(b)-4)>>8), byte(len(b)-4)
	return b
}

func vector16(b []byte, write func([]byte) []byte) []byte {
	at := len(b)
	b = write(append(b, 0, 0))
	binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at-2))
	return b
}

func extension(b []byte, kind uint16, write func([]byte) []byte) []byte {
	return vector16(binary.BigEndian.AppendUint16(b, kind), write)
}

func bytesOf(content ...byte) func([]byte) []byte {
	return func(b []byte) []byte { return append(b, content...) }
}

func appendRecord(to []byte, kind byte, content []byte) []byte {
	to = append(to, kind, 3, 1)
	to = binary.BigEndian.AppendUint16(to, uint16(len(content)))
	return append(to, content...)
}
