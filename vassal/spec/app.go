package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/rights"
)

// AppReading is what ReadApp needs to know. It is about an app without a file of
// its own: the main file and the command line, which were read elsewhere, are about
// nothing else.
type AppReading struct {
	Name string
	// File is the main file; empty when everything is on the command line.
	File string
	// Files are all that the lines were read from.
	Files []string
	// Dir is the working directory: the emperor's own, as for uwsgi on a shell.
	Dir string
	// Lines are the app's, in their order, with nothing left to expand. Those that
	// come from UWSGI_* variables stay in the environment, where uWSGI finds them.
	Lines []config.Value
	// Socket is a path for a socket of ours by which the front reaches the app when
	// its lines name none that the front can use; empty: there is no front.
	Socket string
	// CheckFiles is as in Reading.
	CheckFiles func([]link.Option) config.Problems
	// Apart: the front runs as another user, to whom a socket can be closed whose
	// mode or owner the lines say.
	Apart bool
}

// appOptions are further options with which a uWSGI serves something although it
// has no application.
var appOptions = []string{"static-map", "static-map2", "check-static", "check-static-docroot"}

// settingsOnly are among otherApps because a vassal's file that has them is
// uWSGI's. They say how an application is run, not which.
var settingsOnly = []string{"pythonpath", "virtualenv", "venv", "home", "emperor"}

// NamesApp finds the line, if there is one, with which a main file says that it is
// itself the one app: an application of uWSGI's, a command or a folder.
func NamesApp(c *config.Config) (config.Value, bool) {
	for _, group := range [][]string{neededApps, otherApps, appOptions} {
		for _, v := range c.All(group...) {
			if !slices.Contains(settingsOnly, v.Key) {
				return v, true
			}
		}
	}
	for _, name := range []string{"command", "static"} {
		if v, ok := c.Last(name); ok && !c.UsedPlaceholders[name] {
			return v, true
		}
	}
	return config.Value{}, false
}

// RunsCommand tells whether the app that NamesApp has found is any program or a
// folder, and not uWSGI's business.
func RunsCommand(app config.Value) bool { return app.Key == "command" || app.Key == "static" }

// ReadApp makes the spec of an app from lines instead of from a file. Like
// ReadSpec it runs nothing and opens nothing but the files of an envdir.
func ReadApp(a AppReading) Result {
	set, err := vassalOptions()
	if err != nil { // two declarations contradict each other: a mistake in this program
		return Result{Problems: config.Problems{{Pos: config.Pos{File: a.File}, Text: err.Error()}}, Files: a.Files}
	}
	opener := rights.NewReader(nil)
	defer opener.Close()
	r := &reader{
		Reading: Reading{Name: a.Name, File: a.File, Dir: a.Dir, CheckFiles: a.CheckFiles},
		c:       config.FromValues(set, a.File, a.Lines),
		opener:  opener,
		spec:    &Spec{Name: a.Name, File: a.File, Files: slices.Clone(a.Files)},
		app:     &a,
	}
	r.spec.Kind, r.spec.KindReason = UWSGI, "it names no command"
	if app, ok := NamesApp(r.c); ok {
		r.spec.KindReason = Reason(app)
		switch app.Key {
		case "command":
			r.spec.Kind = Command
		case "static":
			r.spec.Kind = Static
		}
	}
	r.checkNumbers()
	r.read()
	result := Result{Spec: r.spec, Problems: r.problems, Config: r.c, Files: r.spec.Files}
	if r.problems.Err() != nil {
		result.Spec = nil
	}
	return result
}

// checkNumbers validates what we act on ourselves. (A file of its own is validated
// when it is loaded; in the main file these options are text, because in most main
// files they mean nothing.)
func (r *reader) checkNumbers() {
	for _, name := range []string{"processes", "listen", "boot-timeout", "stop-timeout", "idle", "health-interval", "health-timeout", "health-threshold"} {
		v, ok := r.c.Last(name)
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(v.Value, 10, 32); err != nil || n < 1 {
			r.fault(v, "want a number, at least 1, got %q", v.Value)
		}
	}
	if v, ok := r.c.Last("overlap"); ok && v.HasValue {
		switch strings.ToLower(v.Value) {
		case "true", "yes", "on", "1", "false", "no", "off", "0", "":
		default:
			r.wrong(v, "want true or false, got %q", v.Value)
		}
	}
}

// addAutomatic gives the app a socket of ours where the front could reach it by
// none of its own. It comes first: programs that know one socket take that.
func (r *reader) addAutomatic(protocol string) {
	if r.app == nil || r.app.Socket == "" || r.spec.Port {
		return
	}
	rules := r.spec.SocketRules
	restricted := rules.HasMode || rules.UID >= 0 || rules.GID >= 0
	for _, s := range r.spec.Sockets {
		switch {
		case s.Protocol != "uwsgi" && s.Protocol != "http", s.At.Foreign != "":
		case s.At.Path != "" && r.app.Apart && restricted:
		default:
			return
		}
	}
	app, _ := NamesApp(r.c)
	socket := Socket{Address: r.app.Socket, Protocol: protocol, Held: true, Automatic: true, Pos: app.Pos,
		At: Address{Text: r.app.Socket, Path: r.app.Socket}}
	r.spec.Sockets = append([]Socket{socket}, r.spec.Sockets...)
}

// ConfigDescriptor is where a uWSGI has its configuration, when that is a text of ours.
const ConfigDescriptor = 4

// configPath is where a uWSGI finds its configuration when that is a text of ours.
// It opens it again at each reload of its own, so it must not be a pipe.
var configPath = fmt.Sprintf("/proc/self/fd/%d", ConfigDescriptor)

// appArguments are uWSGI's command line for an app without a file, in the order of
// its lines, and the text that the arguments refer to. What was on our command
// line is on uWSGI's; what was in a file stays away from it, because everybody may
// read the command lines of processes.
func (r *reader) appArguments() (arguments []string, text string) {
	var b strings.Builder
	sections := 0
	within := false // the last line went into the text
	for _, v := range r.app.Lines {
		switch {
		case strings.HasPrefix(v.Pos.File, "environment "), r.touchedByUs(v.Key):
			continue
		case v.Pos.File != "" && fitsLine(v.Value):
			if !within {
				sections++
				fmt.Fprintf(&b, "[%d]\n", sections)
				arguments = append(arguments, "--ini", fmt.Sprintf("%s:%d", configPath, sections))
				within = true
			}
			b.WriteString(v.Key)
			if v.HasValue {
				// Nothing is left to expand, but uWSGI will look for it.
				b.WriteString(" = " + strings.ReplaceAll(v.Value, "%", "%%"))
			}
			b.WriteByte('\n')
			continue
		case v.HasValue:
			arguments = append(arguments, "--set", v.Key+"="+v.Value)
		case KnownToUWSGI(v.Key):
			arguments = append(arguments, "--"+v.Key)
		}
		within = false
	}
	if sections > 0 {
		arguments = append(arguments, "--set", fmt.Sprintf("safe-fd=%d", ConfigDescriptor))
	}
	for _, s := range r.spec.Sockets {
		if s.Automatic {
			arguments = append(arguments, "--set", "uwsgi-socket="+s.Address)
		}
	}
	return arguments, b.String()
}

// fitsLine: a line of an ini file can hold the value.
func fitsLine(value string) bool {
	return strings.Trim(value, " \t\r\n") == value && !strings.ContainsAny(value, "\n\r\x00")
}
