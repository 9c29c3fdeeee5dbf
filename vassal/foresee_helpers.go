package vassal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// foreseeHelpers looks for the programs of hooks, daemons and cron jobs, as foreseeCommand
// does for the vassal's own. What is missing does not keep the vassal from starting,
// unless it is to be run before.
func (f *foresight) foreseeHelpers() {
	h := &f.spec.Helpers
	if f.spec.limits.chroot != "" || f.lost {
		return
	}
	look := func(p Program, dir string, user *account, tell func(config.Value, string, ...any)) {
		program, _, sure := programOf(p.Line)
		if program == "" {
			return
		}
		env := apply(inherited(f.Defaults.Environment, false), h.environment)
		var err error
		enter := socketRules{umask: -1, as: user, dir: dir}.onBehalf(func() error { err = proc.Foresee(program, env); return nil })
		if err = errors.Join(enter, err); err == nil {
			return
		}
		if !sure {
			tell = f.doubtful
		}
		tell(config.Value{Key: p.Option, Pos: p.Pos}, "%v%s", err, remedy(err, program))
	}
	for _, p := range h.PreStart {
		look(p, h.dir, h.user, f.certain)
	}
	for _, p := range h.PostStop {
		look(p, h.dir, h.user, f.doubtful)
	}
	for _, d := range h.Daemons {
		look(d.Program, d.dir, d.user, f.doubtful)
	}
	for _, c := range h.Crons {
		look(c.Program, h.dir, h.user, f.doubtful)
	}
}

// Beside says in words what runs beside the vassal; empty: nothing does.
func (h *Helpers) Beside(now time.Time) []string {
	var out []string
	count := func(n int, what string) {
		if n == 1 {
			out = append(out, what)
		} else if n > 1 {
			out = append(out, fmt.Sprintf("%d × %s", n, what))
		}
	}
	count(len(h.PreStart), "exec-pre-start")
	count(len(h.PostStop), "exec-post-stop")
	for _, d := range h.Daemons {
		out = append(out, "daemon "+d.String()+": "+firstWords(d.Line))
	}
	for _, c := range h.Crons {
		out = append(out, fmt.Sprintf("%s: %s, next %s", c.Program, firstWords(c.Line), c.Schedule.Next(now).Format("2006-01-02 15:04")))
	}
	return out
}

// firstWords is the beginning of a command line, for a list.
func firstWords(line string) string {
	words := strings.Fields(line)
	if len(words) > 3 {
		words = append(slices.Clone(words[:3]), "…")
	}
	return strings.Join(words, " ")
}
