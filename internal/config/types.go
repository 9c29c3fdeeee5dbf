package config

import (
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"emperor/internal/transport"
)

// check validates a value by the option's declaration. The answer is empty or
// says what was wanted, in the unit the user writes.
func check(o Option, v Value) string {
	text := v.Value
	switch o.Type {
	case Bool, Flag:
		if _, ok := parseBool(text); !ok {
			return fmt.Sprintf("want true or false, got '%s'", text)
		}
	case Int, Seconds, Milliseconds, Size, Megabytes:
		_, problem := parseNumber(o, text)
		return problem
	case Mode:
		_, problem := parseMode(text)
		return problem
	case Path:
		if text == "" {
			return "want a path, got nothing"
		}
		if strings.ContainsRune(text, 0) {
			return "a path cannot hold a NUL byte"
		}
	case Regexp:
		if _, err := regexp.Compile(text); err != nil {
			return fmt.Sprintf("want a regular expression: %v", err)
		}
	case Address:
		return checkAddress(text)
	case KeyValue:
		if key, _, ok := strings.Cut(text, "="); !ok || key == "" {
			return fmt.Sprintf("want NAME=VALUE, got '%s'", text)
		}
	}
	return ""
}

// parseBool knows uWSGI's words for false and no others: there everything else is
// true, here it is a mistake (ok is false; on is then what uWSGI would make of
// it). No value at all is true.
func parseBool(text string) (on, ok bool) {
	switch strings.ToLower(text) {
	case "", "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return true, false
}

// unit is what a numeric type counts, for messages.
func unit(t Type) string {
	switch t {
	case Seconds:
		return "seconds"
	case Milliseconds:
		return "milliseconds"
	case Size:
		return "bytes (or a number with k, m or g)"
	case Megabytes:
		return "megabytes"
	}
	return "a number"
}

// parseNumber reads the value of a numeric option in the unit the user writes it.
func parseNumber(o Option, text string) (n int64, problem string) {
	if o.argument() == Optional { // "http-keepalive" and "http-keepalive = true"
		if on, ok := parseBool(text); ok && !allDigits(text) {
			if on {
				return 1, ""
			}
			return 0, ""
		}
	}
	digits, scale := text, int64(1)
	if o.Type == Size && text != "" {
		if at := strings.IndexByte("kmg", text[len(text)-1]|0x20); at >= 0 {
			digits, scale = strings.TrimRight(text[:len(text)-1], " "), 1<<(10*(at+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case text == "":
		return 0, fmt.Sprintf("want %s, got nothing", unit(o.Type))
	case err != nil || strings.HasPrefix(digits, "+"):
		return 0, fmt.Sprintf("want %s, got '%s'", unit(o.Type), text)
	case n > math.MaxInt64/scale || o.Type == Megabytes && n > math.MaxInt64>>20 ||
		o.Type == Seconds && n > math.MaxInt64/int64(time.Second) || o.Type == Milliseconds && n > math.MaxInt64/int64(time.Millisecond):
		return 0, fmt.Sprintf("want %s, got '%s', which is too large", unit(o.Type), text)
	}
	n *= scale
	switch {
	case n < o.Min && o.Max != 0:
		return 0, fmt.Sprintf("want %s from %d to %d, got %s", unit(o.Type), o.Min, o.Max, text)
	case n < o.Min:
		return 0, fmt.Sprintf("want %s, at least %d, got %s", unit(o.Type), o.Min, text)
	case o.Max != 0 && n > o.Max:
		return 0, fmt.Sprintf("want %s from %d to %d, got %s", unit(o.Type), o.Min, o.Max, text)
	}
	return n, ""
}

// parseMode reads octal permissions. uWSGI takes exactly three digits, or "1" and
// nothing for 666; a leading zero is welcome too.
func parseMode(text string) (fs.FileMode, string) {
	if text == "" || text == "1" {
		return 0o666, ""
	}
	n, err := strconv.ParseUint(text, 8, 16)
	if err != nil || len(text) < 3 || len(text) > 4 || n > 0o777 {
		return 0, fmt.Sprintf("want a file mode of three octal digits such as 660, got '%s'", text)
	}
	return fs.FileMode(n), ""
}

// checkAddress accepts what can be a socket's address and refuses what merely
// looks like one.
func checkAddress(text string) string {
	switch {
	case text == "":
		return "want an address (host:port, :port or a path), got nothing"
	case strings.ContainsRune(text, 0):
		return "an address cannot hold a NUL byte"
	case text[0] == '@' || strings.HasPrefix(text, "fd://") && len(text) > len("fd://"):
		return ""
	case transport.Check(text) != nil:
		return "" // whoever opens it says so, who knows whether it is for datagrams
	case text[0] == '=' && allDigits(text[1:]): // uWSGI's shared socket N
		return ""
	case allDigits(text):
		return checkPort(text, text)
	case strings.ContainsRune(text, '/'):
		return ""
	}
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return "" // a path in the current directory
	}
	host := text[:at]
	if problem := checkPort(text[at+1:], text); problem != "" {
		return problem
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if ip, err := netip.ParseAddr(inner); !ok || err != nil || !ip.Is6() {
			return fmt.Sprintf("want [IPv6 address]:port, got '%s'", text)
		}
	} else if strings.ContainsRune(host, ':') {
		return fmt.Sprintf("want [%s]:%s, with brackets round an IPv6 address, got '%s'", host, text[at+1:], text)
	}
	return ""
}

func checkPort(port, text string) string {
	if n, err := strconv.Atoi(port); !allDigits(port) || err != nil || n > 65535 {
		return fmt.Sprintf("want a port from 0 to 65535 after the colon, got '%s'", text)
	}
	return ""
}
