// Package environment is the variables that a vassal and the programs beside it start
// with: those of the emperor that are theirs to see, and what env, unenv and envdir make of
// them. It is pure: text in, text out.
package environment

import (
	"os"
	"slices"
	"strings"
)

// private are variables between the emperor and whoever runs it, or between one
// uWSGI and its own emperor. A vassal that saw them would take the front's port
// (gunicorn reads PORT), report to our service manager, or believe that sockets
// are its own.
var private = []string{
	"PORT", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID",
	"MAINPID", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "EMPEROR_MARK",
	"UWSGI_RELOADS", "UWSGI_EMPEROR_FD", "UWSGI_EMPEROR_FD_CONFIG", "UWSGI_EMPEROR_PROXY", "UWSGI_BROODLORD_NUM",
	"UWSGI_ORIGINAL_PROC_NAME", "UWSGI_VASSALS_DIR",
}

// privatePrefixes: with UWSGI_EMPEROR=dir in the environment each uWSGI vassal
// would become an emperor of the same directory, without end; the front's own
// options would make each vassal bind the front's port.
var privatePrefixes = []string{"UWSGI_EMPEROR", "UWSGI_HTTP", "UWSGI_VASSALS_", "UWSGI_VASSAL_SET"}

// Inherited is what a program beside the vassals, or a vassal, gets of the emperor's
// environment (nil: this process's): all but what is between the emperor and whoever
// runs it. UWSGI_VASSAL_X becomes UWSGI_X for uWSGI vassals, as its manual promises
// (core/emperor.c gets it wrong).
func Inherited(base []string, uwsgi bool) []string {
	if base == nil {
		base = os.Environ()
	}
	out := make([]string, 0, len(base))
	for _, variable := range base {
		name, value, _ := strings.Cut(variable, "=")
		if slices.Contains(private, name) || slices.ContainsFunc(privatePrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		if rest, ok := strings.CutPrefix(name, "UWSGI_VASSAL_"); ok && uwsgi {
			variable = "UWSGI_" + rest + "=" + value
		}
		out = append(out, variable)
	}
	return out
}

// Apply carries out env, unenv and envdir.
func Apply(env []string, changes []Change) []string {
	for _, c := range changes {
		env = Without(env, c.Name)
		if !c.Unset {
			env = append(env, c.Name+"="+c.Value)
		}
	}
	return env
}

// Without is the environment without a variable.
func Without(env []string, name string) []string {
	return slices.DeleteFunc(env, func(variable string) bool { return strings.HasPrefix(variable, name+"=") })
}

// Change is one env, unenv or line of an envdir, in order.
type Change struct {
	_ struct{} `carry:"small"`

	Name, Value string
	Unset       bool
}
