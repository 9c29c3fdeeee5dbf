package upstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Address says where to connect: a socket address ready for connect(2), or the
// name of a host, which Dial has resolved each time. Immutable, and free to copy.
type Address struct {
	socket socketAddress
	host   string // the name; "" when socket says it all
	port   uint16 // beside host
}

// socketAddress is what connect(2) takes.
type socketAddress struct {
	family int
	size   uint32
	raw    [unix.SizeofSockaddrAny]byte
}

// Unix tells whether the address is a unix socket's.
func (a *Address) Unix() bool { return a.socket.family == unix.AF_UNIX }

// Host is the host's name, "" for an address that needs none.
func (a *Address) Host() string { return a.host }

const maxUnixPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Parse reads an address as uWSGI writes them: "/path", "relative/path",
// "@abstract", "127.0.0.1:80", "[::1]:80", ":80" (this machine); and, beyond
// uWSGI, "host.name:80". It allocates nothing but errors, and the name of a host
// where a held another before.
func (a *Address) Parse(text []byte) error {
	if len(text) == 0 {
		return errors.New("empty address")
	}
	if text[0] != '/' && text[0] != '@' {
		colon := -1
		for i := len(text) - 1; i >= 0 && colon < 0; i-- {
			switch text[i] {
			case ':':
				colon = i
			case '/':
				i = 0 // a relative path, whatever it contains
			}
		}
		if colon >= 0 {
			return a.parseTCP(text, colon)
		}
	}
	a.host = ""
	return a.socket.setUnix(text)
}

func (s *socketAddress) setUnix(path []byte) error {
	if len(path) > maxUnixPath {
		return fmt.Errorf("unix socket path of %d bytes, the limit is %d", len(path), maxUnixPath)
	}
	name := (*unix.RawSockaddrUnix)(unsafe.Pointer(&s.raw))
	*name = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for i, c := range path {
		if c == 0 {
			return errors.New("unix socket path with a NUL byte")
		}
		name.Path[i] = int8(c)
	}
	s.family = unix.AF_UNIX
	// Both kinds include one byte more: the terminating NUL of a path, and the
	// trailing NUL that uWSGI gives its abstract names.
	s.size = uint32(unsafe.Sizeof(name.Family)) + uint32(len(path)) + 1
	if path[0] == '@' {
		name.Path[0] = 0
	}
	return nil
}

// abstract tells that the socket has no file.
func (s *socketAddress) abstract() bool {
	return s.family == unix.AF_UNIX && (*unix.RawSockaddrUnix)(unsafe.Pointer(&s.raw)).Path[0] == 0
}

func (a *Address) parseTCP(text []byte, colon int) error {
	port, err := strconv.ParseUint(string(text[colon+1:]), 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("port %q, want 1 to 65535", text[colon+1:])
	}
	host := text[:colon]
	if len(host) == 0 {
		a.host = ""
		a.socket.setTCP(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
		return nil
	}
	if isName(host) {
		if a.host != string(host) {
			a.host = string(host)
		}
		a.port = uint16(port)
		a.socket.family = 0
		return nil
	}
	bare := host
	if host[0] == '[' && host[len(host)-1] == ']' {
		bare = host[1 : len(host)-1]
	}
	ip, err := netip.ParseAddr(string(bare))
	if err != nil {
		return fmt.Errorf("%q is neither an IP address nor the name of a host", host)
	}
	a.host = ""
	a.socket.setTCP(netip.AddrPortFrom(ip, uint16(port)))
	return nil
}

// isName tells whether b can be the name of a host. One whose last label is a
// number would be an IP address that somebody got wrong.
func isName(b []byte) bool {
	b = bytes.TrimSuffix(b, []byte{'.'})
	if len(b) == 0 || len(b) > 253 {
		return false
	}
	label, number := 0, true // length of the label, and whether it has digits only
	for _, c := range b {
		switch {
		case c == '.':
			if label == 0 {
				return false
			}
			label, number = 0, true
			continue
		case '0' <= c && c <= '9':
		case 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '_':
			number = false
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && !number
}

func (s *socketAddress) setTCP(to netip.AddrPort) {
	ip := to.Addr().Unmap()
	if ip.Is4() {
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		*name = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
		s.family, s.size = unix.AF_INET, unix.SizeofSockaddrInet4
		return
	}
	name := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.raw))
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	if zone := ip.Zone(); zone != "" {
		if device, err := net.InterfaceByName(zone); err == nil {
			name.Scope_id = uint32(device.Index)
		}
	}
	s.family, s.size = unix.AF_INET6, unix.SizeofSockaddrInet6
}
