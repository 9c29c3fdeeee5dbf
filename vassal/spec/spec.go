package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/logsink"
	"emperor/internal/proc"
	"emperor/internal/rights"
	"emperor/vassal/environment"
)

// Kind is how a vassal is run.
type Kind int

const (
	// Unknown: no file was read.
	Unknown Kind = iota
	// UWSGI: an unmodified uWSGI reads the file.
	UWSGI
	// Command: any program.
	Command
	// Static: a folder of files, which the router serves; no process.
	Static
)

func (k Kind) String() string {
	switch k {
	case UWSGI:
		return "uwsgi"
	case Command:
		return "command"
	case Static:
		return "static"
	}
	return "unknown"
}

// Socket is one address a vassal listens on.
type Socket struct {
	// Address is the text of the option: a path, "host:port", "@abstract". uWSGI
	// finds an inherited socket by exactly this text.
	Address string
	// Protocol is "uwsgi", "http", "fastcgi", "scgi", link.TCP or link.Static; other protocols of uWSGI are
	// named as it does ("raw", "https", "suwsgi", "puwsgi").
	Protocol string
	// Held: the emperor binds it and hands it over. Otherwise the program binds
	// it, and Why says why.
	Held bool
	Why  string
	// Automatic: no line names it; it is there so that the front reaches the app.
	Automatic bool
	// OnDemand: emperor-on-demand-* names it. Like uWSGI's it is open to everybody,
	// unless the file says chmod-socket.
	OnDemand bool
	// ByRoot: a line of the main file names it, so it is bound with root's rights although
	// the vassal runs as the owner of its file (emperor-tyrant).
	ByRoot bool
	Pos    config.Pos

	// At is the address, understood.
	At Address `carry:"address"`
}

// Spec is what a vassal's file says, read, checked and immutable.
type Spec struct {
	Name string
	// File is the absolute path of the vassal's file.
	File string
	Kind Kind
	// KindReason says what decided: "module (app.ini:3)".
	KindReason string
	Sockets    []Socket
	// Port: a command that gets a TCP port of its own at each start (port = auto).
	Port bool
	// Files are all files that were read: the vassal's, what it includes, what
	// vassals-include adds. A change of any is a change of the vassal.
	Files []string
	// Overlap: two generations may run at the same time. OverlapReason names the
	// option and line that forbid it.
	Overlap       bool
	OverlapReason string
	// Mercy is how long an old generation may finish what it has; 0: the default.
	Mercy time.Duration
	// Boot and Stop: the file's boot-timeout and stop-timeout; 0: the default.
	Boot, Stop time.Duration
	// Sleep says when it runs without a process.
	Sleep
	// Helpers run beside it.
	Helpers
	// Health says how it is found out that it does not work any more.
	Health Health
	// Touch are the files whose touch asks for a reload, absolute and sorted.
	Touch []string
	// Announces are the keys that a uWSGI's lines say it announces itself for.
	// See Announcements.
	Announces []link.Announcement
	keyFiles  []keyFile

	SocketRules SocketRules      `carry:"sockets"`
	Logs        []logsink.Target `carry:"logs"` // of a command; none: the emperor's
	UWSGI       UWSGILaunch      `carry:"uwsgi"`
	Command     CommandLaunch    `carry:"command"`
	Static      StaticLaunch     `carry:"static"`
	Limits      Limits           `carry:"limits"`
	Memory      Memory           `carry:"memory"`

	ReadyPath string `carry:"readyPath"` // ready-path; empty: any answer will do
}

// UWSGILaunch is what starting a uWSGI needs.
type UWSGILaunch struct {
	_ struct{} `carry:"small"`

	Binary    string // binary-path; empty: the default
	Dir       string // working directory
	Arguments []string
	Text      string // the configuration, when there is no file: see appArguments
	NeedApp   bool
	Plugins   bool // it names a plugin
	ReopenLog bool // logto: reopened, or the log stays with whoever opened it first
	MaxFD     bool // the file sets max-fd itself
	NoMaster  bool // master = false, which cannot be had
	Cheap     bool // starts without workers until a connection comes
	DieOnIdle bool
	Lazy      bool     // workers load the app, so that one which accepts proves little
	Exec      bool     // worker-exec: no worker ever reports that it accepts
	User      *Account // whom the main file says; the file's own uid is uWSGI's business
	PIDFiles  []string
	Vacuum    bool // remove them at the end
}

