package rule

import (
	"bytes"
	"fmt"
	"strings"
)

// Network says how one address of a Decision is dialled: "unix" for a path
// (absolute, relative or "@abstract"), "tcp" for "host:port".
func Network(address []byte) string {
	if len(address) > 0 && (address[0] == '/' || address[0] == '@' || address[0] == '.') {
		return "unix"
	}
	for _, c := range address {
		if c == ':' {
			return "tcp"
		}
	}
	return "unix"
}

// NextNode takes the first of the addresses "a|b|c" off: a rule that names
// several means any one of them. rest is empty after the last.
func NextNode(address []byte) (node, rest []byte) {
	node, rest, _ = bytes.Cut(address, []byte("|"))
	return node, rest
}

// parseAddress parses the address of an upstream, or several of them, and confines
// what goes into it. Nobody but the rule can make several of one.
func parseAddress(text string, s *scope) (template, error) {
	if strings.IndexByte(text, '|') < 0 {
		return parseNode(text, s)
	}
	all := template{}
	var parts []part
	for i, one := range strings.Split(text, "|") {
		if one == "" {
			return all, fmt.Errorf("address %s: want an address on each side of a |", text)
		}
		t, err := parseNode(one, s)
		if err != nil {
			return all, err
		}
		if i > 0 {
			parts = appendLiteral(parts, "|")
		}
		if t.isLiteral() {
			parts = appendLiteral(parts, t.literal)
			continue
		}
		for _, p := range t.list() {
			if p.isLiteral() {
				parts = appendLiteral(parts, p.literal)
			} else {
				parts = append(parts, p)
			}
		}
	}
	if len(parts) == 1 && parts[0].isLiteral() {
		return template{literal: text}, nil
	}
	return template{parts: &parts}, nil
}

func appendLiteral(parts []part, text string) []part {
	if n := len(parts); n > 0 && parts[n-1].isLiteral() {
		parts[n-1].literal += text
		return parts
	}
	return append(parts, part{literal: text, group: -1})
}

// parseNode parses one address.
func parseNode(text string, s *scope) (template, error) {
	t, err := parseTemplate(text, pathName, s)
	if err != nil {
		return t, err
	}
	colons := 0
	for _, p := range t.list() {
		colons += strings.Count(p.literal, ":")
	}
	if t.isLiteral() {
		colons = strings.Count(t.literal, ":")
	}
	if head := t.head(); colons == 0 || head != "" && strings.IndexByte("/@.", head[0]) >= 0 {
		return t, nil // a path
	}
	if t.isLiteral() {
		port := t.literal[strings.LastIndexByte(t.literal, ':')+1:]
		if !isPort(port) {
			return t, fmt.Errorf("address %s: want a unix path or host:port with a port from 1 to 65535", t.literal)
		}
		return t, nil
	}
	for i := range *t.parts {
		p := &(*t.parts)[i]
		if p.isLiteral() {
			colons -= strings.Count(p.literal, ":")
			continue
		}
		p.place = hostLabel
		if colons == 0 {
			p.place = portNumber
		}
	}
	if last := (*t.parts)[len(*t.parts)-1]; last.isLiteral() && last.literal[strings.LastIndexByte(last.literal, ':')+1:] == "" {
		return t, fmt.Errorf("address %s: the port is missing, want host:port", text)
	}
	return t, nil
}

func isPort(text string) bool {
	n := 0
	for i := 0; i < len(text); i++ {
		if !isDigit(text[i]) || n > 65535 {
			return false
		}
		n = n*10 + int(text[i]-'0')
	}
	return n >= 1 && n <= 65535
}

// isWhole reports whether no name between the slashes of a path is empty, "." or
// "..": an optional group that took no part may have left it so.
func isWhole(path []byte) bool {
	if len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	for {
		name, rest, more := bytes.Cut(path, []byte("/"))
		if len(name) == 0 || string(name) == "." || string(name) == ".." {
			return false
		}
		if !more {
			return true
		}
		path = rest
	}
}

// address fills in an address; when it must not be used, the decision becomes
// Unsafe.
func (d *Decision) address(t *template, q *Query) (address []byte, ok bool) {
	if address, ok = d.pathName(t, q); !ok || t.isLiteral() {
		return address, ok
	}
	for rest := address; len(rest) > 0; {
		var node []byte
		node, rest = NextNode(rest)
		if Network(node) == "tcp" && !isPort(string(node[bytes.LastIndexByte(node, ':')+1:])) {
			d.Kind, d.Why = Unsafe, fmt.Sprintf("%q has no port from 1 to 65535", node)
			return nil, false
		}
	}
	return address, true
}

// pathName fills in the name of a file or vassal likewise.
func (d *Decision) pathName(t *template, q *Query) (name []byte, ok bool) {
	d.gap = false
	if name, ok = d.fill(t, q); !ok {
		d.refuse()
		return nil, false
	}
	if !d.gap {
		return name, true
	}
	for rest := name; ; {
		var node []byte
		node, rest = NextNode(rest)
		if !isWhole(node) {
			d.Kind, d.Why = Unsafe, fmt.Sprintf("an optional group took no part, and %q is no name to use", name)
			return nil, false
		}
		if len(rest) == 0 {
			return name, true
		}
	}
}
