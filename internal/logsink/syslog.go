package logsink

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Facilities are syslog's, as uWSGI's plugin names them.
var Facilities = map[string]int{
	"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "security": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
	"cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20,
	"local5": 21, "local6": 22, "local7": 23,
}

const daemonFacility = 3

// localSyslog is what syslog(3) sends to /dev/log: RFC 3164 without a host name.
type localSyslog struct {
	stamp    stamp
	ident    string
	facility int
	named    bool // the vassal's name stands in the text
}

// NewSyslog is the form of uWSGI's syslog plugin. With named, the vassal's name stands
// before its text: the sink is that of many.
func NewSyslog(ident string, facility int, named bool) Format {
	if ident == "" {
		ident = "uwsgi"
	}
	return &localSyslog{ident: ident, facility: facility, named: named}
}

func (f *localSyslog) Append(dst []byte, m *Message) []byte {
	dst = fmt.Appendf(dst, "<%d>", f.facility<<3|m.Priority)
	dst = f.stamp.append(dst, m.Time.Truncate(time.Second), time.Stamp)
	dst = append(append(append(dst, ' '), f.ident...), ": "...)
	return appendNamed(dst, m, f.named)
}

func appendNamed(dst []byte, m *Message, named bool) []byte {
	if named && m.Vassal != "" {
		mark := " | "
		if m.Stream == StreamEmperor {
			mark = ": "
		}
		dst = append(appendPrintable(dst, []byte(m.Vassal)), mark...)
	}
	return append(dst, m.Text...)
}

// remoteSyslog is what uWSGI's rsyslog plugin sends.
type remoteSyslog struct {
	stamp stamp
	name  string
	named bool
}

// NewRemoteSyslog is the form of uWSGI's rsyslog plugin: "<29>" (daemon, notice), the
// date, the name (host and program where none is given), the line.
func NewRemoteSyslog(name string, named bool) Format {
	if name == "" {
		host, _ := os.Hostname()
		name = host + " uwsgi"
	}
	return &remoteSyslog{name: name, named: named}
}

func (f *remoteSyslog) Append(dst []byte, m *Message) []byte {
	priority := 5 // uWSGI's, for all
	if m.Stream == StreamEmperor && m.Priority < priority {
		priority = m.Priority
	}
	dst = fmt.Appendf(dst, "<%d>", daemonFacility<<3|priority)
	dst = f.stamp.append(dst, m.Time.Truncate(time.Second), time.Stamp)
	dst = append(append(append(dst, ' '), f.name...), ": "...)
	return appendNamed(dst, m, f.named)
}

// prefixed puts a text before each line, as uWSGI's socket plugin does.
type prefixed struct {
	prefix string
	named  bool
}

// NewPrefixed is the form of uWSGI's socket plugin: the prefix and the line, with its
// line feed.
func NewPrefixed(prefix string, named bool) Format { return &prefixed{prefix, named} }

func (f *prefixed) Append(dst []byte, m *Message) []byte {
	return append(appendNamed(append(dst, f.prefix...), m, f.named), '\n')
}

// facility finds one by its name.
func facility(name string) (int, error) {
	if n, ok := Facilities[strings.ToLower(name)]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("there is no facility %q; want daemon, user, local0 … local7 or another of syslog(3)", name)
}