// CommandLaunch is what starting a command needs.
type CommandLaunch struct {
	_ struct{} `carry:"small"`

	Line        string // may hold %(fd) and %(port)
	Pos         config.Pos
	Dir         string
	Copies      int
	Environment []environment.Change
	Signal      syscall.Signal
	Umask       int // -1: inherited
	User        *Account
	overlap     bool   // overlap = true, or not said
	SelfBound   bool   // the command line names its own socket
	EitherWay   bool   // it gets a port besides its socket, and may use either
	Protocol    string // what readiness is asked for in
}

// Addresses are the sockets the router can connect to, with their protocol.
// A vassal with port = auto has none before it runs; see Status.Addresses.
func (s *Spec) Addresses() []link.Address {
	var out []link.Address
	for _, socket := range s.Sockets {
		switch socket.Protocol {
		case link.TCP:
			if s.Kind == Command { // else it is a word of uWSGI's
				out = append(out, link.Address{Address: socket.At.In(s.SocketRules.Dir), Protocol: link.TCP})
			}
		case "uwsgi", "http", "fastcgi", "scgi", link.Static:
			out = append(out, s.Rooted(link.Address{Address: socket.At.In(s.SocketRules.Dir), Protocol: socket.Protocol, Single: s.Kind == UWSGI && socket.Protocol == "http"}))
		}
	}
	return out
}

// Held are the sockets the emperor binds.
func (s *Spec) Held() []Socket {
	var out []Socket
	for _, socket := range s.Sockets {
		if socket.Held {
			out = append(out, socket)
		}
	}
	return out
}

// Key is what Sockets knows the socket by.
func (s Socket) Key(of *Spec) string { return s.At.In(of.SocketRules.Dir) }

// Exchangeable: every held socket has a path, so that rename(2) can put another
// socket in its place in one step.
func (s *Spec) Exchangeable() bool {
	for _, socket := range s.Held() {
		if socket.At.Path == "" {
			return false
		}
	}
	return true
}

// Reading is what Read needs to know: the same inputs a uWSGI started by an
// emperor would get on its command line.
type Reading struct {
	Name string // the vassal's name
	File string // absolute path of the file, with ":section" if one is meant
	// Argument is the file as it is written on uWSGI's command line (relative to
	// Dir, as uWSGI's monitors do); empty: File.
	Argument string
	// Dir is the working directory of a uWSGI vassal: that of the file for a
	// directory monitor, the emperor's own for a glob. Empty: that of the file.
	Dir string
	Env []string // environment for $(NAME); os.Environ style, nil: ours
	// Set are the main file's vassal-set, already expanded for this vassal.
	Set []config.Value
	// The files of vassals-include(-before) and vassals-inherit(-before), absolute.
	IncludeBefore, IncludeAfter, InheritBefore, InheritAfter []config.Value
	// ExtraExtension: the file was accepted because of emperor-extra-extension,
	// so uWSGI gets it by --config.
	ExtraExtension bool
	// User, when set, is who every vassal runs as, whatever its file says: the main
	// file has uid or gid, and a uWSGI emperor would have become that user before it
	// read a vassal. So all files are opened as that user, too. Only root can make it
	// so; for others it has no effect.
	User *proc.Credential
	// Tyrant, when set, is that the vassal runs as the owner of its file; it sets User.
	Tyrant *Tyrant
	// Bounded: it never has any capability but those of Bounding (emperor-cap).
	Bounded  bool
	Bounding proc.Capabilities
	// UWSGI is the path of the uwsgi binary, for magic variables.
	UWSGI string
	// OnDemand is what the main file's emperor-on-demand-* lines say of it.
	OnDemand OnDemandReading
	// SocketHint is the path the rules would use for this vassal, for the message
	// when it has no socket, and the name of one that needs none; may be empty.
	SocketHint string
	// CheckFiles finds the mistakes in the lines that say how static files are
	// served; nil: nobody looks.
	CheckFiles func([]link.Option) config.Problems
}

// Result is what a vassal's file came to.
type Result struct {
	Spec     *Spec // nil when there are errors among Problems; warnings leave it usable
	Problems config.Problems
	// Config are its effective options. nil when it was not read at all.
	Config *config.Config
	// Files are all files that were read, or should have been, also where there are
	// errors: mending any of them may mend the vassal.
	Files []string
}

