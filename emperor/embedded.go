package emperor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"emperor/emperor/control"
	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/internal/logsink"
	"emperor/vassal/commandline"
	"emperor/vassal/spec"
)

// AppName is what the one app of a main file is called.
const AppName = "app"

// App is the one app of a main file that names no vassals but an app: what uWSGI
// calls its embedded mode. The file's lines are divided between the front and the
// app, whose vassal is started from them.
type App struct {
	// Line is the one that says that there is an app, and which.
	Line config.Value
	// Lines are the app's, in order.
	Lines []config.Value
	// Rules are those of Lines that route requests inside the app, after the front.
	Rules []config.Value
	// Result is what the lines came to.
	Result spec.Result

	front []config.Value // the front's lines
}

// byCommand: the app is any program, and uWSGI has no part in it.
func (a *App) byCommand() bool { return spec.RunsCommand(a.Line) }

// Spec is how the app is run.
func (a *App) Spec() *spec.Spec { return a.Result.Spec }

// divide finds the one app and divides the lines; nil when the main file has none.
func (r Reader) divide(c *config.Config) *App {
	if r.Alone || c.Has("emperor") {
		return nil
	}
	line, ok := spec.NamesApp(c)
	if !ok {
		return nil
	}
	a := &App{Line: line}
	shared := frontShares(c)
	for _, v := range c.Values {
		by := r.taker(v, a.byCommand())
		if v.Key == "shared-socket" && by == takenByApp && shared {
			by = takenByFront
		}
		switch by {
		case takenByFront:
			a.front = append(a.front, v)
		case takenByApp:
			a.Lines = append(a.Lines, v)
			if isRule(v.Key) {
				a.Rules = append(a.Rules, v)
			}
		}
	}
	// As in uWSGI all requests go to the app, unless a line says where else. (An
	// http-to with the address of one of its own sockets does not.)
	a.front = slices.DeleteFunc(a.front, func(v config.Value) bool { return v.Key == "http-to" && a.listensAt(v.Value) })
	if !slices.ContainsFunc(a.front, func(v config.Value) bool { return slices.Contains(mappers, v.Key) }) {
		a.front = append(a.front, config.Value{Key: "route-run", Value: "vassal:" + AppName, HasValue: true, Pos: line.Pos})
	}
	return a
}

// frontShares tells whether the front names a shared-socket by its number.
func frontShares(c *config.Config) bool {
	return slices.ContainsFunc(c.Values, func(v config.Value) bool {
		return strings.HasPrefix(v.Key, "http") && (strings.HasPrefix(v.Value, "=") || strings.Contains(v.Value, "addr=="))
	})
}

// mappers are the options that say where requests go which no rule decides.
var mappers = []string{"http-to", "http-use-pattern", "http-use-base", "http-use-cache", "http-use-code-string", "http-subscription-server"}

// mapsStreams tells whether an option says where connections go that are no requests.
func mapsStreams(key string) bool {
	_, what, ok := strings.Cut(key, "router-")
	return key == "stream-default" || ok && slices.Contains([]string{"to", "fallback", "use-pattern", "use-base", "subscription-server"}, what)
}

// EmptyFront warns of a front with nothing behind it.
func (m *Main) EmptyFront() config.Problems {
	if m.App != nil || len(m.Monitor.Patterns) > 0 || len(m.Front.Listeners) == 0 {
		return nil
	}
	for _, o := range m.Front.Options {
		if isRule(o.Key) || slices.Contains(mappers, o.Key) || o.Key == "http-to-https" || mapsStreams(o.Key) {
			return nil
		}
	}
	l := m.Front.Listeners[0]
	if kind := strings.TrimSuffix(l.Option, "2"); kind == "sslrouter" || kind == "rawrouter" {
		return config.Problems{{Pos: config.Pos{File: l.File, Line: l.Line}, Key: l.Option, Warning: true,
			Text: "nothing is behind it: want " + kind + "-to = ADDRESS"}}
	}
	return config.Problems{{Pos: config.Pos{File: l.File, Line: l.Line}, Key: l.Option, Warning: true,
		Text: "nothing is behind it: want an app (such as module, wsgi-file or command), emperor, http-to, or rules"}}
}

// isRule tells whether an option is of the route language.
func isRule(key string) bool {
	return key == "route" || strings.HasPrefix(key, "route-") || strings.Contains(key, "-route")
}

