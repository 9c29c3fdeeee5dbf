package stream

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"emperor/internal/near"
	"emperor/internal/transport"
)

// parsed is one line, before it is known whether it adds to an earlier one.
type parsed struct {
	action  Action
	nodes   []node
	when    conditions
	proxy   int
	connect time.Duration
	idle    time.Duration
}

var errAction = errors.New("want pass:ADDRESS (the bytes untouched), tcp:ADDRESS (TLS ends here), http (on to the HTTP rules) or reject")

// optionNames are what may stand behind an address, and what behind http and reject.
var (
	optionNames    = []string{"alpn=", "backup", "connect-timeout=", "proxy=", "remote-addr=", "timeout=", "weight="}
	conditionNames = []string{"alpn=", "remote-addr="}
)

// IsAction tells whether a text is an action of this package: for route-remote-addr,
// which the HTTP rules have, too, with actions of theirs.
func IsAction(text string) bool {
	kind, _, _ := strings.Cut(strings.TrimSpace(text), ",")
	return kind == "reject" || strings.HasPrefix(kind, "pass:") || strings.HasPrefix(kind, "tcp:")
}

// IsRule tells whether a line is one for Compile. Those of route-remote-addr are, where
// their action is one of this package; all others are the HTTP rules'.
func IsRule(key, value string) bool {
	if key != keyRemote {
		return slices.Contains(keys, key)
	}
	_, action, _ := cutSpace(value)
	return IsAction(action)
}

// parseAction reads "pass:ADDRESS|ADDRESS,option,option" and the like.
func (s *scope) parseAction(text string) (*parsed, error) {
	text = strings.TrimSpace(text)
	if strings.HasSuffix(text, ";") {
		return nil, fmt.Errorf("%s: a line has no ; at its end", text)
	}
	fields := strings.Split(text, ",")
	kind, addresses, hasAddresses := strings.Cut(fields[0], ":")
	p := &parsed{}
	switch {
	case kind == "pass" && hasAddresses:
		p.action = Pass
	case kind == "tcp" && hasAddresses:
		p.action = TCP
	case kind == "http" && !hasAddresses:
		p.action = HTTP
	case kind == "reject" && !hasAddresses:
		p.action = Reject
	default:
		return nil, badAction(text, kind, hasAddresses)
	}
	known := conditionNames
	if hasAddresses {
		known = optionNames
		for one := range strings.SplitSeq(addresses, "|") {
			n, err := s.parseNode(strings.TrimSpace(one))
			if err != nil {
				return nil, err
			}
			p.nodes = append(p.nodes, *n)
		}
	}
	for _, option := range fields[1:] {
		if err := p.option(strings.TrimSpace(option), kind, known); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// badAction says what is wrong with a text that begins with no action.
func badAction(text, kind string, hasAddresses bool) error {
	address, _, _ := strings.Cut(text, ",")
	if err := transport.Check(text); err != nil {
		return err
	}
	switch {
	case text == "":
		return errAction
	case kind == "pass" || kind == "tcp":
		return fmt.Errorf("%s: want %s:ADDRESS, such as %s:10.0.0.1:443", text, kind, kind)
	case kind == "http":
		return fmt.Errorf("%s: http has no address here, it goes on to the HTTP rules: route-host = … http:%s", text, strings.TrimPrefix(address, "http:"))
	case kind == "reject":
		return fmt.Errorf("%s: reject has no address", text)
	case kind == "vassal" || kind == "unix" || strings.IndexByte("/@", text[0]) >= 0 || isAddress(address):
		return fmt.Errorf("%s: want what to do with it in front: pass:%s (the bytes untouched) or tcp:%s (TLS ends here)", text, address, address)
	case !hasAddresses:
		if word, ok := near.Word(kind, []string{"pass", "http", "reject"}); ok {
			return fmt.Errorf("%s: did you mean %s? %w", text, word, errAction)
		}
	default:
		if word, ok := near.Word(kind, []string{"pass", "tcp"}); ok {
			return fmt.Errorf("%s: did you mean %s:? %w", text, word, errAction)
		}
	}
	return fmt.Errorf("%s: %w", text, errAction)
}

// isAddress tells whether a text looks like host:port, captures included.
func isAddress(text string) bool {
	host, port, found := strings.Cut(text, ":")
	switch {
	case strings.HasPrefix(text, "[") || strings.Contains(text, "$"):
		return true
	case found:
		return isDigits(port) && host != "pass" && host != "tcp"
	}
	return strings.Contains(text, ".")
}

// option reads what stands behind a comma.
func (p *parsed) option(text, kind string, known []string) error {
	name, value, hasValue := strings.Cut(text, "=")
	if hasValue {
		name += "="
	}
	found := false
	for _, one := range known {
		found = found || one == name
	}
	if !found {
		return unknownOption(text, name, kind, known)
	}
	switch name {
	case "alpn=":
		return p.when.addALPN(value)
	case "remote-addr=":
		return p.when.addRemote(value)
	case "backup":
		for i := range p.nodes {
			p.nodes[i].backup = true
		}
	case "weight=":
		weight, err := strconv.Atoi(value)
		if err != nil || weight < 1 || weight > 1000 {
			return fmt.Errorf("want weight=1 to 1000, got %q", text)
		}
		for i := range p.nodes {
			p.nodes[i].weight = weight
		}
	case "proxy=":
		switch value {
		case "v1":
			p.proxy = 1
		case "v2":
			p.proxy = 2
		default:
			return fmt.Errorf("want proxy=v1 or proxy=v2, got %q", text)
		}
	case "connect-timeout=":
		return readTime(&p.connect, text, value)
	case "timeout=":
		return readTime(&p.idle, text, value)
	}
	return nil
}

func unknownOption(text, name, kind string, known []string) error {
	want := fmt.Sprintf("want one of %s", strings.Join(known, " "))
	if len(known) == len(conditionNames) {
		for _, one := range optionNames {
			if name == one {
				return fmt.Errorf("%s does nothing for %s, %s", text, kind, want)
			}
		}
	}
	if text == "" {
		return fmt.Errorf("an option is missing behind the comma, %s", want)
	}
	if name == "udp" || name == "quic" || name == "dtls" {
		return fmt.Errorf("%s: %s", text, transport.TCPOnly)
	}
	for _, one := range known {
		if strings.TrimSuffix(one, "=") == strings.TrimSuffix(name, "=") {
			if strings.HasSuffix(one, "=") {
				return fmt.Errorf("%s: want %sVALUE", text, one)
			}
			return fmt.Errorf("%s: want %s without a value", text, one)
		}
	}
	if word, ok := near.Word(name, known); ok {
		return fmt.Errorf("unknown option %s, did you mean %s? %s", text, word, want)
	}
	return fmt.Errorf("unknown option %s, %s (several addresses have a | between them)", text, want)
}

// units are nginx's, beside plain seconds.
var units = []struct {
	suffix string
	unit   time.Duration
}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"", time.Second}}

// readTime reads a number of seconds, or one with a unit.
func readTime(to *time.Duration, text, value string) error {
	for _, u := range units {
		number, ok := strings.CutSuffix(value, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if d := time.Duration(n * float64(u.unit)); err == nil && n > 0 && n < 1e6 && d >= time.Millisecond && strings.Trim(number, "0123456789.") == "" {
			*to = d
			return nil
		}
		break
	}
	return fmt.Errorf("want a number of seconds such as 3, 0.5 or 10m, got %s", text)
}
