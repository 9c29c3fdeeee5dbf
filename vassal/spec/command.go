package spec

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/vassal/commandline"
	"emperor/vassal/environment"
)

// readCommand completes the spec of a vassal that runs any program.
func (r *reader) readCommand(dir string) {
	s, c := r.spec, r.c
	v, _ := c.Last("command")
	command := &s.Command
	*command = CommandLaunch{Line: v.Value, Pos: v.Pos, Dir: dir, Copies: 1, Umask: r.spec.SocketRules.Umask, overlap: true, Signal: syscall.SIGTERM}
	if v.Unknown {
		r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
		return
	}
	if _, err := commandline.Vector(v.Value); err != nil {
		r.wrong(v, "%v", err)
	}
	if n := c.Int("processes"); n > 0 {
		command.Copies = int(n)
	}
	if v, ok := c.Last("stop-signal"); ok {
		name := strings.ToUpper(v.Value)
		if !strings.HasPrefix(name, "SIG") {
			name = "SIG" + name
		}
		if command.Signal = unix.SignalNum(name); command.Signal == 0 {
			r.wrong(v, "want the name of a signal such as TERM, INT or QUIT, got %q", v.Value)
		}
	}
	command.Environment = r.environment()
	command.User = r.account()
	r.readLogs()
	if s.SocketRules.UID < 0 && s.SocketRules.GID < 0 || r.pinned() {
		s.SocketRules.As = command.User
	}

	protocol := "http"
	if v, ok := c.Last("protocol"); ok {
		switch protocol = v.Value; protocol {
		case "http", "uwsgi", "fastcgi", "scgi", link.TCP:
		default:
			r.wrong(v, "want http, uwsgi, fastcgi, scgi or tcp, got %q", v.Value)
		}
	}
	if v, ok := c.Last("port"); ok && v.Value != "auto" {
		r.wrong(v, "want auto, got %q (a fixed port is socket = :%s)", v.Value, v.Value)
	}
	onDemand, _ := r.onDemandAddress()
	named := len(c.All(commandSockets...)) > 0 || onDemand != "" && !c.Has("port")
	s.Port = c.Has("port") || !named && (r.app == nil || r.app.Socket == "")
	command.EitherWay = !s.Port && !named
	if s.Port {
		if sockets := c.All(commandSockets...); len(sockets) > 0 {
			port, _ := c.Last("port")
			r.warn(sockets[0], "no effect: %s gives the program a port of its own", Reason(port))
		}
		s.Sockets = nil
		command.Protocol = protocol
		if v, ok := c.Last("processes"); ok && command.Copies > 1 {
			r.warn(v, "no effect: only one process can listen on the port it gets; with socket = PATH they share it")
			command.Copies = 1
		}
	} else {
		r.readSockets(protocol, commandSockets, "")
		r.addOnDemand(protocol)
		r.addAutomatic(protocol)
		if len(s.Sockets) > 0 {
			command.Protocol = s.Sockets[0].Protocol
		}
	}
	for _, socket := range s.Sockets {
		if socket.At.Path != "" && strings.Contains(command.Line, socket.Address) {
			command.SelfBound = true
		}
	}

	r.readDocumentRoot(dir)

	s.Overlap = true
	if v, ok := c.Last("overlap"); ok && !c.Bool("overlap") {
		s.Overlap, s.OverlapReason = false, Reason(v)
	} else if command.SelfBound {
		s.Overlap, s.OverlapReason = false, "the command names its socket itself ("+ShortPos(command.Pos)+")"
	}
	for _, socket := range s.Sockets {
		// A second socket on the same TCP address or abstract name cannot be bound
		// beside the first, so the new generation could not be probed on its own.
		if s.Overlap && socket.At.Path == "" {
			s.Overlap, s.OverlapReason = false, "socket "+socket.Address+" ("+ShortPos(socket.Pos)+") is not a path: it cannot be exchanged in one step"
		}
	}
}

// commandSockets are the socket options that mean something for a command.
var commandSockets = []string{"socket", "uwsgi-socket", "http-socket", "http11-socket", "fastcgi-socket", "scgi-socket"}

// environment collects env, unenv and envdir in the order of the lines.
func (r *reader) environment() []environment.Change {
	var out []environment.Change
	for _, v := range r.c.All("env", "unenv", "envdir") {
		if v.Unknown {
			r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
			continue
		}
		switch v.Key {
		case "env":
			name, value, _ := strings.Cut(v.Value, "=")
			out = append(out, environment.Change{Name: name, Value: value})
		case "unenv":
			out = append(out, environment.Change{Name: v.Value, Unset: true})
		case "envdir":
			out = append(out, r.envdir(v)...)
		}
	}
	return out
}

// envdir reads a directory as daemontools' envdir does: a file is a variable, its
// first line the value, an empty file unsets it.
func (r *reader) envdir(v config.Value) []environment.Change {
	dir := v.Value
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(r.spec.File), dir)
	}
	var entries []os.DirEntry
	folder, _, err := r.opener.Open(dir, v.Author)
	if err == nil {
		entries, err = folder.ReadDir(-1)
		folder.Close()
	}
	if err != nil {
		r.wrongToRead(v, dir, err)
		return nil
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	r.spec.Files = append(r.spec.Files, dir)
	var out []environment.Change
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || strings.Contains(e.Name(), "=") || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		r.spec.Files = append(r.spec.Files, path)
		f, _, err := r.opener.Open(path, v.Author)
		if err != nil {
			r.wrongToRead(v, path, err)
			continue
		}
		lines := bufio.NewScanner(f)
		if lines.Scan() {
			out = append(out, environment.Change{Name: e.Name(), Value: strings.ReplaceAll(strings.TrimRight(lines.Text(), " \t"), "\x00", "\n")})
		} else {
			out = append(out, environment.Change{Name: e.Name(), Unset: true})
		}
		f.Close()
	}
	return out
}

// wrongToRead says of a file that a line names that it cannot be read, and whose
// rights did not suffice.
func (r *reader) wrongToRead(v config.Value, path string, err error) {
	if refusal := new(config.Refusal); errors.As(err, &refusal) {
		r.wrong(v, "%s: %v", path, refusal)
		return
	}
	r.wrong(v, "%v", err)
}
