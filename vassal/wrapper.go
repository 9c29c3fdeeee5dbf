package vassal

import (
	"slices"

	"emperor/internal/proc"
)

// Wrappers are programs that the main file wants to be tried instead of uwsgi: the first
// of Override that can be started, else the vassal's own, else the first of Fallback.
type Wrappers struct {
	Override, Fallback []string
}

// Same tells whether both want the same.
func (w Wrappers) Same(other Wrappers) bool {
	return slices.Equal(w.Override, other.Override) && slices.Equal(w.Fallback, other.Fallback)
}

// Choose is the program that is started for a uWSGI vassal whose own would be own. It is
// asked at each start: a program may be installed meanwhile.
func (w Wrappers) Choose(own string, env []string) string {
	starts := func(program string) bool { return proc.Foresee(program, env) == nil }
	if i := slices.IndexFunc(w.Override, starts); i >= 0 {
		return w.Override[i]
	}
	if len(w.Fallback) == 0 || starts(own) {
		return own
	}
	if i := slices.IndexFunc(w.Fallback, starts); i >= 0 {
		return w.Fallback[i]
	}
	return own // the error is about this one
}