// Read reads a vassal's file. It never runs a program or fetches a URL, and never
// opens or resolves an address. Each file is opened with the rights of whoever
// chose it (package rights), so that nobody reads through a root emperor what he
// may not read.
func Read(r Reading) Result {
	if r.Env == nil {
		r.Env = os.Environ()
	}
	file, _ := splitSection(r.File)
	if r.Dir == "" {
		r.Dir = filepath.Dir(file)
	}
	if r.Argument == "" {
		r.Argument = r.File
	}
	set, err := vassalOptions()
	if err != nil { // two declarations contradict each other: a mistake in this program
		return Result{Problems: config.Problems{{Pos: config.Pos{File: file}, Text: err.Error()}}, Files: []string{file}}
	}
	opener := rights.NewReader(AccountOf(r.User).user())
	defer opener.Close()
	judged, problem := r.Tyrant.judge(opener, file)
	if problem != nil {
		return Result{Problems: config.Problems{*problem}, Files: []string{file}}
	}
	defer judged.Close()
	r.User = judged.user(r.User)
	c, problems := config.Load(config.Request{
		Set: set, Opener: judged, File: r.Argument, Env: r.Env, Dir: r.Dir, Vassal: true,
		IncludeBefore: r.IncludeBefore, IncludeAfter: r.IncludeAfter,
		InheritBefore: r.InheritBefore, InheritAfter: r.InheritAfter,
		SetBefore: r.Set, EmperorPath: r.UWSGI,
		Late: map[string]string{"fd": "", "port": "auto"},
	})
	s := &reader{Reading: r, c: c, opener: opener, partly: problems.Err() != nil, spec: &Spec{Name: r.Name, File: file}}
	s.spec.Files = c.Files
	if len(s.spec.Files) == 0 {
		s.spec.Files = []string{file}
	}
	s.spec.Kind, s.spec.KindReason = chooseKind(c)
	if text := judged.doubt(s.spec.Kind); text != "" {
		problems = append(problems, config.Problem{Pos: config.Pos{File: file}, Text: text})
	}
	if s.spec.Kind != UWSGI {
		// Nobody forgives what a real uWSGI would.
		problems = problems.Strict()
	}
	s.read()
	// A line of which it has been said what it must look like is not told of again.
	told := problems.Errors()
	s.problems = slices.DeleteFunc(s.problems, func(p config.Problem) bool {
		return p.Pos.Line > 0 && slices.ContainsFunc(told, func(t config.Problem) bool { return t.Pos == p.Pos && t.Key == p.Key })
	})
	result := Result{Spec: s.spec, Problems: append(problems, s.problems...).WithComments(c.Values, nil), Config: c, Files: s.spec.Files}
	if result.Problems.Err() != nil {
		result.Spec = nil
	}
	return result
}

// reader collects a Spec from a Config.
type reader struct {
	Reading
	c        *config.Config
	opener   *rights.Reader
	partly   bool // something could not be read, so nothing can be said to be missing
	spec     *Spec
	app      *AppReading // set when there is no file
	trigger  *trigger    // that emperor-on-demand-* names; nil: nobody has looked
	problems config.Problems
}

