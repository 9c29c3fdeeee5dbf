package emperor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/logsink"
	"emperor/internal/proc"
	"emperor/internal/resource"
	"emperor/vassal"
	"emperor/vassal/spec"
)

// Reader reads main files. It holds what this package cannot know by itself,
// because it must not import the router.
type Reader struct {
	// Set is every option of the main file (NewSet).
	Set *config.Set
	// Alone tells that only the router runs: no line makes the file an app's.
	Alone bool
	// Front is the part of Set that is the router's.
	Front []config.Option
	// OwnRule tells whether a routing rule does what only our router can, so that it
	// cannot be meant for a uWSGI. May be nil.
	OwnRule func(config.Value) bool
	// ReadFront takes the router's part out of a main file and checks all of it.
	ReadFront func(*config.Config) (link.Configuration, config.Problems)
	// CheckFront checks it once more when the files that it names have been read. May
	// be nil.
	CheckFront func(*link.Configuration) config.Problems
	// Keeper makes of a configuration what decides which certificates and keys its
	// router may have. May be nil.
	Keeper func(*link.Configuration) func(link.PairRequest) error
	// Issuance takes from a configuration which certificates are to be ordered from a
	// certificate authority; nil: none. May be nil.
	Issuance func(*link.Configuration) *link.Issuance
	// Certificates lists those of a configuration that are in files. May be nil.
	Certificates func(*link.Configuration) []link.Certificate
	// SocketFor tells which socket the rules would use for a vassal of that name,
	// and which rule says so; ok is false when none does. May be nil.
	SocketFor func(front link.Configuration, vassal string) (address, rule string, ok bool)
	// CheckFiles finds the mistakes in the lines of a vassal that say how its static
	// files are served. May be nil.
	CheckFiles func([]link.Option) config.Problems
}

// Source is where a main file's text comes from; it is read again at each reload.
type Source struct {
	File string   // "emperor.ini" or "emperor.ini:section"; may be empty
	Args []string // further options, in uWSGI's spelling
	Env  []string // os.Environ's form
	Dir  string   // absolute; relative paths count from here
	// Command is a program and its arguments: the one app.
	Command []string
}

// Main is a main file (and the command line with it), read and checked. It is
// immutable.
type Main struct {
	Source Source
	Config *config.Config
	// Front is what the router is sent.
	Front link.Configuration
	// Monitor is where vassals are looked for; Log is empty.
	Monitor monitor.Options
	// Defaults are what all vassals are given.
	Defaults vassal.Defaults
	// Control is the path of the control socket, as written; empty is the default,
	// "none" is none.
	Control string
	// PIDFiles are written at the start and removed at the end.
	PIDFiles    []string
	WatchConfig bool
	JSONLog     bool
	// Logs are where the log goes, as the file says; see LogTargets.
	Logs []logsink.Target
	// Journal is the socket of systemd's journal; empty: it is not to be used.
	Journal string
	// RouterUser is who runs the router; nil is the emperor's own user.
	RouterUser *proc.Credential
	// Notes are the lines that have no effect, each with the reason.
	Notes config.Problems
	// App is the one app, where the main file is about that; nil: it names vassals,
	// or there is only a front.
	App *App

	// vassalUser is who every vassal runs as, whatever its file says; nil: each
	// file says it.
	vassalUser *proc.Credential
	// tyrant is emperor-tyrant; nil: it is not there.
	tyrant *spec.Tyrant
	// bounded: vassals never have other capabilities than those of bounding.
	bounded  bool
	bounding proc.Capabilities

	// onDemand is what emperor-on-demand-* lines say; its Output is each vassal's own.
	onDemand spec.OnDemandReading

	journalAsked bool // by a line
	stats        statsWanted
	commands     commandsWanted

	// hooks are the programs to be run at certain moments.
	hooks *hooks

	vassalSet                                                []config.Value
	includeBefore, includeAfter, inheritBefore, inheritAfter []config.Value
	issuance                                                 func(*link.Configuration) *link.Issuance
	certificates                                             func(*link.Configuration) []link.Certificate
	socketFor                                                func(link.Configuration, string) (string, string, bool)
	checkFiles                                               func([]link.Option) config.Problems

	uwsgi   sync.Once
	uwsgiAt string // set by uwsgi
}

