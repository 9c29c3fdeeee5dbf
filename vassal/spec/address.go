package spec

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// MaxUnixPath is what fits into sockaddr_un.sun_path with its final NUL.
const MaxUnixPath = 107

// Address is the text of a socket option, understood.
type Address struct {
	_ struct{} `carry:"small"`

	Text string
	// Exactly one of these is set; none when only uWSGI understands the text.
	Path     string         // unix socket, as written (may be relative)
	Abstract string         // abstract unix socket, without the "@"
	TCP      netip.AddrPort // with an unspecified address for ":port"
	// Foreign says why the emperor cannot bind it.
	Foreign string
}

// ParseAddress understands what uWSGI's bind_to_unix and bind_to_tcp take: the
// last colon makes a TCP address, everything else is a path. It never resolves a
// name. An error means that nobody could bind this.
func ParseAddress(text string) (Address, error) {
	a := Address{Text: text}
	switch {
	case text == "":
		return a, fmt.Errorf("want an address: a path, host:port, :port, [v6]:port or @abstract")
	case strings.ContainsRune(text, 0):
		return a, fmt.Errorf("an address cannot hold a NUL byte")
	case strings.HasPrefix(text, "fd://"):
		a.Foreign = "a descriptor that uWSGI inherits by itself"
	case strings.HasPrefix(text, "="):
		a.Foreign = "a shared-socket"
	case strings.HasPrefix(text, "@"):
		if len(text)-1 > MaxUnixPath || len(text) == 1 {
			return a, fmt.Errorf("an abstract name has 1 to %d bytes, this one %d", MaxUnixPath, len(text)-1)
		}
		a.Abstract = text[1:]
	case !strings.Contains(text, ":"), strings.HasPrefix(text, "/"), strings.HasPrefix(text, "."):
		if len(text) > MaxUnixPath {
			return a, fmt.Errorf("a socket's path has at most %d bytes, this one %d", MaxUnixPath, len(text))
		}
		a.Path = text
		if strings.Contains(text, ":") {
			// To uWSGI the colon makes it a TCP address.
			a.Path, a.Foreign = text, "a path with a colon"
		}
	default:
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			return a, fmt.Errorf("want host:port, got %q", text)
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return a, fmt.Errorf("want a port from 1 to 65535 after the colon, got %q", port)
		}
		ip := netip.IPv4Unspecified()
		if host != "" {
			if ip, err = netip.ParseAddr(host); err != nil {
				a.Foreign = fmt.Sprintf("%q is not a numeric address", host)
				return a, nil
			}
			if ip.Zone() != "" {
				a.Foreign = "an address with a zone"
				return a, nil
			}
		}
		if number == 0 {
			a.Foreign = "port 0, any port"
			return a, nil
		}
		a.TCP = netip.AddrPortFrom(ip, uint16(number))
	}
	return a, nil
}

// IsTCP tells a port from a path.
func (a Address) IsTCP() bool { return a.TCP.IsValid() }

// In gives the address as somebody elsewhere must write it: relative paths are
// completed with the directory.
func (a Address) In(dir string) string {
	if a.Path != "" && !filepath.IsAbs(a.Path) {
		return filepath.Join(dir, a.Path)
	}
	return a.Text
}

// Dialable is the address a client on this machine connects to.
func (a Address) Dialable(dir string) (network, to string) {
	if !a.IsTCP() {
		return "unix", a.In(dir)
	}
	ip, port := a.TCP.Addr(), fmt.Sprint(a.TCP.Port())
	if ip.IsUnspecified() {
		if ip.Is4() {
			return "tcp", net.JoinHostPort("127.0.0.1", port)
		}
		return "tcp", net.JoinHostPort("::1", port)
	}
	return "tcp", net.JoinHostPort(ip.String(), port)
}
