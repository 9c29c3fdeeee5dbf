package stream

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"emperor/internal/transport"
)

// node is one address as a rule spells it.
type node struct {
	text   string
	kind   nodeKind
	host   template // or the path, or the vassal's name
	port   template
	weight int
	backup bool

	// limited: the literal end of the host says which domain it is in, and so
	// captures may stand in it as long as they are within a label.
	limited bool
}

type nodeKind uint8

const (
	hostNode nodeKind = iota
	pathNode
	vassalNode
)

// parseNode reads one address of a rule.
func (s *scope) parseNode(text string) (*node, error) {
	if text == "" {
		return nil, errors.New("the address is empty, want one such as 10.0.0.1:443, db.internal:5432, /run/x.sock or vassal:NAME")
	}
	if err := transport.Check(text); err != nil {
		return nil, err
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		return nil, fmt.Errorf("%s: want an address without %s://: %s", text, scheme, strings.TrimSuffix(rest, "/"))
	}
	n := &node{text: text, weight: 1}
	if rest, ok := strings.CutPrefix(text, "unix:"); ok {
		n.text = rest // as nginx writes it
	}
	var err error
	if name, ok := strings.CutPrefix(text, "vassal:"); ok {
		n.kind = vassalNode
		if n.host, err = s.parse(name); err != nil {
			return nil, err
		}
		return n, n.checkVassal(name)
	}
	if n.host, err = s.parse(n.text); err != nil {
		return nil, err
	}
	if n.text != "" && strings.IndexByte("/@.", n.text[0]) >= 0 || n.text != text {
		n.kind = pathNode
		return n, n.checkPath()
	}
	return n, n.checkHost()
}

func (n *node) checkVassal(name string) error {
	if text, ok := n.host.literal(); ok && !isFileName(text) || len(n.host) == 0 {
		return fmt.Errorf("%q: want the name of a vassal: its file's name without extension", name)
	}
	for i := range n.host {
		if strings.ContainsAny(n.host[i].literal, "/\x00") {
			return fmt.Errorf("%q: want the name of a vassal: its file's name without extension", name)
		}
	}
	return nil
}

// longestPath is what the address of a unix socket has room for.
const longestPath = 107

// checkPath sees to it that what stands before the first capture is a directory, or
// a beginning of a name in one: captures have no slash, so what they make is in it.
func (n *node) checkPath() error {
	if len(n.host) == 0 || n.host[0].group >= 0 {
		return fmt.Errorf("%s: want the path of a unix socket, such as /run/x.sock", n.text)
	}
	text, fixed := n.host.literal()
	if strings.IndexByte(n.text, 0) >= 0 || fixed && (text == "@" || strings.HasSuffix(text, "/")) {
		return fmt.Errorf("%s: want the path of a unix socket, such as /run/x.sock", n.text)
	}
	if len(text) > longestPath {
		return fmt.Errorf("%s: the path of a unix socket has %d bytes at most, this one has %d", n.text, longestPath, len(text))
	}
	if !fixed {
		// With each capture in its place a path must be whole: /run/$1/../x is not.
		for _, name := range strings.Split(strings.TrimPrefix(n.host.with("x"), "/"), "/")[1:] {
			if name == ".." {
				return fmt.Errorf("%s: want a path without .. where a client decides a part of it", n.text)
			}
		}
	}
	return nil
}

// with returns the template with one text for all captures.
func (t template) with(text string) string {
	var filled strings.Builder
	for i := range t {
		if t[i].group >= 0 {
			filled.WriteString(text)
		} else {
			filled.WriteString(t[i].literal)
		}
	}
	return filled.String()
}

// checkHost takes "host:port" apart.
func (n *node) checkHost() error {
	host, port, found := n.host.cut(':', true)
	if text, fixed := n.host.literal(); fixed && strings.Count(text, ":") > 1 && !strings.HasPrefix(text, "[") {
		if _, err := netip.ParseAddr(text); err == nil {
			return fmt.Errorf("%s: the port is missing, want [%s]:443", n.text, text)
		}
		return fmt.Errorf("%s: want host:port, an IPv6 address in brackets", n.text)
	}
	if !found || strings.HasSuffix(n.text, "]") {
		return fmt.Errorf("%s: the port is missing, want %s:443", n.text, n.text)
	}
	if len(port) == 0 {
		return fmt.Errorf("%s: the port is missing, want %s443", n.text, n.text)
	}
	if len(host) == 0 {
		host = template{{"127.0.0.1", -1}} // this machine, as uWSGI has it
	}
	n.host, n.port = host, port
	if text, fixed := port.literal(); fixed {
		if _, ok := parsePort(text); !ok {
			return fmt.Errorf("%s: the port is %q, want a number from 1 to 65535", n.text, text)
		}
	} else if strings.Trim(port.with(""), "0123456789") != "" {
		return fmt.Errorf("%s: want digits only in the port", n.text)
	}
	if text, fixed := host.literal(); fixed {
		address, err := canonicalHost(text)
		if err != nil {
			return fmt.Errorf("%s: %w", n.text, err)
		}
		n.host = template{{address, -1}}
		return nil
	}
	for i := range host {
		host[i].literal = strings.ToLower(host[i].literal)
	}
	if _, err := canonicalHost(host.with("0")); err != nil && strings.HasPrefix(host[0].literal, "[") {
		return fmt.Errorf("%s: %w", n.text, err)
	} else if _, err := canonicalHost(host.with("x")); err != nil && !strings.HasPrefix(host[0].literal, "[") {
		// An address in digits becomes one only with digits in it.
		if _, err := canonicalHost(host.with("1")); err != nil {
			return fmt.Errorf("%s: %w", n.text, err)
		}
	}
	n.limited = isDomain(host.tail())
	return nil
}