// Read reads a main file. The Main is nil when there are errors among the
// problems. files, never empty when a file was named, are what it was read from
// (or would have been), for whoever watches them.
func (r Reader) Read(s Source) (m *Main, files []string, problems config.Problems) {
	c, problems := config.Load(config.Request{
		Set: r.Set, File: s.File, Args: s.Args, Env: s.Env, Dir: s.Dir,
		Late: map[string]string{"fd": "", "port": "auto"}, // of a command, known when it starts
	})
	c = givenCommand(s, c)
	m, contents := r.make(s, c, &problems)
	files = slices.Concat(c.Files, contents)
	if problems.Err() != nil {
		return nil, files, problems
	}
	return m, files, problems
}

// make makes a Main of what the main file came to. contents are the files whose text
// the front is sent.
func (r Reader) make(s Source, c *config.Config, found *config.Problems) (m *Main, contents []string) {
	problems := *found
	m = &Main{Source: s, Config: c, App: r.divide(c), socketFor: r.SocketFor, checkFiles: r.CheckFiles, issuance: r.Issuance, certificates: r.Certificates}
	forFront := c
	if m.App != nil {
		forFront = config.FromValues(r.Set, c.File, m.App.front)
	}
	front, frontProblems := r.ReadFront(forFront)
	m.Front = front
	problems = append(problems, frontProblems...)
	for _, l := range m.Front.Listeners {
		if _, err := parseListener(l); err != nil {
			problems = append(problems, config.Problem{Pos: config.Pos{File: l.File, Line: l.Line}, Key: l.Option, Text: err.Error()})
		}
	}
	contents = m.loadResources(&problems)
	if r.CheckFront != nil && len(contents) > 0 && problems.Err() == nil {
		problems = append(problems, r.CheckFront(&m.Front).Errors()...)
	}
	m.readMonitors(&problems)
	m.readVassals(&problems)
	m.readRunning(&problems)
	m.readTyrant(&problems)
	m.readLogs(&problems)
	m.readStats(&problems)
	m.readCommands(&problems)
	m.readApp(r, &problems)
	m.readHooks(&problems)
	m.readForeign(r.Set, &problems)
	problems = problems.WithComments(c.Values, func(v config.Value) bool { return m.isOurs(r.Set, v) })
	if c.Bool("strict") {
		problems = problems.Strict()
	}
	*found = problems
	return m, contents
}

// Restore makes a Main of what an earlier binary has read. front is what its router
// was sent: it counts where this binary cannot make one of the same lines, because a file
// that they name has gone. m is usable whatever the problems.
func (r Reader) Restore(s Source, c *config.Config, front link.Configuration) (m *Main, problems config.Problems) {
	m, _ = r.make(s, c, &problems)
	if problems.Err() != nil {
		m.Front = front
	}
	return m, problems
}

// isOurs tells whether a line is carried out by the emperor or the front, and not by an
// app; and is not about a header, where "; " is part of many a value.
func (m *Main) isOurs(set *config.Set, v config.Value) bool {
	o, ok := set.Lookup(v.Key)
	if !ok || o.Ignored != "" || m.App != nil && slices.Contains(m.App.Lines, v) {
		return false
	}
	return !slices.Contains([]string{"add-header", "https-hsts", "http-var"}, o.Name) && !strings.Contains(v.Value, "header:")
}

// loadResources reads what the front is sent of files, and returns which files
// those are: a change of one is a change of the configuration.
func (m *Main) loadResources(problems *config.Problems) (contents []string) {
	for i := range m.Front.Resources {
		r := &m.Front.Resources[i]
		r.Path = m.absolute(r.Path)
		switch r.Kind {
		case link.Content, link.Listing, link.Folded, link.Owners: // (who has been given a file counts after a reload)
			contents = append(contents, r.Path)
		}
		if err := resource.Load(r); err != nil {
			*problems = append(*problems, config.Problem{Pos: config.Pos{File: r.File, Line: r.Line}, Key: r.Option, Text: err.Error()})
		}
	}
	return contents
}

