package logsink

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"emperor/internal/config"
	"emperor/internal/rights"
)

// Kind is what sort of place a Target is.
type Kind uint8

const (
	Stdio   Kind = iota // where the emperor's own log goes
	File                // a file
	Socket              // datagrams of lines
	Syslog              // the local syslog daemon
	Rsyslog             // a syslog daemon elsewhere, by UDP
	Journal             // systemd's journal
)

// syslogSocket is where syslog(3) sends to.
const syslogSocket = "/dev/log"

// Target says where lines go, as a configuration says it. It is plain data: two that
// say the same are deeply equal.
type Target struct {
	Kind Kind
	// Path is that of the file, or of the socket; Address that of another host.
	Path, Address string
	// Name is syslog's identifier, or what stands before each datagram.
	Name     string
	Facility int
	Rules    FileRules
	JSON     bool
	Dated    bool
	Date     string // format of strftime; empty: uWSGI's
	// Hand is with whose rights a file is opened.
	Hand *rights.Writer
}

// String names the place in messages.
func (t Target) String() string {
	switch t.Kind {
	case File:
		return t.Path
	case Socket:
		return t.Path + t.Address
	case Syslog:
		return "syslog"
	case Rsyslog:
		return "rsyslog " + t.Address
	case Journal:
		return "the journal"
	}
	return "the emperor's log"
}

// Reading is what Targets needs beside the lines.
type Reading struct {
	Config *config.Config
	Dir    string // relative paths count from here
	// Hand is with whose rights the file of a line is opened, After with whose that of
	// logto2 is.
	Hand  func(v config.Value) *rights.Writer
	After *rights.Writer
	// UID and GID are who log files are given to; -1: nobody says.
	UID, GID int
	// Files are further options that name a log file as logto does.
	Files []string
	// Wrong is told of mistakes, Warn of what has no effect.
	Wrong, Warn func(v config.Value, format string, args ...any)
}

// Targets reads where the log goes; none: nothing is said.
func (r Reading) Targets() []Target {
	c := r.Config
	var loggers, files []Target
	for _, v := range c.All("logger", "log-syslog", "log-socket") {
		if v.Unknown {
			r.Wrong(v, "the value depends on something that is never evaluated here (a program, a file's content or a URL)")
			continue
		}
		text := v.Value
		switch v.Key {
		case "log-syslog":
			if text = "syslog"; v.Value != "" && v.Value != "true" {
				text += ":" + v.Value
			}
		case "log-socket":
			text = "socket:" + text
		}
		if t, err := r.logger(text, v); err != nil {
			r.Wrong(v, "%v", err)
		} else {
			loggers = append(loggers, t)
		}
	}
	var last config.Value
	for _, v := range c.All(append([]string{"logto", "logto2"}, r.Files...)...) {
		if v.Unknown {
			r.Wrong(v, "the value depends on something that is never evaluated here (a program, a file's content or a URL)")
			continue
		}
		t, err := r.logto(v)
		if err != nil {
			r.Wrong(v, "%v", err)
			continue
		}
		last, files = v, []Target{t}
	}
	if len(loggers) == 0 {
		return files
	}
	used := false
	for i, t := range loggers {
		if t.Kind == Stdio && len(files) > 0 {
			loggers[i], used = files[0], true
		}
	}
	if len(files) > 0 && !used {
		r.Warn(last, "no effect, as in uWSGI: the lines go to logger; for this place, too, add logger = stdio")
	}
	return loggers
}

// logto is a file or a UDP address.
func (r Reading) logto(v config.Value) (Target, error) {
	switch host, port, isAddress := strings.Cut(v.Value, ":"); {
	case v.Value == "":
		return Target{}, fmt.Errorf("want a file or host:port")
	case isAddress && !strings.Contains(host, "/"):
		if err := checkPort(port); err != nil || host == "" {
			return Target{}, fmt.Errorf("want a file or host:port, got %q", v.Value)
		}
		return r.formed(Target{Kind: Socket, Address: v.Value}), nil
	}
	t := r.file(v, v.Value)
	if v.Key == "logto2" && r.After != nil {
		t.Hand = r.After
	}
	return t, nil
}

func checkPort(text string) error {
	if n, err := strconv.Atoi(text); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("want a port, got %q", text)
	}
	return nil
}

// standard are names of what the emperor has open itself.
var standard = map[string]bool{"/dev/stdout": true, "/dev/stderr": true, "/proc/self/fd/1": true, "/proc/self/fd/2": true, "/dev/fd/1": true, "/dev/fd/2": true}

