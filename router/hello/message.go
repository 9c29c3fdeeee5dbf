package hello

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Kinds of extensions that say something to a router.
const (
	extServerName        = 0
	extProtocols         = 16
	extSupportedVersions = 43
	extECH               = 0xfe0d

	nameHost   = 0   // the one kind of server name there is
	longestSNI = 255 // what DNS allows, and some more than a host name may have
)

var (
	errShort      = errors.New("it is cut off")
	errTrailing   = errors.New("bytes after the extensions")
	errExtension  = errors.New("an extension is cut off")
	errName       = errors.New("the extension server_name is malformed")
	errNameTwice  = errors.New("two server names")
	errNameNUL    = errors.New("the server name has a NUL")
	errNameLong   = fmt.Errorf("the server name is longer than %d bytes", longestSNI)
	errProtocols  = errors.New("the extension application_layer_protocol_negotiation is malformed")
	errVersions   = errors.New("the extension supported_versions is malformed")
	errExtraTwice = errors.New("an extension comes twice")
)

// message reads what follows the head of a ClientHello (RFC 8446, 4.1.2; the older
// versions have the same).
func (h *Hello) message(b []byte) error {
	r := reader{b: b}
	h.Version = r.uint16()
	r.take(32)              // random
	r.take(r.uint8())       // session id
	r.take(int(r.uint16())) // cipher suites
	r.take(r.uint8())       // compression methods
	if r.short {
		return errShort
	}
	if len(r.b) == 0 {
		return nil // before there were extensions
	}
	extensions := reader{b: r.take(int(r.uint16()))}
	if r.short {
		return errShort
	}
	if len(r.b) > 0 {
		return errTrailing
	}
	var seen [4]bool
	for len(extensions.b) > 0 {
		kind := extensions.uint16()
		content := extensions.take(int(extensions.uint16()))
		if extensions.short {
			return errExtension
		}
		var nth int
		var err error
		switch kind {
		case extServerName:
			nth, err = 0, h.serverName(content)
		case extProtocols:
			nth, err = 1, h.alpn(content)
		case extSupportedVersions:
			nth, err = 2, h.versions(content)
		case extECH:
			nth, h.ECH = 3, true
		default:
			continue
		}
		if seen[nth] {
			return errExtraTwice
		}
		seen[nth] = true
		if err != nil {
			return err
		}
	}
	return nil
}

// serverName reads the extension server_name (RFC 6066, 3): a list of names of
// different kinds, of which one was ever defined.
func (h *Hello) serverName(b []byte) error {
	list, ok := only(b, 2)
	if !ok || len(list.b) == 0 {
		return errName
	}
	found := false
	for len(list.b) > 0 {
		kind := list.uint8()
		name := list.take(int(list.uint16()))
		if list.short || len(name) == 0 {
			return errName
		}
		switch {
		case kind != nameHost:
			continue
		case found:
			return errNameTwice
		case len(name) > longestSNI:
			return errNameLong
		case bytes.IndexByte(name, 0) >= 0:
			return errNameNUL
		}
		h.ServerName, found = name, true
	}
	return nil
}

// alpn reads the extension application_layer_protocol_negotiation (RFC 7301, 3.1).
func (h *Hello) alpn(b []byte) error {
	list, ok := only(b, 2)
	if !ok || len(list.b) == 0 {
		return errProtocols
	}
	h.Protocols = h.protocols[:0]
	for len(list.b) > 0 {
		name := list.take(list.uint8())
		if list.short || len(name) == 0 {
			return errProtocols
		}
		if len(name) == 2 && grease(binary.BigEndian.Uint16(name)) {
			continue
		}
		h.Protocols = append(h.Protocols, name)
	}
	if len(h.Protocols) == 0 {
		h.Protocols = nil
	}
	return nil
}

// versions reads the extension supported_versions (RFC 8446, 4.2.1), which says what
// the version at the hello's beginning cannot any more.
func (h *Hello) versions(b []byte) error {
	list, ok := only(b, 1)
	if !ok || len(list.b) == 0 {
		return errVersions
	}
	var highest uint16
	for len(list.b) > 0 {
		version := list.uint16()
		if list.short {
			return errVersions
		}
		// Others are no versions (GREASE, 0x?a?a) or were drafts of one (0x7f??).
		if version>>8 == recordMajor {
			highest = max(highest, version)
		}
	}
	if highest > 0 {
		h.Version = highest
	}
	return nil
}

// grease tells values that mean nothing and are sent so that servers do not forget to
// ignore what they do not know (RFC 8701): 0x0a0a, 0x1a1a … 0xfafa.
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// reader takes fields off the front of a message. One that is too short makes it
// short and gives zeros, so that a row of fields needs one check.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.short = nil, true
		return nil
	}
	field := r.b[:n:n]
	r.b = r.b[n:]
	return field
}

func (r *reader) uint8() int {
	if b := r.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// only is the content of a vector that b has to be all of; the length before it has
// one or two bytes.
func only(b []byte, lengthSize int) (content reader, ok bool) {
	r := reader{b: b}
	size := 0
	if lengthSize == 1 {
		size = r.uint8()
	} else {
		size = int(r.uint16())
	}
	content.b = r.take(size)
	return content, !r.short && len(r.b) == 0
}
