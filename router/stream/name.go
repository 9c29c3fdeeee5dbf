package stream

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// longestName is what DNS allows.
const longestName = 253

// defaultName is the NAME of the rule for all others.
const defaultName = "default"

// parseName reads a NAME that is no regular expression into the form in which it is
// looked up: lower case, no trailing dot.
func parseName(text string) (string, error) {
	name := strings.ToLower(text)
	if name == defaultName {
		return name, nil
	}
	domain := name
	switch {
	case strings.HasPrefix(name, "*."):
		domain = name[2:]
	case strings.HasPrefix(name, "."):
		domain = name[1:]
	}
	if len(domain) > 1 {
		domain = strings.TrimSuffix(domain, ".")
	}
	if err := checkName(domain); err != nil {
		return "", fmt.Errorf("%s can never be asked for: %w; want www.example.com, *.example.com, .example.com, default or a regular expression that begins with ^ or ~%s", text, err, meant(text))
	}
	return name[:len(name)-len(strings.TrimLeft(name, "*."))] + domain, nil
}

// meant guesses what a NAME was to say that would only be taken literally.
func meant(text string) string {
	switch {
	case text == "*" || text == "_" || text == ".":
		return " (default is what takes any name)"
	case strings.HasPrefix(text, `"`) || strings.HasPrefix(text, "'"):
		return " (without quotes)"
	case strings.HasSuffix(text, ".*"):
		return fmt.Sprintf(` (^%s\..+$ is any name that begins with %s)`, quoted(text[:len(text)-2]), text[:len(text)-1])
	case strings.Contains(text, "*") && !strings.ContainsAny(text, `\^$()[]+?|{}`):
		return fmt.Sprintf(` (^%s$)`, strings.ReplaceAll(quoted(text), "*", "[^.]+"))
	case strings.ContainsAny(text, `\^$()[]+?|{}`):
		return fmt.Sprintf(" (^%s)", text)
	case strings.Contains(text, ":"):
		return " (without the port: a listener has one)"
	}
	return ""
}

func quoted(text string) string { return strings.ReplaceAll(text, ".", `\.`) }

// checkName says what is wrong with a name in lower case that is no host's.
func checkName(name string) error {
	if name == "" || name == "_" {
		return errors.New("it is no name")
	}
	if len(name) > longestName {
		return fmt.Errorf("the name is longer than %d bytes", longestName)
	}
	start, label := 0, ""
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			if label = name[start:i]; label == "" || len(label) > 63 {
				return errors.New("a part between dots is empty or longer than 63 bytes")
			}
			start = i + 1
		} else if !isLabelByte(name[i]) {
			if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
				return errors.New("it is an IP address, not a name")
			}
			if name[i] >= 0x80 {
				return errors.New("clients ask for such a name in ASCII (xn--…)")
			}
			return fmt.Errorf("%q can not be in a name", name[i])
		}
	}
	if isNumeric(label) {
		return errors.New("it is an IP address, not a name")
	}
	return nil
}

// isNumeric tells whether the last label of a host makes it an address, or what
// somebody may take for one: 10.0.0.1, 127.1, 0x7f000001.
func isNumeric(label string) bool {
	if digits, hex := strings.CutPrefix(label, "0x"); hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLabelByte(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'z' || c == '-' || c == '_' }