// Name is how the main file is called in messages.
func (m *Main) Name() string {
	if m.Source.File != "" {
		return m.Source.File
	}
	if len(m.Config.Files) > 0 {
		return m.Config.Files[0]
	}
	return "command line"
}

func (m *Main) readMonitors(problems *config.Problems) {
	c := m.Config
	m.Monitor = monitor.Options{
		Dir:      m.Source.Dir,
		NoFollow: c.Bool("emperor-nofollow"),
	}
	if c.Has("emperor-freq") { // else the monitor decides
		m.Monitor.Frequency = c.Seconds("emperor-freq")
	}
	for _, v := range c.All("emperor-extra-extension") {
		m.Monitor.Extensions = append(m.Monitor.Extensions, v.Value)
	}
	for _, v := range c.All("emperor") {
		alone := m.Monitor
		alone.Patterns = []monitor.Pattern{{Value: v.Value}}
		if _, err := monitor.New(alone); err != nil {
			*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: strings.TrimPrefix(err.Error(), "emperor: ")})
			continue
		}
		m.Monitor.Patterns = append(m.Monitor.Patterns, monitor.Pattern{Value: v.Value, Pos: v.Pos})
	}
}

func (m *Main) readVassals(problems *config.Problems) {
	c := m.Config
	for _, v := range c.All("vassal-set") {
		key, value, has := strings.Cut(v.Value, "=")
		m.vassalSet = append(m.vassalSet, config.Value{Key: key, Value: value, HasValue: has, Pos: v.Pos})
	}
	paths := func(name string) (out []config.Value) {
		for _, v := range c.All(name) {
			v.Value = m.absolute(v.Value)
			out = append(out, v)
		}
		return out
	}
	m.includeBefore, m.includeAfter = paths("vassals-include-before"), paths("vassals-include")
	m.onDemand.Extension = c.Text("emperor-on-demand-extension")
	if v, ok := c.Last("emperor-on-demand-directory"); ok && v.Value != "" {
		m.onDemand.Directory = m.absolute(v.Value)
	}
	m.onDemand.Exec, _ = c.Last("emperor-on-demand-exec")
	m.inheritBefore, m.inheritAfter = paths("vassals-inherit-before"), paths("vassals-inherit")

	d := vassal.DefaultDefaults()
	d.Environment = m.environment()
	if m.App != nil {
		d.Environment = m.App.environment(c, m.Source.Env)
	}
	for _, name := range []string{"binary-path", "emperor-wrapper"} {
		// The one app has a binary-path of its own, which an edit can change.
		if path := c.Text(name); path != "" && (name != "binary-path" || m.App == nil) {
			d.UWSGI = path
		}
	}
	for _, v := range c.All("emperor-wrapper-override") {
		d.Wrappers.Override = append(d.Wrappers.Override, v.Value)
	}
	for _, v := range c.All("emperor-wrapper-fallback") {
		d.Wrappers.Fallback = append(d.Wrappers.Fallback, v.Value)
	}
	d.Throttle, d.MaxThrottle = c.Seconds("emperor-throttle"), c.Seconds("emperor-max-throttle")
	d.MaxThrottle = max(d.MaxThrottle, d.Throttle)
	if c.Bool("emperor-no-blacklist") {
		d.MaxThrottle = d.Throttle // the pause does not grow
	}
	if c.Has("reload-mercy") && m.App == nil {
		d.Mercy = c.Seconds("reload-mercy")
	}
	d.Heartbeat = c.Seconds("emperor-required-heartbeat")
	if wait := c.Seconds("http-timeout"); wait > 0 {
		d.Answer = wait
	}
	if c.Has("emperor-curse-tolerance") {
		d.Stop = c.Seconds("emperor-curse-tolerance")
	}
	m.Defaults = d
}

