package upstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Address is a socket address ready for connect(2): resolved, immutable, and
// free to copy.
type Address struct {
	family int
	size   uint32
	raw    [unix.SizeofSockaddrAny]byte
}

// Unix tells whether the address is a unix socket's.
func (a *Address) Unix() bool { return a.family == unix.AF_UNIX }

// ErrName is returned by Parse for an address that names a host. Names are not
// resolved: a lookup could block a request, and its answer change unseen.
var ErrName = errors.New("a host name")

const maxUnixPath = len(unix.RawSockaddrUnix{}.Path) - 1

// Parse reads an address as uWSGI writes them: "/path", "relative/path",
// "@abstract", "127.0.0.1:80", "[::1]:80", ":80" (this machine). It allocates
// nothing but errors.
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
	if len(text) > maxUnixPath {
		return fmt.Errorf("unix socket path of %d bytes, the limit is %d", len(text), maxUnixPath)
	}
	name := (*unix.RawSockaddrUnix)(unsafe.Pointer(&a.raw))
	*name = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for i, c := range text {
		if c == 0 {
			return errors.New("unix socket path with a NUL byte")
		}
		name.Path[i] = int8(c)
	}
	a.family = unix.AF_UNIX
	// Both kinds include one byte more: the terminating NUL of a path, and the
	// trailing NUL that uWSGI gives its abstract names.
	a.size = uint32(unsafe.Sizeof(name.Family)) + uint32(len(text)) + 1
	if text[0] == '@' {
		name.Path[0] = 0
	}
	return nil
}

func (a *Address) parseTCP(text []byte, colon int) error {
	port, err := strconv.ParseUint(string(text[colon+1:]), 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("port %q, want 1 to 65535", text[colon+1:])
	}
	host := text[:colon]
	if len(host) == 0 {
		a.setTCP(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
		return nil
	}
	if host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	ip, err := netip.ParseAddr(string(host))
	if err != nil {
		return ErrName
	}
	a.setTCP(netip.AddrPortFrom(ip, uint16(port)))
	return nil
}

func (a *Address) setTCP(to netip.AddrPort) {
	ip := to.Addr().Unmap()
	if ip.Is4() {
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		*name = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
		a.family, a.size = unix.AF_INET, unix.SizeofSockaddrInet4
		return
	}
	name := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	if zone := ip.Zone(); zone != "" {
		if device, err := net.InterfaceByName(zone); err == nil {
			name.Scope_id = uint32(device.Index)
		}
	}
	a.family, a.size = unix.AF_INET6, unix.SizeofSockaddrInet6
}
