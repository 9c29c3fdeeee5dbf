package spec

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// limitOptions say what a vassal's processes may use of the machine, and what they
// may become. Those that uWSGI has are, in a file that uWSGI runs, uWSGI's business.
var limitOptions = append([]config.Option{
	{Name: "no-new-privs", Type: config.Bool, Argument: config.Optional, Where: config.Vassal, Help: "Nothing that it executes gives it more rights than it has (sudo, ping, a sendmail that is set-gid). Default: true for a command, false for a uWSGI app."},
	{Name: "cap", Type: config.String, Where: config.Vassal, Help: "A command has these capabilities and no other, also as uid: net_bind_service,setuid."},
	{Name: "chroot", Type: config.Path, Where: config.Vassal, Help: "A command sees this directory as /; chdir counts in it, socket does not."},
	{Name: "limit-as", Type: config.Int, Min: 1, Where: config.Vassal, Help: "MiB of address space that each process may have."},
	{Name: "limit-nproc", Type: config.Int, Min: 1, Where: config.Vassal, Help: "How many processes and threads its user may have."},
	{Name: "max-fd", Type: config.Int, Min: 1, Where: config.Vassal, Help: "How many files each process may have open."},
}, resourceOptions()...)

// resource is one of setrlimit(2)'s.
type resource struct {
	name   string // of the option, after "rlimit-"
	number int
	bytes  bool // it is counted in bytes, and may be written as 64K, 512M or 2G
	help   string
}

var resources = []resource{
	{"as", unix.RLIMIT_AS, true, "address space of each process"},
	{"core", unix.RLIMIT_CORE, true, "size of a core dump"},
	{"cpu", unix.RLIMIT_CPU, false, "seconds of processor time of each process"},
	{"data", unix.RLIMIT_DATA, true, "data of each process"},
	{"fsize", unix.RLIMIT_FSIZE, true, "size of a file that it writes"},
	{"memlock", unix.RLIMIT_MEMLOCK, true, "memory that it may lock"},
	{"nofile", unix.RLIMIT_NOFILE, false, "open files of each process"},
	{"nproc", unix.RLIMIT_NPROC, false, "processes and threads of its user"},
	{"stack", unix.RLIMIT_STACK, true, "stack of each process"},
}

func resourceOptions() (out []config.Option) {
	for _, r := range resources {
		form := "N or SOFT:HARD"
		if r.bytes {
			form = "N, N with K, M or G, or SOFT:HARD"
		}
		out = append(out, config.Option{Name: "rlimit-" + r.name, Type: config.String, Where: config.Vassal,
			Help: "Limit of " + r.help + " (" + form + ", or unlimited), for a command or a uWSGI app."})
	}
	return out
}

// Limits is what a vassal's processes are started with less than the emperor has.
type Limits struct {
	_ struct{} `carry:"small"`

	NoNewPrivileges bool
	Resources       []proc.Limit `carry:"limits"`
	// Bounded: bounding are all the capabilities that it can ever have. granted are those
	// that it has although it is not root.
	Bounded           bool
	Bounding, Granted proc.Capabilities
	Chroot            string
	chrootPos         config.Pos
	Group             Group
}

// LimitsFiles: a line says how many files it may have open.
func (s *Spec) LimitsFiles() bool {
	for _, l := range s.Limits.Resources {
		if l.Resource == unix.RLIMIT_NOFILE {
			return true
		}
	}
	return false
}

// readLimits completes the spec with what the vassal may use and become.
func (r *reader) readLimits() {
	s := r.spec
	l := &s.Limits
	if s.Kind == Static {
		for _, o := range slices.Concat(limitOptions, groupOptions) {
			if v, ok := r.c.Last(o.Name); ok {
				r.warn(v, "no effect: a folder has no process of its own")
			}
		}
		return
	}
	if r.Bounded {
		// As uWSGI's: that one stays.
		l.Bounded, l.Bounding = true, r.Bounding|proc.SetPCap
	}
	l.NoNewPrivileges = s.Kind == Command
	if v, ok := r.c.Last("no-new-privs"); ok && !v.Unknown {
		l.NoNewPrivileges = r.c.Bool("no-new-privs")
	}
	for _, resource := range resources {
		r.readResource(resource)
	}
	r.readGroup()
	if s.Kind == Command {
		r.readCapabilities()
		r.readChroot()
	}
}