func (r *reader) wrong(v config.Value, format string, args ...any) {
	r.problems = append(r.problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(v config.Value, format string, args ...any) {
	r.problems = append(r.problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf(format, args...), Warning: true})
}

func (r *reader) read() {
	s, c := r.spec, r.c
	for _, name := range []string{"worker-reload-mercy", "reload-mercy"} {
		if v, ok := c.Last(name); ok && !v.Unknown {
			s.Mercy = c.Seconds(name)
		}
	}
	s.Boot, s.Stop = c.Seconds("boot-timeout"), c.Seconds("stop-timeout")
	dir := r.Dir
	if s.Kind != UWSGI && r.app == nil {
		dir = filepath.Dir(s.File)
	}
	chdir, hasChdir := c.Last("chdir")
	if hasChdir && !chdir.Unknown {
		if filepath.IsAbs(chdir.Value) {
			dir = chdir.Value
		} else {
			dir = filepath.Join(dir, chdir.Value)
		}
	}
	r.readSocketRules(dir, hasChdir && chdir.Unknown)
	r.readTouch(dir, hasChdir && chdir.Unknown)
	switch s.Kind {
	case UWSGI:
		r.readUWSGI()
	case Command:
		r.readCommand(dir)
	case Static:
		r.readStatic(dir)
	}
	r.readLimits()
	r.readMemory()
	r.readAnnouncements(dir, hasChdir && chdir.Unknown)
	r.readSleep(dir)
	r.readHelpers(dir)
	r.readHealth()
	if v, ok := c.Last("static"); ok && s.Kind != Static && !c.UsedPlaceholders["static"] {
		r.warn(v, "no effect: %s makes this vassal something else; a folder is a vassal of its own", s.KindReason)
	}
}

// socketOptions are the options that make a socket, with their protocol; "" is
// what the option protocol says.
var socketOptions = map[string]string{
	"socket": "", "uwsgi-socket": "uwsgi", "http-socket": "http", "http11-socket": "http",
	"fastcgi-socket": "fastcgi", "scgi-socket": "scgi",
	"fastcgi-nph-socket": "fastcgi", "scgi-nph-socket": "scgi",
	"raw-socket": "raw", "puwsgi-socket": "puwsgi",
	"https-socket": "https", "suwsgi-socket": "suwsgi", "ssl-socket": "suwsgi",
}

// readSockets collects the sockets. jailed, when not empty, says why none can be
// bound from outside.
func (r *reader) readSockets(protocol string, options []string, jailed string) {
	seen := map[string]bool{}
	for _, v := range r.c.All(options...) {
		s := Socket{Address: v.Value, Protocol: socketOptions[v.Key], Pos: v.Pos, Held: true}
		if s.Protocol == "" {
			s.Protocol = protocol
		}
		if v.Unknown {
			s.Held, s.Why = false, "its text is known to uWSGI only"
			s.At = Address{Text: v.Value, Foreign: s.Why}
			if r.spec.Kind == Command {
				r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
			}
			r.spec.Sockets = append(r.spec.Sockets, s)
			continue
		}
		if s.Protocol == "https" || s.Protocol == "suwsgi" {
			s.Address, _, _ = strings.Cut(s.Address, ",")
			s.Held, s.Why = false, "TLS ends in uWSGI"
		}
		a, err := ParseAddress(s.Address)
		if err != nil {
			if r.spec.Kind == UWSGI {
				r.warn(v, "%v", err) // uWSGI will say what it thinks of it
				s.Held, s.Why = false, err.Error()
			} else {
				r.wrong(v, "%v", err)
			}
		}
		s.At = a
		switch {
		case !s.Held:
		case a.Foreign != "":
			s.Held, s.Why = false, a.Foreign
		case jailed != "":
			s.Held, s.Why = false, jailed
		case a.Path != "" && !filepath.IsAbs(a.Path) && r.spec.SocketRules.Dir == "":
			s.Held, s.Why = false, "the directory it is relative to is known to uWSGI only"
		}
		if r.spec.Kind == Command && !s.Held {
			r.wrong(v, "a command's socket is a path, ip:port, :port, [v6]:port or @abstract: %s", s.Why)
		}
		if seen[s.Address] {
			r.warn(v, "%s is named twice", s.Address)
			continue
		}
		seen[s.Address] = true
		r.spec.Sockets = append(r.spec.Sockets, s)
	}
}

// readSocketRules reads how socket files are made.
func (r *reader) readSocketRules(dir string, dirUnknown bool) {
	rules := SocketRules{Dir: dir, Umask: -1, UID: -1, GID: -1, Backlog: defaultBacklog}
	if dirUnknown {
		rules.Dir = ""
	}
	if v, ok := r.c.Last("listen"); ok && !v.Unknown {
		if n := r.c.Int("listen"); n > 0 {
			rules.Backlog = int(n)
		}
	}
	if v, ok := r.c.Last("umask"); ok && !v.Unknown {
		mask, err := strconv.ParseUint(v.Value, 8, 12)
		if err != nil || mask > 0o777 {
			r.fault(v, "want an octal mask such as 022, got %q", v.Value)
		} else {
			rules.Umask = int(mask)
		}
	}
	if v, ok := r.c.Last("chmod-socket"); ok && !v.Unknown {
		if mode, ok := r.c.Mode("chmod-socket"); ok {
			rules.Mode, rules.HasMode = mode.Perm(), true
		}
	}
	if v, ok := r.c.Last("chown-socket"); ok && !v.Unknown {
		uid, gid, err := lookupOwner(v.Value)
		if err != nil {
			r.fault(v, "%v", err)
		} else {
			rules.UID, rules.GID = uid, gid
		}
	}
	r.spec.SocketRules = rules
}

// fault is an error for what we carry out ourselves and a warning for what a
// real uWSGI will judge.
func (r *reader) fault(v config.Value, format string, args ...any) {
	if r.spec.Kind == UWSGI {
		r.warn(v, format, args...)
	} else {
		r.wrong(v, format, args...)
	}
}

// splitSection cuts "file.ini:section". A colon within the directory is not one.
func splitSection(file string) (path, section string) {
	dir, base := filepath.Split(file)
	base, section, _ = strings.Cut(base, ":")
	return dir + base, section
}

// NeedsUWSGI tells whether the emperor's own uwsgi program runs the vassal.
func (s *Spec) NeedsUWSGI() bool { return s.Kind == UWSGI && s.UWSGI.Binary == "" }