// tail is the literal text that a host ends with, from a dot on, no trailing dot.
func (t template) tail() string {
	last := strings.TrimSuffix(t[len(t)-1].literal, ".")
	at := strings.IndexByte(last, '.')
	if at < 0 {
		return ""
	}
	return last[at:]
}

// isDomain tells whether the end of a host limits it: two labels or more of a name.
func isDomain(tail string) bool {
	return strings.Count(tail, ".") >= 2 && checkName(tail[1:]) == nil
}

// openly tells whether a client decides the host, as far as stream-allow lets it.
func (n *node) openly() bool {
	_, fixed := n.host.literal()
	return n.kind == hostNode && !fixed && !n.limited
}

// fixed tells whether the address has no captures.
func (n *node) fixed() bool {
	_, host := n.host.literal()
	_, port := n.port.literal()
	return host && port
}

// canonicalHost returns the host of an address in lower case: a name, or an IP
// address, IPv6 in brackets.
func canonicalHost(text string) (string, error) {
	if inside, ok := strings.CutPrefix(text, "["); ok {
		inside, ok = strings.CutSuffix(inside, "]")
		address, err := netip.ParseAddr(inside)
		if !ok || err != nil || !address.Is6() {
			return "", fmt.Errorf("%s is no IPv6 address", text)
		}
		return "[" + address.String() + "]", nil
	}
	if address, err := netip.ParseAddr(text); err == nil {
		if address.Is4() {
			return address.String(), nil
		}
		return "", fmt.Errorf("an IPv6 address has brackets around it: [%s]", text)
	}
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("%s is no host: %w", text, err)
	}
	return name, nil
}

func parsePort(text string) (int, bool) {
	if len(text) == 0 || len(text) > 5 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	port, err := strconv.Atoi(text)
	return port, err == nil && port >= 1 && port <= 65535
}

// isFileName tells whether a text is a name in a directory: what a capture may
// become in a path.
func isFileName(text string) bool {
	if text == "" || text == "." || text == ".." {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == 0x7f || c == '/' || c == ':' || c == '|' {
			return false
		}
	}
	return true
}

// isOwnName is the same for what a configuration spells: an address with a port.
func isOwnName(text string) bool { return isFileName(strings.ReplaceAll(text, ":", "")) }

// isLabelText tells whether a text may stand within a host's label.
func isLabelText(text string) bool {
	for i := range len(text) {
		if !isLabelByte(text[i]) {
			return false
		}
	}
	return text != ""
}

// isNameText is the same for several labels and the dots between them.
func isNameText(text string) bool {
	for i := range len(text) {
		if !isLabelByte(text[i]) && text[i] != '.' {
			return false
		}
	}
	return text != ""
}

func isDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// fill puts captures in. The error says why the address may not be used.
func (n *node) fill(c *captures, allow *allowList) (Node, error) {
	result := Node{Weight: n.weight, Backup: n.backup}
	var err error
	switch n.kind {
	case vassalNode:
		if result.Address, err = n.host.fill(c, isFileName, "a vassal's name"); err != nil {
			return result, err
		}
		if !isFileName(result.Address) {
			return result, fmt.Errorf("%q is no vassal's name", result.Address)
		}
		result.Address = "vassal:" + result.Address
	case pathNode:
		admit := isFileName
		if c.own {
			admit = isOwnName
		}
		if result.Address, err = n.host.fill(c, admit, "a path (no slash, not . or ..)"); err != nil {
			return result, err
		}
		return result, checkFilledPath(result.Address, n)
	default:
		return n.fillHost(result, c, allow)
	}
	return result, nil
}

// checkFilledPath looks at the names between slashes that captures are part of:
// /run/.$1 with a dot would be /run/..
func checkFilledPath(path string, n *node) error {
	if n.fixed() {
		return nil
	}
	spelled := strings.LastIndexByte(n.host[0].literal, '/') + 1 // the rule's own directory
	for name := range strings.SplitSeq(path[spelled:], "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("%q is no path below the directory that the rule spells", path)
		}
	}
	if len(path) > longestPath {
		return fmt.Errorf("%q is longer than the %d bytes of a unix socket's path", path, longestPath)
	}
	return nil
}

func (n *node) fillHost(result Node, c *captures, allow *allowList) (Node, error) {
	port, err := n.port.fill(c, isDigits, "a port (digits)")
	if err != nil {
		return result, err
	}
	number, ok := parsePort(port)
	if !ok {
		return result, fmt.Errorf("%q is no port from 1 to 65535", port)
	}
	host, fixed := n.host.literal()
	if !fixed {
		if host, result.Networks, err = n.decideHost(c, allow); err != nil {
			return result, err
		}
	}
	result.Address = host + ":" + strconv.Itoa(number)
	return result, nil
}

// decideHost is where a client's choice becomes a host, and must not become more
// than the rule or stream-allow means.
func (n *node) decideHost(c *captures, allow *allowList) (host string, networks []netip.Prefix, err error) {
	host, err = n.host.fill(c, isLabelText, "a host name's label (letters, digits, - and _)")
	within := err == nil
	if !within {
		if allow.empty() {
			return "", nil, err
		}
		if host, err = n.host.fill(c, isNameText, "a host name (letters, digits, -, _ and dots)"); err != nil {
			return "", nil, err
		}
	}
	if host, err = canonicalHost(host); err != nil {
		return "", nil, err
	}
	if n.limited && within {
		return host, nil, nil
	}
	networks, err = allow.admit(strings.Trim(host, "[]"))
	return host, networks, err
}