// readResource reads the line that counts for one limit: the option of uWSGI's, where
// there is one and we carry it out, or ours.
func (r *reader) readResource(res resource) {
	names := []string{"rlimit-" + res.name}
	scale := uint64(1)
	switch theirs := map[string]string{"as": "limit-as", "nproc": "limit-nproc", "nofile": "max-fd"}[res.name]; {
	case theirs == "" || r.spec.Kind != Command:
	case theirs == "limit-as":
		names = append(names, theirs)
		scale = 1 << 20
	default:
		names = append(names, theirs)
	}
	lines := r.c.All(names...)
	if len(lines) == 0 {
		return
	}
	v := lines[len(lines)-1]
	if v.Unknown {
		r.fault(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
		return
	}
	if v.Key == names[0] {
		scale = 1
	}
	soft, hard, two := strings.Cut(v.Value, ":")
	if !two {
		hard = soft
	}
	limit := proc.Limit{Name: v.Key, Resource: res.number, LowerOnly: r.isTenants(v)}
	var errs [2]error
	limit.Soft, errs[0] = amount(soft, res.bytes)
	limit.Hard, errs[1] = amount(hard, res.bytes)
	for _, err := range errs {
		if err != nil {
			r.wrong(v, "%v", err)
			return
		}
	}
	if limit.Soft > limit.Hard {
		r.wrong(v, "want SOFT:HARD with a soft limit that is not above the hard one, got %q", v.Value)
		return
	}
	for _, n := range []*uint64{&limit.Soft, &limit.Hard} {
		if *n < unix.RLIM_INFINITY/scale {
			*n *= scale
		}
	}
	r.spec.Limits.Resources = append(r.spec.Limits.Resources, limit)
}

// amount reads a number; of bytes it may have a unit.
func amount(text string, bytes bool) (uint64, error) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "unlimited", "infinity", "max":
		return math.MaxUint64, nil // RLIM_INFINITY
	}
	digits, scale := text, uint64(1)
	if bytes && text != "" {
		if at := strings.IndexByte("KMGT", text[len(text)-1]&^0x20); at >= 0 {
			digits, scale = text[:len(text)-1], 1<<(10*(at+1))
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case err == nil && n <= math.MaxInt64/scale:
		return n * scale, nil
	case bytes:
		return 0, fmt.Errorf("want a number of bytes such as 64K, 512M or 2G, or unlimited, got %q", text)
	}
	return 0, fmt.Errorf("want a number, or unlimited, got %q", text)
}

// isTenants tells whether a line is of somebody who has no more rights than the user
// the vassal was given, and may not give it any.
func (r *reader) isTenants(v config.Value) bool { return r.pinned() && v.Author != 0 }

// readCapabilities reads which capabilities a command has.
func (r *reader) readCapabilities() {
	v, ok := r.c.Last("cap")
	if !ok || v.Unknown {
		return
	}
	l := &r.spec.Limits
	set, err := proc.ParseCapabilities(v.Value)
	switch {
	case err != nil:
		r.wrong(v, "%v", err)
		return
	case os.Geteuid() != 0:
		r.warn(v, "no effect: only root has capabilities to give")
		return
	case r.isTenants(v):
		r.warn(v, "no effect: it runs as user %s from its start, who has no capabilities", AccountOf(r.User))
		return
	}
	if l.Bounded {
		if missing := set &^ l.Bounding; missing != 0 {
			r.warn(v, "emperor-cap leaves no vassal the capabilities %s", missing)
		}
		set &= l.Bounding
	}
	l.Bounded, l.Bounding = true, set
	if user := r.spec.Command.User; user != nil && user.UID != 0 {
		l.Granted = set
	}
}

// readChroot reads what a command sees as the root of all files.
func (r *reader) readChroot() {
	v, ok := r.c.Last("chroot")
	if !ok {
		return
	}
	switch {
	case v.Unknown:
		r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
	case !filepath.IsAbs(v.Value):
		r.wrong(v, "want the whole path of a directory, got %q", v.Value)
	case os.Geteuid() != 0:
		r.wrong(v, "only root can change the root directory, and the emperor runs as uid %d", os.Geteuid())
	case r.isTenants(v):
		r.wrong(v, "only root can change the root directory, and it runs as user %s from its start", AccountOf(r.User))
	default:
		l, c := &r.spec.Limits, &r.spec.Command
		l.Chroot, l.chrootPos = filepath.Clean(v.Value), v.Pos
		if chdir, ok := r.c.Last("chdir"); !ok {
			c.Dir = "/"
		} else if !filepath.IsAbs(chdir.Value) {
			r.wrong(chdir, "with chroot want the whole path of a directory in it, got %q", chdir.Value)
		}
	}
}
