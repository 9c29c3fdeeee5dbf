// Package foresee says what would keep a vassal from starting, or from being reached,
// although its file is in order: a program that is not there, a directory that its user may
// not enter, a socket that another program has. emperor check tells it beside the mistakes
// of the file, and the emperor starts last what is doomed.
//
// It looks at the machine with the rights of the user the vassal runs as; it starts nothing
// and changes nothing. It knows Specs and no running vassal, and nothing in package vassal
// knows it: what is foreseen wrongly can only be said wrongly.
//
// How it is cut: uwsgi.go (with plugins.go and python.go), command.go and static.go are what
// each kind of vassal needs; socket.go and running.go who has its addresses already;
// router.go whether the front can reach it; path.go how files are looked at.
package foresee

import (
	"fmt"

	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/vassal/spec"
)

// Outlook is what Problems needs to know beside a vassal's Spec.
type Outlook struct {
	// Config are the options of its file (Result.Config).
	Config *config.Config
	// Environment is what vassals inherit, UWSGI the program for those that do not say
	// binary-path, SocketGroup the router's group: the emperor's settings.
	Environment []string
	UWSGI       string
	SocketGroup int
	// Router is who connects to the vassal's sockets; nil: the emperor's own user,
	// or nobody.
	Router *proc.Credential
	// Running is the emperor that runs now; its zero value: none does.
	Running Running
}

// Problems says what would keep a vassal from starting, or from being reached. Errors are
// what fails as things are now, warnings what might.
func Problems(s *spec.Spec, w Outlook) config.Problems {
	f := &foresight{Outlook: w, spec: s}
	f.user, f.userAt = s.RunsAs(f.Config)
	f.text()
	switch s.Kind {
	case spec.Command:
		f.command()
		f.ownLogs()
		if s.Static.Files.Path != "" {
			f.folder("document-root", "") // PHP reads its scripts itself
		}
	case spec.UWSGI:
		f.uwsgi()
	case spec.Static:
		f.folder("static", "index.html")
		f.helpers()
		return f.problems // its sockets are names
	}
	f.helpers()
	f.sockets()
	f.router()
	return f.problems
}

// Doomed tells whether what the vassal needs to start is probably missing: the part of
// Problems that takes no time, and a look at what its app imports.
func Doomed(s *spec.Spec, w Outlook) bool {
	f := &foresight{Outlook: w, spec: s}
	f.user, f.userAt = s.RunsAs(f.Config)
	switch s.Kind {
	case spec.Command:
		f.command()
	case spec.UWSGI:
		f.uwsgi()
	}
	return f.problems.Err() != nil || f.appDir != "" && f.missesImport(f.appDir)
}

// foresight is one Problems under way.
type foresight struct {
	Outlook
	spec     *spec.Spec
	user     *spec.Account // who the vassal runs as; nil: the emperor's own user
	userAt   config.Value  // the line that says so; zero: none does
	lost     bool          // the working directory is not there
	appDir   string        // where a uWSGI's app's files count from; empty: not known
	problems config.Problems
}

func (f *foresight) certain(v config.Value, format string, args ...any) {
	f.problems = append(f.problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf(format, args...)})
}

func (f *foresight) doubtful(v config.Value, format string, args ...any) {
	f.problems = append(f.problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf(format, args...), Warning: true})
}

// known gives the line that counts for an option, if there is one whose text is
// known to us and not to uWSGI only.
func (f *foresight) known(name string) (config.Value, bool) {
	v, ok := f.Config.Last(name)
	return v, ok && !v.Unknown && v.Value != ""
}

// at is where something is told that no line of its own says: the line of the
// vassal's user when it depends on that, else the one that makes it what it is.
func (f *foresight) at(options ...string) config.Value {
	if f.user != nil && f.userAt.Key != "" {
		return f.userAt
	}
	for _, v := range f.Config.All(options...) {
		return v
	}
	return config.Value{Pos: config.Pos{File: f.spec.File}}
}

// asUser does something with the rights of the vassal's user, from a directory if
// one is given. The error is that the directory cannot be entered.
func (f *foresight) asUser(dir string, do func()) error {
	return spec.SocketRules{Umask: -1, As: f.user, Dir: dir}.OnBehalf(func() error { do(); return nil })
}

// who names the vassal's user in a message.
func (f *foresight) who() string { return nameOf(f.user) }

func nameOf(a *spec.Account) string { return "user " + a.OrSelf().String() }

// jailed: uWSGI changes its root directory before it looks for anything.
func (f *foresight) jailed() bool {
	return f.spec.Jailed(f.Config)
}