func (r Reading) file(v config.Value, path string) Target {
	c := r.Config
	if standard[path] {
		return Target{Kind: Stdio}
	}
	t := Target{Kind: File, Path: r.absolute(path)}
	t.Rules = FileRules{MaxSize: c.Size("log-maxsize"), Backups: int(c.Int("log-backups")), Truncate: c.Bool("log-truncate")}
	if name := c.Text("log-backupname"); name != "" {
		t.Rules.BackupName = r.absolute(name)
	}
	if mode, ok := c.Mode("logfile-chmod"); ok {
		t.Rules.Mode = mode.Perm()
	}
	if c.Bool("logfile-chown") && (r.UID >= 0 || r.GID >= 0) {
		t.Rules.Chown, t.Rules.UID, t.Rules.GID = true, r.UID, r.GID
	}
	touch := func(name string) string {
		var paths []string
		for _, v := range c.All(name) {
			if !v.Unknown && v.Value != "" {
				paths = append(paths, r.absolute(v.Value))
			}
		}
		return strings.Join(paths, "\n")
	}
	t.Rules.TouchReopen, t.Rules.TouchRotate = touch("touch-logreopen"), touch("touch-logrotate")
	t.Hand = r.Hand(v)
	return r.formed(t)
}

// formed adds in which form lines are written.
func (r Reading) formed(t Target) Target {
	t.JSON = r.Config.Bool("log-format-json")
	if v, ok := r.Config.Last("log-date"); ok && !v.Unknown {
		switch v.Value {
		case "", "true", "yes", "on", "1":
			t.Dated = true
		case "false", "no", "off", "0":
		default:
			t.Dated, t.Date = true, v.Value
			if _, err := NewDated(v.Value); err != nil {
				r.Wrong(v, "%v", err)
				t.Date = ""
			}
		}
	}
	return t
}

func (r Reading) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.Dir, path)
}

// logger reads uWSGI's "[NAME ]PLUGIN[:ARGUMENTS]".
func (r Reading) logger(text string, v config.Value) (Target, error) {
	if name, rest, named := strings.Cut(text, " "); named && !strings.ContainsAny(name, ":/=") {
		text = strings.TrimSpace(rest) // the name is for log-route
	}
	plugin, argument, _ := strings.Cut(text, ":")
	switch plugin {
	case "stdio":
		return Target{Kind: Stdio}, nil
	case "file":
		return r.fileLogger(argument, v)
	case "systemd":
		return Target{Kind: Journal, Path: JournalSocket}, nil
	case "syslog":
		t := Target{Kind: Syslog, Path: syslogSocket, Facility: daemonFacility}
		ident, name, has := strings.Cut(argument, ",")
		t.Name = ident
		var err error
		if has {
			t.Facility, err = facility(name)
		}
		return t, err
	case "rsyslog":
		host, name, _ := strings.Cut(argument, ",")
		address, port, has := strings.Cut(host, ":")
		if !has {
			port = "514"
		}
		if err := checkPort(port); err != nil || address == "" {
			return Target{}, fmt.Errorf("want rsyslog:HOST[:PORT][,NAME], got %q", text)
		}
		return Target{Kind: Rsyslog, Address: net.JoinHostPort(address, port), Name: name}, nil
	case "socket":
		address, prefix, _ := strings.Cut(argument, ",")
		t := Target{Kind: Socket, Name: prefix}
		_, port, isAddress := strings.Cut(address, ":")
		switch {
		case address == "", isAddress && checkPort(port) != nil:
			return t, fmt.Errorf("want socket:PATH or socket:HOST:PORT, got %q", text)
		case isAddress:
			t.Address = address
		case strings.HasPrefix(address, "@"):
			t.Path = address
		default:
			t.Path = r.absolute(address)
		}
		return t, nil
	}
	return Target{}, fmt.Errorf("there is no logger %q; want file, socket, syslog, rsyslog, systemd or stdio", plugin)
}

// fileLogger reads a path, or uWSGI's "logfile=PATH,maxsize=N,backupname=PATH".
func (r Reading) fileLogger(argument string, v config.Value) (Target, error) {
	if argument == "" {
		return Target{}, fmt.Errorf("want file:PATH")
	}
	if !strings.Contains(argument, "=") {
		return r.file(v, argument), nil
	}
	values := map[string]string{}
	for pair := range strings.SplitSeq(argument, ",") {
		key, value, ok := strings.Cut(pair, "=")
		switch key {
		case "logfile", "maxsize", "backupname":
		default:
			return Target{}, fmt.Errorf("want file:logfile=PATH[,maxsize=BYTES][,backupname=PATH], got %q", pair)
		}
		if !ok || value == "" {
			return Target{}, fmt.Errorf("want a value in %q", pair)
		}
		values[key] = value
	}
	if values["logfile"] == "" {
		return Target{}, fmt.Errorf("want file:logfile=PATH,…")
	}
	t := r.file(v, values["logfile"])
	if text := values["maxsize"]; text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return t, fmt.Errorf("maxsize: want bytes, got %q", text)
		}
		t.Rules.MaxSize = n
	}
	if name := values["backupname"]; name != "" {
		t.Rules.BackupName = r.absolute(name)
	}
	return t, nil
}