// environment is the emperor's own, changed by env and unenv in their order: in
// uWSGI they change the emperor, and vassals inherit it.
func (m *Main) environment() []string {
	env := slices.Clone(m.Source.Env)
	for _, v := range m.Config.All("env", "unenv") {
		name, _, _ := strings.Cut(v.Value, "=")
		env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		if v.Key == "env" {
			env = append(env, v.Value)
		}
	}
	return env
}

func (m *Main) readRunning(problems *config.Problems) {
	c := m.Config
	m.Control = c.Text("control")
	for _, v := range c.All(pidFileOptions...) {
		m.PIDFiles = append(m.PIDFiles, m.absolute(v.Value))
	}
	m.WatchConfig = c.Bool("watch-config")

	fail := func(v config.Value, err error) {
		*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error()})
	}
	uid, hasUID := c.Last("uid")
	gid, hasGID := c.Last("gid")
	main, err := lookupCredential(uid.Value, gid.Value)
	if err != nil {
		v := uid
		if !hasUID || hasGID && strings.Contains(err.Error(), "group") {
			v = gid
		}
		fail(v, err)
		return
	}
	if os.Geteuid() != 0 {
		return // like uWSGI without privileges: uid and gid are not applied
	}
	// uWSGI's emperor becomes that user, and its vassals can be nobody else. Ours
	// stays root, to open sockets later on, so each vassal is made that user.
	// (The one app does what uWSGI does: it starts as root and becomes that user.)
	if (hasUID || hasGID) && m.App == nil {
		m.vassalUser = main
	}

	router := main
	if !hasUID {
		if router, err = lookupCredential("nobody", gid.Value); err != nil {
			router = &proc.Credential{UID: 65534, GID: 65534} // an image without /etc/passwd
		}
	}
	httpUID, hasHTTPUID := c.Last("http-uid")
	httpGID, hasHTTPGID := c.Last("http-gid")
	if hasHTTPUID || hasHTTPGID {
		group := httpGID.Value
		if !hasHTTPUID {
			httpUID.Value = fmt.Sprint(router.UID)
		}
		found, err := lookupCredential(httpUID.Value, group)
		if err != nil {
			if hasHTTPUID {
				fail(httpUID, err)
			} else {
				fail(httpGID, err)
			}
			return
		}
		router = found
	}
	if router.UID != 0 || router.GID != 0 {
		m.RouterUser = router
		m.Defaults.SocketGroup = int(router.GID)
	}
}

// readForeign notes what is accepted without effect and refuses what would be
// dangerous to ignore.
func (m *Main) readForeign(set *config.Set, problems *config.Problems) {
	for _, v := range m.Config.Values {
		o, ok := set.Lookup(v.Key)
		if !ok || o.Ignored == "" {
			continue
		}
		if m.App != nil {
			reason, nothing := m.App.withoutEffect(v)
			if !nothing {
				continue
			}
			if o.Ignored == foreign {
				o.Ignored = reason
			}
		}
		if why, dangerous := refused[o.Name]; dangerous {
			if v.Value != "false" && v.Value != "0" && v.Value != "no" && v.Value != "off" {
				*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: why})
			}
			continue
		}
		m.Notes = append(m.Notes, config.Problem{Pos: v.Pos, Key: v.Key, Warning: true, Text: "accepted without effect: " + o.Ignored})
	}
}

func (m *Main) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(m.Source.Dir, path)
}

// sameForVassals tells whether vassal files read by either mean the same.
func (m *Main) sameForVassals(other *Main) bool {
	value := func(a, b config.Value) bool { return a.Key == b.Key && a.Value == b.Value && a.HasValue == b.HasValue }
	return slices.EqualFunc(m.vassalSet, other.vassalSet, value) &&
		slices.EqualFunc(m.includeBefore, other.includeBefore, value) && slices.EqualFunc(m.includeAfter, other.includeAfter, value) &&
		slices.EqualFunc(m.inheritBefore, other.inheritBefore, value) && slices.EqualFunc(m.inheritAfter, other.inheritAfter, value) &&
		m.onDemand.Extension == other.onDemand.Extension && m.onDemand.Directory == other.onDemand.Directory && m.onDemand.Exec.Value == other.onDemand.Exec.Value &&
		slices.Equal(m.Defaults.Environment, other.Defaults.Environment) && m.Defaults.UWSGI == other.Defaults.UWSGI &&
		sameCredential(m.vassalUser, other.vassalUser) && m.sameTyrant(other) && m.App.same(other.App)
}

