package stream

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"emperor/internal/transport"
	"emperor/router/rule"
)

// conditions are what must hold beside the name. Of each kind several may be
// given: one of those without "!", and none of those with it.
type conditions struct {
	alpn    []protocolTest
	remotes []remoteTest
}

// protocolTest is alpn=NAME, or alpn=!NAME.
type protocolTest struct {
	name string
	not  bool
}

// remoteTest is remote-addr=NETWORK, or remote-addr=!NETWORK. In route-remote-addr
// it may be a pattern on the address's text.
type remoteTest struct {
	network netip.Prefix
	pattern *rule.HostPattern // in place of network
	not     bool
}

func (c *conditions) none() bool { return len(c.alpn) == 0 && len(c.remotes) == 0 }

// hold tells whether they do for a client; groups are those of a pattern on the
// address.
func (c *conditions) hold(client *Client, groups *[]int) bool {
	return c.alpnHolds(client) && c.remoteHolds(client, groups)
}

func (c *conditions) alpnHolds(client *Client) bool {
	wanted, found := false, false
	for i := range c.alpn {
		switch one := &c.alpn[i]; {
		case one.not:
			if offers(client.Protocols, one.name) {
				return false
			}
		default:
			wanted = true
			found = found || one.holds(client.Protocols)
		}
	}
	return found || !wanted
}

// HTTP/1.1 means a client with which HTTP/1.1 will be spoken: one that offers
// HTTP/2 too gets that from any server that has it, and one without ALPN gets 1.1.
func (p *protocolTest) holds(offered [][]byte) bool {
	if p.name == "http/1.1" {
		return len(offered) == 0 || offers(offered, "http/1.1") && !offers(offered, "h2")
	}
	return offers(offered, p.name)
}

func offers(offered [][]byte, name string) bool {
	for _, one := range offered {
		if string(one) == name {
			return true
		}
	}
	return false
}

func (c *conditions) remoteHolds(client *Client, groups *[]int) bool {
	if len(c.remotes) == 0 {
		return true
	}
	remote := client.Remote.Unmap()
	wanted, found := false, false
	for i := range c.remotes {
		switch one := &c.remotes[i]; {
		case one.not:
			if one.holds(remote, nil) {
				return false
			}
		default:
			wanted = true
			found = found || one.holds(remote, groups)
		}
	}
	return found || !wanted
}

func (r *remoteTest) holds(remote netip.Addr, groups *[]int) bool {
	if !remote.IsValid() {
		return false
	}
	if r.pattern != nil {
		return r.pattern.Match([]byte(remote.String()), groups)
	}
	return r.network.Contains(remote)
}

// String is the same for conditions that mean the same.
func (c *conditions) String() string {
	var all []string
	for _, one := range c.alpn {
		all = append(all, "alpn="+not(one.not)+one.name)
	}
	for _, one := range c.remotes {
		if one.pattern == nil {
			all = append(all, "remote-addr="+not(one.not)+one.network.String())
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

func not(is bool) string {
	if is {
		return "!"
	}
	return ""
}

// addALPN reads the value of alpn=.
func (c *conditions) addALPN(value string) error {
	for one := range strings.SplitSeq(value, "|") {
		name, negated := strings.CutPrefix(strings.TrimSpace(one), "!")
		switch {
		case name == "":
			return fmt.Errorf("alpn=%s: want a protocol such as h2, http/1.1 or !h2", value)
		case len(name) > 255:
			return fmt.Errorf("alpn=%s: a protocol's name has 255 bytes at most", value)
		case name == "http1.1" || name == "http1":
			return fmt.Errorf("alpn=%s: write http/1.1", value)
		case name == "http/2" || name == "http2":
			return fmt.Errorf("alpn=%s: write h2, which is what HTTP/2 is called there", value)
		case name == "h3":
			return errors.New("alpn=h3: " + transport.TCPOnly + " (HTTP/3 is QUIC, over UDP)")
		}
		c.alpn = append(c.alpn, protocolTest{name, negated})
	}
	return nil
}

// addRemote reads the value of remote-addr=.
func (c *conditions) addRemote(value string) error {
	for one := range strings.SplitSeq(value, "|") {
		text, negated := strings.CutPrefix(strings.TrimSpace(one), "!")
		network, err := parseNetwork(text)
		if err != nil {
			return fmt.Errorf("remote-addr=%s: %w", value, err)
		}
		c.remotes = append(c.remotes, remoteTest{network: network, not: negated})
	}
	return nil
}

// parseNetwork reads an address or a network.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	if network, err := netip.ParsePrefix(text); err == nil {
		if !network.Addr().Is4In6() {
			return network.Masked(), nil
		}
		if network.Bits() >= 96 { // clients by IPv4 are compared as such
			return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96).Masked(), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%q is no address or network, want one such as 10.0.0.7, 10.0.0.0/8 or fd00::/8", text)
}

// parseRemote reads the first half of a route-remote-addr: a network or a regular
// expression, or all that it is not ("!").
func parseRemote(text string) (remoteTest, error) {
	text, negated := strings.CutPrefix(text, "!")
	network, err := parseNetwork(text)
	if err == nil {
		return remoteTest{network: network, not: negated}, nil
	}
	if strings.ContainsRune(text, '/') || !strings.ContainsAny(text, `^$\[(*+?|`) {
		return remoteTest{}, fmt.Errorf(`%w, or a regular expression such as ^10\.0\.\d`, err)
	}
	pattern, err := rule.CompileHostPattern(text)
	if err != nil {
		return remoteTest{}, err
	}
	return remoteTest{pattern: pattern, not: negated}, nil
}

// isRegex tells a regular expression from a name: "^…", "~…" or "~*…".
func isRegex(name string) bool { return strings.HasPrefix(name, "^") || strings.HasPrefix(name, "~") }

// compileRegex compiles what follows nginx's ~ or ~*. Names are lower case and
// patterns are folded to it, so that both mean the same but for a class that excludes
// capitals.
func compileRegex(name string) (*rule.HostPattern, error) {
	text, marked := strings.CutPrefix(name, "~")
	folded := false
	if marked {
		text, folded = strings.CutPrefix(text, "*")
	}
	if text == "" {
		return nil, fmt.Errorf(`%s: want a regular expression behind it, such as ^(.+)\.example\.com$`, name)
	}
	if folded && strings.Contains(text, "[^") && strings.ToLower(text) != text {
		if _, err := rule.CompileHostPattern(text); err == nil {
			text = "(?i)" + text // it excludes both cases; a mistake's column is that of the text as it was
		}
	}
	return rule.CompileHostPattern(text)
}