// listensAt tells whether a line of the app's names that address for a socket.
func (a *App) listensAt(address string) bool {
	return slices.ContainsFunc(a.Lines, func(v config.Value) bool {
		return (v.Key == "socket" || v.Key == "uwsgi-socket") && v.Value == address
	})
}

// taker is who acts on a line of a main file with one app.
type taker int

const (
	takenByUs taker = iota
	takenByFront
	takenByApp
)

// shared are options of ours that are also the app's, as they would be a vassal's.
var shared = []string{"procname", "touch-reload", "stats", "stats-minified", "hook-timeout", "env", "unenv", "uid", "gid", "chmod-socket", "reload-mercy", "binary-path"}

// frontPrefixes begin the names of uWSGI's options that are about its HTTP and
// HTTPS routers. Whatever else uWSGI has options for is done by its workers, so it
// stays with the app: files that run today behave the same.
var frontPrefixes = []string{"http", "sni", "ssl"}

// taker decides about one line.
func (r Reader) taker(v config.Value, byCommand bool) taker {
	aboutFront := slices.ContainsFunc(frontPrefixes, func(prefix string) bool { return strings.HasPrefix(v.Key, prefix) })
	switch {
	case slices.ContainsFunc(Options, func(o config.Option) bool { return o.Name == v.Key }):
		if slices.Contains(shared, v.Key) || ownPhase(v.Key) && !byCommand || slices.ContainsFunc(logsink.OptionList, func(o config.Option) bool { return o.Name == v.Key && o.Name != "log-format-json" }) {
			return takenByApp
		}
		return takenByUs
	case slices.ContainsFunc(r.Front, func(o config.Option) bool { return o.Name == v.Key }):
		if byCommand || aboutFront || !spec.KnownToUWSGI(v.Key) || r.OwnRule != nil && r.OwnRule(v) {
			return takenByFront
		}
		return takenByApp
	case strings.HasPrefix(v.Key, "daemonize"):
		return takenByUs
	case strings.HasPrefix(v.Key, "http") && !strings.HasPrefix(v.Key, "https") && spec.KnownToUWSGI(v.Key):
		return takenByUs // of no effect: the front does not have it, and the app no HTTP router
	}
	return takenByApp
}

// readApp completes the app: how it is run, once it is known who runs the front.
func (m *Main) readApp(r Reader, problems *config.Problems) {
	if len(m.Source.Command) > 0 && (m.App == nil || !m.App.byCommand()) {
		other, ok := m.Config.Last("emperor")
		if !ok {
			other = m.App.Line
		}
		*problems = append(*problems, config.Problem{Pos: other.Pos, Key: other.Key, Text: "want either this or a program after --, got both"})
	}
	if m.App == nil {
		return
	}
	m.App.Result = m.appResult(os.Getpid())
	*problems = append(*problems, m.App.Result.Problems...)
	m.App.misspelt(r, m.Config, problems)
}

// appResult reads the app's lines, for an emperor of that process number; they may
// name files, which may have changed.
func (m *Main) appResult(pid int) spec.Result {
	reading := spec.AppReading{
		Name: AppName, Files: m.Config.Files, Dir: m.Source.Dir, Lines: m.App.Lines, Apart: m.RouterUser != nil, CheckFiles: m.checkFiles,
	}
	if len(m.Config.Files) > 0 {
		reading.File = m.Config.Files[0]
	}
	if len(m.Front.Listeners) > 0 && slices.ContainsFunc(m.App.front, func(v config.Value) bool { return strings.Contains(v.Value, "vassal:"+AppName) }) {
		reading.Socket = automaticSocket(pid)
	}
	return spec.ReadApp(reading)
}

// automaticSocket is where the front reaches an app that has no socket of its own:
// where control sockets are, with the emperor's number so that no two share it.
func automaticSocket(pid int) string {
	dir := filepath.Dir(control.Path(""))
	const write = 2 // W_OK
	if syscall.Access(dir, write) != nil {
		dir = os.TempDir() // a container whose root cannot be written to
	}
	return filepath.Join(dir, fmt.Sprintf("emperor-%s-%d.sock", AppName, pid))
}

