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
	Servers  []netip.AddrPort
	Search   []string                // domains to try behind a name with few dots
	Dots     int                     // a name with so many dots is tried as it is first; 0 means 1
	Timeout  time.Duration           // of the first round of questions, each round gets that much more; 0 means 1 s
	Attempts int                     // rounds through the servers; 0 means 3
	Rotate   bool                    // begin with another server each time
	Hosts    map[string][]netip.Addr // names that nobody is asked for, in lower case
}

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
		c.Servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
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
		if server, err := parseServer(arguments[0]); err == nil && len(c.Servers) < 3 {
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

// ParseServers reads the addresses of servers as a resolver option names them:
// "10.0.0.2", "10.0.0.2:5353", "[::1]:53", several with blanks or commas between.
func ParseServers(text string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		server, err := parseServer(word)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("no name server, want one like 10.0.0.2 or 10.0.0.2:5353")
	}
	return servers, nil
}

func parseServer(text string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(ip, dnsPort), nil
	}
	server, err := netip.ParseAddrPort(text)
	if err != nil || server.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("name server %q: want an IP address, with :port if it is not %d", text, dnsPort)
	}
	return server, nil
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
