package hello

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxSize is the most bytes that a hello may have, the heads of its records included:
// the buffer to parse from never needs more room. (Browsers send up to 2 KiB, a
// client that resumes a session some more.)
const MaxSize = 64 << 10

// ErrNotTLS: the first bytes are no TLS handshake record.
var ErrNotTLS = errors.New("not TLS")

// Hello is what a client says of itself before anything is encrypted.
//
// The zero Hello is ready. One that is used must not be copied, and serves one
// connection.
type Hello struct {
	// ServerName is the name that the client asks for, as it was sent, nil without
	// one. It points into the buffer if the hello came in one record, else to a copy.
	ServerName []byte

	// Protocols are what the client offers by ALPN, in its order, nil without. They
	// point to where ServerName does.
	Protocols [][]byte

	// Version is the highest version that is offered, such as 0x0304 for TLS 1.3.
	Version uint16

	// ECH tells that there was an encrypted hello: ServerName is the outer one. Some
	// browsers always pretend to have one (GREASE), so this says nothing for sure.
	ECH bool

	protocols [4][]byte // room for Protocols that need not be allocated
	progress  progress
}

// progress is how far the records have been read.
type progress struct {
	at   int            // where the first record begins that was not read to its end
	have int            // bytes of the message in the records before
	head [headSize]byte // what the message begins with,
	size int            // and the size it has with its head, 0 until that is known
}

const (
	recordHead      = 5 // type, version, length
	recordHandshake = 22
	recordMajor     = 3       // of the versions SSL 3.0 to TLS 1.3
	recordMax       = 1 << 14 // of a record's content that is not encrypted

	headSize    = 4 // of a message: type, length
	clientHello = 1
)

// Parse reads the ClientHello that b begins with. complete is false while bytes are
// missing: call it again with these and more. An error is final; ErrNotTLS says that
// b is something else.
//
// b never needs more than MaxSize bytes. What comes after the hello is not looked at.
func (h *Hello) Parse(b []byte) (complete bool, err error) {
	if len(b) < h.progress.at {
		// Not what it was called with the last time.
		h.progress = progress{}
	}
	message, err := h.progress.read(b)
	if message == nil && err == nil {
		return false, nil
	}
	h.progress = progress{}
	h.ServerName, h.Protocols, h.Version, h.ECH = nil, nil, 0, false
	if err != nil {
		return false, err
	}
	if err := h.message(message[headSize:]); err != nil {
		h.ServerName, h.Protocols, h.Version, h.ECH = nil, nil, 0, false
		return false, fmt.Errorf("ClientHello: %w", err)
	}
	return true, nil
}

// read goes on with the records in b. It returns the message as soon as all of it is
// there.
func (p *progress) read(b []byte) (message []byte, err error) {
	for {
		if err := p.fits(); err != nil {
			return nil, err
		}
		record := b[p.at:]
		if err := p.checkRecord(record); err != nil || len(record) < recordHead {
			return nil, err
		}
		length := int(binary.BigEndian.Uint16(record[3:]))
		content := record[recordHead:min(len(record), recordHead+length)]

		if p.size == 0 {
			if p.have < headSize {
				copy(p.head[p.have:], content)
			}
			got := p.have + len(content)
			if got > 0 && p.head[0] != clientHello {
				return nil, fmt.Errorf("the first message is of type %d, want a ClientHello (%d)", p.head[0], clientHello)
			}
			if got >= headSize {
				p.size = headSize + int(p.head[1])<<16 + int(binary.BigEndian.Uint16(p.head[2:]))
				if err := p.fits(); err != nil {
					return nil, err
				}
			}
		}
		if p.size > 0 && p.have+len(content) >= p.size {
			if p.have == 0 {
				return content[:p.size], nil
			}
			return p.join(b), nil
		}
		if len(content) < length {
			return nil, nil
		}
		p.at += recordHead + length
		p.have += length
	}
}

// checkRecord checks as much of a record's head as is there.
func (p *progress) checkRecord(head []byte) error {
	first := p.at == 0
	if len(head) > 0 && head[0] != recordHandshake {
		if first {
			return ErrNotTLS
		}
		return fmt.Errorf("ClientHello: a record of type %d before its end", head[0])
	}
	if len(head) > 1 && head[1] != recordMajor {
		if first {
			return ErrNotTLS
		}
		return fmt.Errorf("ClientHello: a record of version %d, want %d", head[1], recordMajor)
	}
	if len(head) < recordHead {
		return nil
	}
	switch length := int(binary.BigEndian.Uint16(head[3:])); {
	case length == 0:
		// Forbidden, and a way to send forever without getting any further.
		return errors.New("ClientHello: an empty record")
	case length > recordMax:
		return fmt.Errorf("ClientHello: a record of %d bytes, more than %d", length, recordMax)
	}
	return nil
}

// fits tells whether what is missing has room, even if it comes in one record.
func (p *progress) fits() error {
	if p.size > 0 && p.at+recordHead+p.size-p.have > MaxSize {
		return fmt.Errorf("ClientHello: of %d bytes, in records of more than %d", p.size, MaxSize)
	}
	return nil
}

// join makes one piece of a message whose last byte is in the record that is read.
func (p *progress) join(b []byte) []byte {
	message := make([]byte, 0, p.size)
	for len(message) < p.size {
		length := int(binary.BigEndian.Uint16(b[3:]))
		content := b[recordHead:min(len(b), recordHead+length)]
		message = append(message, content[:min(len(content), p.size-len(message))]...)
		b = b[recordHead+len(content):]
	}
	return message
}