// misspelt refuses a line that is no option of anybody's and nearly one that we
// carry out: uWSGI would take it for a setting of the app's own and say nothing. (A
// line that some %(key) uses is one.)
func (a *App) misspelt(r Reader, c *config.Config, problems *config.Problems) {
	var names []string
	for _, v := range a.Lines {
		_, known := r.Set.Lookup(v.Key)
		if known || c.UsedPlaceholders[v.Key] || strings.HasPrefix(v.Pos.File, "environment ") {
			continue
		}
		if names == nil {
			for _, o := range r.Set.All() {
				names = append(append(names, o.Name), o.Aliases...)
			}
		}
		meant := config.Suggest(v.Key, names)
		if meant == "" || !r.ours(meant, a.byCommand()) {
			continue
		}
		*problems = slices.DeleteFunc(*problems, func(p config.Problem) bool { return p.Warning && p.Key == v.Key && p.Pos == v.Pos })
		*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key,
			Text: "there is no such option; did you mean " + meant + "? (What only your app reads can be set in another way: env, or a file of its own.)"})
	}
}

// ours tells whether an option of that name is not left to a uWSGI.
func (r Reader) ours(name string, byCommand bool) bool {
	o, _ := r.Set.Lookup(name)
	if slices.ContainsFunc(config.Language, func(l config.Option) bool { return l.Name == o.Name }) {
		return false
	}
	return !spec.KnownToUWSGI(name) || r.taker(config.Value{Key: o.Name}, byCommand) != takenByApp
}

// environment is what the app inherits: ours without the UWSGI_* variables whose
// options are not the app's.
func (a *App) environment(c *config.Config, env []string) []string {
	var ours []string
	for _, v := range c.Values {
		name, ok := strings.CutPrefix(v.Pos.File, "environment ")
		if ok && !slices.Contains(a.Lines, v) {
			ours = append(ours, name+"=")
		}
	}
	return slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		return slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}

// withoutEffect tells whether nobody acts on a line that we only accept, and why.
func (a *App) withoutEffect(v config.Value) (why string, nothing bool) {
	switch {
	case !slices.Contains(a.Lines, v):
		return "the front has no such option", true
	case a.byCommand() && !slices.ContainsFunc(spec.Options, func(o config.Option) bool { return o.Name == v.Key }):
		return "the app is a program of its own, not uWSGI", true
	}
	return "", false
}

// reading is what the registry wants to know of the app. Its warnings were told
// when the main file was read.
func (m *Main) readingOfApp() reading {
	for range 3 {
		before := monitor.FingerprintOf(m.appFiles(m.App.Result))
		result := m.appResult(os.Getpid())
		files := m.appFiles(result)
		r := reading{spec: result.Spec, problems: result.Problems.Errors(), config: result.Config, includes: files, print: monitor.FingerprintOf(files)}
		if r.stable = r.print == before; r.stable {
			return r
		}
	}
	return reading{spec: m.App.Result.Spec, problems: m.App.Result.Problems.Errors()}
}

// appFiles are those files of the app that are not the main file's.
func (m *Main) appFiles(result spec.Result) []string {
	return slices.DeleteFunc(slices.Clone(result.Files), func(file string) bool { return slices.Contains(m.Config.Files, file) })
}

// items are the vassals that are wanted: those of the monitors, or the one app.
func (m *Main) items(s monitor.Snapshot) []monitor.Item {
	if m.App == nil {
		return s.Items
	}
	return []monitor.Item{{Name: AppName, Path: m.Name()}}
}

// missingApp refuses an edit that loses the app: it would end the site.
func (m *Main) missingApp(old *Main) error {
	if old.App == nil || m.App != nil || len(m.Monitor.Patterns) > 0 || m.Config.Has("http-to") {
		return nil
	}
	return config.Problem{Pos: config.Pos{File: m.Name()}, Text: fmt.Sprintf("it names no app any more (it was %s, %s), and nothing in its place: the one that runs would end", old.App.Line.Key, old.App.Line.Pos)}
}

// same tells whether the other is the same app, run in the same way.
func (a *App) same(other *App) bool {
	if a == nil || other == nil {
		return a == other
	}
	return slices.Equal(a.Lines, other.Lines)
}

// givenCommand adds what the command line says after "--": the program, and the
// front where nothing says what it listens on.
func givenCommand(s Source, c *config.Config) *config.Config {
	if len(s.Command) == 0 {
		return c
	}
	with := *c
	with.Values = slices.Clone(c.Values)
	if !c.Has("http") {
		listener := config.Value{Key: "http", Value: ":8080", HasValue: true}
		for _, variable := range s.Env {
			if port, ok := strings.CutPrefix(variable, "PORT="); ok {
				listener.Value, listener.Pos = ":"+port, config.Pos{File: "environment PORT"}
			}
		}
		with.Values = append(with.Values, listener)
	}
	with.Values = append(with.Values, config.Value{Key: "command", Value: commandline.Join(s.Command), HasValue: true})
	return &with
}
