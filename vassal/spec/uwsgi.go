package spec

import (
	"path/filepath"
	"slices"
	"strings"

	"emperor/internal/config"
)

// readUWSGI completes the spec of a vassal that a real uWSGI runs.
func (r *reader) readUWSGI() {
	s, c := r.spec, r.c
	u := &s.UWSGI
	u.Dir = r.Dir
	if r.app == nil {
		u.Arguments = r.uwsgiArguments()
	}
	if v, ok := c.Last("binary-path"); ok && !v.Unknown {
		u.Binary = v.Value
	}
	u.NeedApp = len(c.All(neededApps...)) > 0
	u.Plugins = len(c.All("plugin", "plugins", "need-plugin", "need-plugins")) > 0
	u.ReopenLog = len(c.All("logto", "logto2", "daemonize", "daemonize2", "log")) > 0
	r.warnOfOwnLogs()
	u.MaxFD = c.Has("max-fd")
	u.NoMaster = c.Has("master") && !c.Bool("master")
	u.Cheap = c.Has("cheap")
	u.DieOnIdle = c.Bool("die-on-idle")
	u.Lazy = c.Bool("lazy-apps") || c.Bool("lazy-app") || c.Bool("lazy")
	u.Exec = len(c.All("worker-exec", "worker-exec2")) > 0
	u.Vacuum = c.Has("vacuum")
	for _, v := range c.All("pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2") {
		if !v.Unknown && v.Value != "" {
			u.PIDFiles = append(u.PIDFiles, v.Value)
		}
	}

	user := r.account()
	if r.pinned() {
		u.User = user
	}
	if len(c.All("chown-socket")) == 0 || r.pinned() {
		// With chown-socket uWSGI binds before it drops its rights, and so do we.
		s.SocketRules.As = user
	}
	jailed := ""
	if values := c.All(jails...); len(values) > 0 {
		jailed = "a path means something else after " + Reason(values[0])
	} else if values := c.All("abstract-socket", "freebind"); len(values) > 0 {
		jailed = Reason(values[0])
	}
	protocol := c.Text("protocol")
	if protocol == "" {
		protocol = "uwsgi"
	}
	options := make([]string, 0, len(socketOptions))
	for name := range socketOptions {
		options = append(options, name)
	}
	r.readSockets(protocol, options, jailed)
	r.addOnDemand(protocol)
	r.addAutomatic("uwsgi")
	s.Overlap, s.OverlapReason = uwsgiOverlap(c, s.Sockets)
	if r.app != nil {
		u.Arguments, u.Text = r.appArguments()
		if app, _ := NamesApp(c); len(s.Sockets) == 0 && len(c.All(servesWithoutSocket...)) == 0 {
			r.wrong(app, "nothing listens for it: add http = ADDRESS for the front, or socket = ADDRESS for the app itself")
		}
		return
	}

	if len(c.Unread) > 0 || c.Foreign != "" || r.partly {
		return // only uWSGI knows what the file says, or nobody
	}
	if !r.saysAnything() {
		r.problems = append(r.problems, config.Problem{Pos: config.Pos{File: s.File}, Text: "the file has no option of a vassal in its section: want an app (module, wsgi-file …), a command, or at least a socket"})
		return
	}
	if len(s.Sockets) == 0 && len(c.All(servesWithoutSocket...)) == 0 && !(r.OnDemand.Unasked && r.OnDemand.Exec.Value != "") {
		hint := "add socket = PATH to it, or vassal-set = socket=PATH to the main file"
		if r.SocketHint != "" {
			hint = "add socket = " + r.SocketHint + ", the path that the rules use for it"
		}
		v := config.Value{Key: "socket", Pos: config.Pos{File: s.File}}
		if apps := c.All(neededApps...); len(apps) > 0 {
			v.Pos = apps[0].Pos
		}
		r.wrong(v, "it has no socket to answer on: %s", hint)
	}
}

// saysAnything: an empty file, or a text that is no configuration, would start a
// uWSGI that answers every request with an error. (A file that is empty on
// purpose, because vassal-set says everything, has an app from there.)
func (r *reader) saysAnything() bool {
	if len(r.c.All(neededApps...)) > 0 || len(r.c.All(otherApps...)) > 0 {
		return true
	}
	set, _ := vassalOptions()
	for _, v := range r.c.Values {
		if _, known := set.Lookup(v.Key); known && v.Pos.File != "" && !r.wasSet(v) {
			return true
		}
	}
	return false
}

// wasSet: the value comes from vassal-set.
func (r *reader) wasSet(v config.Value) bool {
	return slices.ContainsFunc(r.Set, func(s config.Value) bool { return s.Pos == v.Pos && s.Key == v.Key })
}

// servesWithoutSocket are options with which uWSGI runs although it has no
// socket (core/uwsgi.c: "The -s/--socket option is missing").
var servesWithoutSocket = []string{
	"http", "http-router", "https", "https2", "fastrouter", "rawrouter", "sslrouter", "forkptyrouter",
	"shared-socket", "undeferred-shared-socket", "zerg", "udp", "snmp", "emperor",
	"attach-daemon", "attach-daemon2", "smart-attach-daemon", "smart-attach-daemon2", "cron", "cron2", "unique-cron",
	"spooler", "mule", "mules", "mules", "farm", "programmed-mule", "worker-exec",
}

// uwsgiArguments is the command line after the program, as uWSGI's own emperor
// writes it (core/emperor.c): vassal-set and the "before" files come first, so
// the vassal's file wins, the other files after it.
func (r *reader) uwsgiArguments() []string {
	var args []string
	for _, f := range r.InheritBefore {
		args = append(args, "--inherit", f.Value)
	}
	for _, f := range r.IncludeBefore {
		args = append(args, "--include", f.Value)
	}
	for _, v := range r.Set {
		if r.touchedByUs(v.Key) {
			continue
		}
		text := v.Key
		if v.HasValue {
			text += "=" + v.Value
		}
		args = append(args, "--set", text)
	}
	args = append(args, r.fileArguments()...)
	for _, f := range r.InheritAfter {
		args = append(args, "--inherit", f.Value)
	}
	for _, f := range r.IncludeAfter {
		args = append(args, "--include", f.Value)
	}
	return args
}

// fileOption is the option that makes uWSGI read the file, by its extension.
func (r *reader) fileOption() string {
	if r.ExtraExtension {
		return "--config"
	}
	switch strings.ToLower(filepath.Ext(r.spec.File)) {
	case ".ini":
		return "--ini"
	case ".xml":
		return "--xml"
	case ".yml", ".yaml":
		return "--yaml"
	case ".js", ".json":
		return "--json"
	}
	return "--inherit"
}
