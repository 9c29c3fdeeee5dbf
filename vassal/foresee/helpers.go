package foresee

import (
	"errors"

	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/vassal/commandline"
	"emperor/vassal/environment"
	"emperor/vassal/spec"
)

// helpers looks for the programs of hooks, daemons and cron jobs, as command
// does for the vassal's own. What is missing does not keep the vassal from starting,
// unless it is to be run before.
func (f *foresight) helpers() {
	h := &f.spec.Helpers
	if f.spec.Limits.Chroot != "" || f.lost {
		return
	}
	look := func(p spec.Program, dir string, user *spec.Account, tell func(config.Value, string, ...any)) {
		program, _, sure := commandline.Program(p.Line)
		if program == "" {
			return
		}
		env := environment.Apply(environment.Inherited(f.Environment, false), h.Environment)
		var err error
		enter := spec.SocketRules{Umask: -1, As: user, Dir: dir}.OnBehalf(func() error { err = proc.Foresee(program, env); return nil })
		if err = errors.Join(enter, err); err == nil {
			return
		}
		if !sure {
			tell = f.doubtful
		}
		tell(config.Value{Key: p.Option, Pos: p.Pos}, "%v%s", err, remedy(err, program))
	}
	for _, p := range h.PreStart {
		look(p, h.Dir, h.User, f.certain)
	}
	for _, p := range h.PostStop {
		look(p, h.Dir, h.User, f.doubtful)
	}
	for _, d := range h.Daemons {
		look(d.Program, d.Dir, d.User, f.doubtful)
	}
	for _, c := range h.Crons {
		look(c.Program, h.Dir, h.User, f.doubtful)
	}
}
