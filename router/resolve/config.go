package resolve

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config says whom to ask and how.
type Config struct {
	Servers  []Server
	System   []Server                // whom to ask for the names of Servers: those of resolv.conf
	Search   []string                // domains to try behind a name with few dots
	Dots     int                     // a name with so many dots is tried as it is first; 0 means 1
	Timeout  time.Duration           // of the first round of questions, each round gets that much more; 0 means 1 s
	Attempts int                     // rounds through the servers; 0 means 3
	Rotate   bool                    // begin with another server each time
	Hosts    map[string][]netip.Addr // names that nobody is asked for, in lower case
}

// Server is a name server. One whose address is not said has a name that the
// servers of Config.System know.
type Server struct {
	Host    string // "" for one whose address is known
	Address netip.Addr
	Port    uint16
}

func (s Server) String() string {
	switch {
	case s.Host == "":
		return s.place().String()
	case s.Address.IsValid():
		return fmt.Sprintf("%s (%v)", s.Host, s.place())
	}
	return fmt.Sprintf("%s:%d", s.Host, s.Port)
}

func (s Server) place() netip.AddrPort { return netip.AddrPortFrom(s.Address, s.Port) }

// What is not said. The C library waits five seconds for a server that does not
// answer; no request would still be there.
const (
	defaultTimeout  = time.Second
	defaultAttempts = 3
)

const dnsPort = 53

// ParseConfig reads the contents of /etc/resolv.conf and /etc/hosts, each of
// which may be empty. As the C library does, it passes over what it does not
// understand. Without a nameserver it is the one on this machine.
func ParseConfig(resolvConf, hosts []byte) Config {
	c := Config{Dots: 1, Timeout: defaultTimeout, Attempts: defaultAttempts}
	for line := range strings.Lines(string(resolvConf)) {
		c.line(strings.Fields(line))
	}
	if len(c.Servers) == 0 {
		c.Servers = []Server{{Address: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Port: dnsPort}}
	}
	c.System = c.Servers
	c.Hosts = parseHosts(string(hosts))
	return c
}

// line reads one line of resolv.conf.
func (c *Config) line(words []string) {
	if len(words) < 2 {
		return
	}
	arguments := words[1:]
	switch words[0] { // comments begin with another word
	case "nameserver":
		if server, ok := parseNumeric(arguments[0]); ok && len(c.Servers) < 3 {
			c.Servers = append(c.Servers, server)
		}
	case "domain":
		c.Search = arguments[:1]
	case "search":
		c.Search = arguments
	case "options":
		for _, o := range arguments {
			name, value, _ := strings.Cut(o, ":")
			n, err := strconv.Atoi(value)
			switch {
			case name == "rotate":
				c.Rotate = true
			case err != nil || n < 0:
			case name == "ndots":
				c.Dots = min(n, 15)
			case name == "timeout" && n > 0:
				c.Timeout = time.Duration(min(n, 30)) * time.Second
			case name == "attempts" && n > 0:
				c.Attempts = min(n, 5)
			}
		}
	}
}

func parseHosts(text string) map[string][]netip.Addr {
	hosts := map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		for _, name := range words[1:] {
			name = strings.ToLower(name)
			hosts[name] = append(hosts[name], ip)
		}
	}
	return hosts
}

// ParseServers reads name servers as a resolver option names them: "10.0.0.2",
// "10.0.0.2:5353", "[::1]:53", "dns.example", "dns.example:5353", several with blanks
// or commas between.
func ParseServers(text string) ([]Server, error) {
	var servers []Server
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		server, ok := parseNumeric(word)
		if !ok {
			server, ok = parseNamed(word)
		}
		if !ok {
			return nil, fmt.Errorf("name server %q: want an IP address or the name of a host, with :port if it is not %d", word, dnsPort)
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("no name server, want one like 10.0.0.2, 10.0.0.2:5353 or dns.example")
	}
	return servers, nil
}

func parseNumeric(text string) (Server, bool) {
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return Server{Address: ip, Port: dnsPort}, true
	}
	at, err := netip.ParseAddrPort(text)
	return Server{Address: at.Addr(), Port: at.Port()}, err == nil && at.Port() != 0
}

func parseNamed(text string) (Server, bool) {
	host, portText, given := strings.Cut(text, ":")
	port := uint64(dnsPort)
	if given {
		var err error
		if port, err = strconv.ParseUint(portText, 10, 16); err != nil || port == 0 {
			return Server{}, false
		}
	}
	return Server{Host: strings.ToLower(host), Port: uint16(port)}, isName(host)
}

// isName tells whether text can be the name of a host. One whose last label is a
// number would be an IP address that somebody got wrong.
func isName(text string) bool {
	labels := strings.Split(strings.TrimSuffix(text, "."), ".")
	for _, label := range labels {
		other := strings.IndexFunc(label, func(r rune) bool {
			return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z')
		})
		if label == "" || len(label) > 63 || other >= 0 {
			return false
		}
	}
	return len(text) <= 253 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// fixed returns what the configuration itself says of a name.
func (c *Config) fixed(name string) []netip.Addr {
	name = strings.TrimSuffix(name, ".")
	if ips := c.Hosts[name]; ips != nil {
		return ips
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761 §6.3
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return nil
}

// candidates returns the full names to ask for, in their order.
func (c *Config) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	for _, domain := range c.Search {
		domain = strings.Trim(domain, ".")
		if full := name + "." + domain + "."; domain != "" && len(full) <= 254 {
			all = append(all, full)
		}
	}
	if strings.Count(name, ".") >= max(c.Dots, 1) {
		return append([]string{name + "."}, all...)
	}
	return append(all, name+".")
}