// sameFront tells whether the router would be sent the same.
func (m *Main) sameFront(other *Main) bool {
	return slices.EqualFunc(m.Front.Options, other.Front.Options, func(a, b link.Option) bool { return a == b }) &&
		slices.EqualFunc(m.Front.Listeners, other.Front.Listeners, func(a, b link.Listener) bool { return a == b }) &&
		slices.EqualFunc(m.Front.Resources, other.Front.Resources, func(a, b link.Resource) bool {
			return a.Kind == b.Kind && a.Path == b.Path && bytes.Equal(a.Content, b.Content)
		})
}

// sameMonitor tells whether the monitor would look for the same.
func (m *Main) sameMonitor(other *Main) bool {
	a, b := m.Monitor, other.Monitor
	return a.Dir == b.Dir && a.NoFollow == b.NoFollow && a.Owners == b.Owners && a.Frequency == b.Frequency &&
		slices.Equal(a.Extensions, b.Extensions) &&
		slices.EqualFunc(a.Patterns, b.Patterns, func(a, b monitor.Pattern) bool { return a.Value == b.Value })
}

// MissingMonitors warns of emperor lines that name a directory that is not there.
func (m *Main) MissingMonitors() config.Problems {
	var missing config.Problems
	for _, p := range m.Monitor.Patterns {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.Value, "dir://"), "glob://")
		if i := strings.IndexAny(dir, "*?["); i >= 0 {
			dir = dir[:strings.LastIndexByte(dir[:i], '/')+1]
		}
		if _, err := os.Stat(m.absolute(dir)); err != nil {
			pos, _ := p.Pos.(config.Pos)
			missing = append(missing, config.Problem{Pos: pos, Key: "emperor", Warning: true,
				Text: fmt.Sprintf("%s: there is no %s, and so no vassal", p.Value, m.absolute(dir))})
		}
	}
	return missing
}

// missingMonitor refuses an emperor line that was edited to name a directory that
// is not there: a typing error would end every site. (At a start such a directory
// is waited for, and one that vanishes keeps its sites.)
func (m *Main) missingMonitor(old *Main) error {
	if m.sameMonitor(old) {
		return nil
	}
	for _, p := range m.MissingMonitors() {
		p.Warning = false
		p.Text += "; every site would end: make the directory first"
		return p
	}
	return nil
}

// needsRestart lists what differs and cannot be changed in a running emperor.
func (m *Main) needsRestart(old *Main) []string {
	var out []string
	note := func(same bool, name string) {
		if !same {
			out = append(out, name)
		}
	}
	note(m.Control == old.Control, "control")
	note(slices.Equal(m.PIDFiles, old.PIDFiles), "pidfile")
	note(m.sameLogs(old), "logto, logger, log-…")
	note(sameCredential(m.RouterUser, old.RouterUser), "http-uid, http-gid")
	a, b := m.Defaults, old.Defaults
	note(a.Mercy == b.Mercy, "reload-mercy")
	note(a.Stop == b.Stop, "emperor-curse-tolerance")
	note(a.Throttle == b.Throttle && a.MaxThrottle == b.MaxThrottle, "emperor-throttle")
	note(slices.Equal(a.Environment, b.Environment), "env")
	note(a.Heartbeat == b.Heartbeat, "emperor-required-heartbeat")
	note(a.UWSGI == b.UWSGI && a.Wrappers.Same(b.Wrappers), "binary-path, emperor-wrapper")
	note(m.sameHooks(old), "the hooks of the start and the end")
	return out
}

// startTime is how long the first configuration may take to reach the router.
const startTime = 20 * time.Second
