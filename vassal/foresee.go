package vassal

import (
	"fmt"
	"os"
	"slices"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// Outlook is what Foresee needs to know beside a vassal's Spec.
type Outlook struct {
	// Config are the options of its file (Result.Config).
	Config *config.Config
	// Defaults are the emperor's settings, as in Deps.
	Defaults Defaults
	// Router is who connects to the vassal's sockets; nil: the emperor's own user,
	// or nobody.
	Router *proc.Credential
	// Running is the emperor that runs now; its zero value: none does.
	Running Running
}

// Foresee says what would keep a vassal from starting, or from being reached,
// although its file is in order: a program that is not there, a directory that its
// user may not enter, a socket that cannot be made. Errors are what fails as things
// are now, warnings what might. It looks with the rights of the user the vassal runs
// as; it starts nothing and changes nothing.
func (s *Spec) Foresee(w Outlook) config.Problems {
	f := &foresight{Outlook: w, spec: s}
	f.user, f.userAt = f.whose()
	f.foreseeText()
	switch s.Kind {
	case Command:
		f.foreseeCommand()
		f.foreseeOwnLogs()
		if s.static.files.Path != "" {
			f.foreseeFolder("document-root", "") // PHP reads its scripts itself
		}
	case UWSGI:
		f.foreseeUWSGI()
	case Static:
		f.foreseeFolder("static", "index.html")
		f.foreseeHelpers()
		return f.problems // its sockets are names
	}
	f.foreseeHelpers()
	f.foreseeSockets()
	f.foreseeRouter()
	return f.problems
}

// NeedsUWSGI tells whether the emperor's own uwsgi program runs the vassal.
func (s *Spec) NeedsUWSGI() bool { return s.Kind == UWSGI && s.uwsgi.binary == "" }

// foresight is one Foresee under way.
type foresight struct {
	Outlook
	spec     *Spec
	user     *account     // who the vassal runs as; nil: the emperor's own user
	userAt   config.Value // the line that says so; zero: none does
	lost     bool         // the working directory is not there
	problems config.Problems
}

// whose tells who the vassal runs as. The uid of a uWSGI's file is uWSGI's business
// when it starts, so the Spec has nobody there.
func (f *foresight) whose() (*account, config.Value) {
	uid, hasUID := f.Config.Last("uid")
	gid, hasGID := f.Config.Last("gid")
	at := uid
	if !hasUID {
		at = gid
	}
	switch {
	case f.spec.command.user != nil:
		return f.spec.command.user, at
	case f.spec.uwsgi.user != nil:
		return f.spec.uwsgi.user, at
	case f.spec.Kind != UWSGI || os.Geteuid() != 0 || !hasUID && !hasGID || uid.Unknown || gid.Unknown:
		return nil, config.Value{}
	}
	user, err := lookupAccount(uid.Value, gid.Value)
	if err != nil {
		return nil, config.Value{} // foreseeUWSGI tells
	}
	return user, at
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
	return socketRules{umask: -1, as: f.user, dir: dir}.onBehalf(func() error { do(); return nil })
}

// who names the vassal's user in a message.
func (f *foresight) who() string { return nameOf(f.user) }

func nameOf(a *account) string { return "user " + a.orSelf().String() }

// orSelf is the emperor's own account for nil.
func (a *account) orSelf() *account {
	if a == nil {
		return accountOf(&proc.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})
	}
	return a
}

// jailed: uWSGI changes its root directory before it looks for anything.
func (f *foresight) jailed() bool {
	return f.spec.Kind == UWSGI && slices.ContainsFunc(jails, f.Config.Has)
}
