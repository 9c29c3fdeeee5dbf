package vassal

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// maxUnixPath is what fits into sockaddr_un.sun_path with its final NUL.
const maxUnixPath = 107

// address is the text of a socket option, understood.
type address struct {
	text string
	// Exactly one of these is set; none when only uWSGI understands the text.
	path     string         // unix socket, as written (may be relative)
	abstract string         // abstract unix socket, without the "@"
	tcp      netip.AddrPort // with an unspecified address for ":port"
	// foreign says why the emperor cannot bind it.
	foreign string
}

// parseAddress understands what uWSGI's bind_to_unix and bind_to_tcp take: the
// last colon makes a TCP address, everything else is a path. It never resolves a
// name. An error means that nobody could bind this.
func parseAddress(text string) (address, error) {
	a := address{text: text}
	switch {
	case text == "":
		return a, fmt.Errorf("want an address: a path, host:port, :port, [v6]:port or @abstract")
	case strings.ContainsRune(text, 0):
		return a, fmt.Errorf("an address cannot hold a NUL byte")
	case strings.HasPrefix(text, "fd://"):
		a.foreign = "a descriptor that uWSGI inherits by itself"
	case strings.HasPrefix(text, "="):
		a.foreign = "a shared-socket"
	case strings.HasPrefix(text, "@"):
		if len(text)-1 > maxUnixPath || len(text) == 1 {
			return a, fmt.Errorf("an abstract name has 1 to %d bytes, this one %d", maxUnixPath, len(text)-1)
		}
		a.abstract = text[1:]
	case !strings.Contains(text, ":"), strings.HasPrefix(text, "/"), strings.HasPrefix(text, "."):
		if len(text) > maxUnixPath {
			return a, fmt.Errorf("a socket's path has at most %d bytes, this one %d", maxUnixPath, len(text))
		}
		a.path = text
		if strings.Contains(text, ":") {
			// To uWSGI the colon makes it a TCP address.
			a.path, a.foreign = text, "a path with a colon"
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
				a.foreign = fmt.Sprintf("%q is not a numeric address", host)
				return a, nil
			}
			if ip.Zone() != "" {
				a.foreign = "an address with a zone"
				return a, nil
			}
		}
		if number == 0 {
			a.foreign = "port 0, any port"
			return a, nil
		}
		a.tcp = netip.AddrPortFrom(ip, uint16(number))
	}
	return a, nil
}

func (a address) isTCP() bool { return a.tcp.IsValid() }

// in gives the address as somebody elsewhere must write it: relative paths are
// completed with the directory.
func (a address) in(dir string) string {
	if a.path != "" && !filepath.IsAbs(a.path) {
		return filepath.Join(dir, a.path)
	}
	return a.text
}
