package spec

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/vassal/commandline"
	"emperor/vassal/cron"
	"emperor/vassal/environment"
)

// defaultHookTimeout is how long a hook may take where no line says it.
const defaultHookTimeout = time.Minute

// defaultCronTime is the same for a cron job: long enough for any nightly one, and an
// end for those that hang.
const defaultCronTime = 24 * time.Hour

// Program is a line that names a program to be run beside the vassal's own.
type Program struct {
	Option string // "exec-pre-start"
	Line   string // the command line
	Pos    config.Pos
}

// String names it in messages: "exec-pre-start (shop.ini:4)".
func (p Program) String() string { return p.Option + " (" + ShortPos(p.Pos) + ")" }

// Daemon is a program that runs as long as its vassal does.
type Daemon struct {
	Program
	// Keep: a deploy does not restart it (the smart daemons of uWSGI).
	Keep bool
	// Detaches: it puts itself into the background and writes PIDFile.
	Detaches bool
	// PIDFile has the number of its process; empty: there is none.
	PIDFile string
	// Control: its end is the vassal's, which then starts anew.
	Control bool
	// Every is how often the pid file and the files of Touch are looked at.
	Every time.Duration
	// Touch are files whose change restarts it.
	Touch []string
	// Stop asks it to end. Reload, where there is one, is sent in place of a restart.
	Stop, Reload syscall.Signal
	// MaxThrottle bounds the pause before it is started again; 0: as the vassal's.
	MaxThrottle time.Duration

	Dir  string   `carry:"dir"`
	User *Account `carry:"user"`
}

// Cron is a program that runs at certain times.
type Cron struct {
	Program
	Schedule cron.Schedule
	// Unique: it is not started while it runs.
	Unique bool
	// Limit is how long it may take; 0: for ever.
	Limit time.Duration
}

// Helpers are the programs that run beside a vassal's own.
type Helpers struct {
	// PreStart run before each generation, PostStop when nothing of the vassal runs any more.
	PreStart, PostStop []Program
	Daemons            []Daemon
	Crons              []Cron
	// HookTimeout is how long one of PreStart or PostStop may take; 0: the default.
	HookTimeout time.Duration

	Dir         string               `carry:"dir"`
	Umask       int                  `carry:"umask"`
	User        *Account             `carry:"user"`
	Environment []environment.Change `carry:"environment"`
	// ToldFile is the vassal's file as uWSGI's hooks are told it, ToldDir the directory
	// that uWSGI calls that of the vassals.
	ToldFile string `carry:"toldFile"`
	ToldDir  string `carry:"toldDir"`
}

// HookTimeout is of vassals' files and, for its own hooks, of the main file.
var HookTimeout = config.Option{
	Name: "hook-timeout", Type: config.Seconds, Min: 1, Default: "60", Where: config.Both, Help: "Seconds that a hook may take before it is killed; in a vassal: exec-pre-start and exec-post-stop.",
}

// helperOptions are what a vassal's file says of them. A uWSGI has daemons and cron
// jobs of its own; the hooks are ours for every kind.
var helperOptions = []config.Option{
	{Name: "exec-pre-start", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Run this before each generation, as the vassal's user (migrations, assets); if it fails the old generation stays at work."},
	{Name: "exec-post-stop", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Run this when nothing of the vassal runs any more: it was stopped, removed, put to sleep or has failed. Not at a deploy."},
	HookTimeout,
	{Name: "attach-daemon", Type: config.String, Repeat: true, Where: config.Vassal, Help: "A program that runs as long as the vassal does, in the foreground: started again when it dies, and anew when a deploy has taken over."},
	{Name: "attach-control-daemon", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As attach-daemon; when it dies the whole vassal is restarted."},
	{Name: "attach-daemon2", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As attach-daemon, with cmd=, freq=, pidfile=, control=, daemonize=, touch=, stopsignal=, reloadsignal=, uid=, gid=, chdir=, max_throttle= separated by commas."},
	{Name: "smart-attach-daemon", Type: config.String, Repeat: true, Where: config.Vassal, Help: "PIDFILE[,SECONDS] COMMAND: a program that goes into the background by itself. Deploys do not restart it; looked at every so many seconds (10)."},
	{Name: "smart-attach-daemon2", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As smart-attach-daemon, for a program that stays in the foreground; its pid file is written for it."},
	{Name: "cron", Type: config.String, Repeat: true, Where: config.Vassal, Help: "MINUTE HOUR DAY MONTH WEEKDAY COMMAND: run it at these times (-1 is any, -N every N), also while the vassal sleeps."},
	{Name: "unique-cron", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As cron, but not while the last run of it still runs."},
	{Name: "cron2", Type: config.String, Repeat: true, Where: config.Vassal, Help: "As cron: minute=5,hour=-1,day=-1,month=-1,week=-1,unique=1,harakiri=60 COMMAND; what is not said is any."},
	{Name: "cron-harakiri", Type: config.Seconds, Where: config.Vassal, Help: "Seconds that a cron job may take before it is killed; default a day."},
}

// readHelpers reads them. dir is the vassal's working directory.
func (r *reader) readHelpers(dir string) {
	s, c := r.spec, r.c
	h := &s.Helpers
	h.ToldFile, h.ToldDir = cmp.Or(r.Argument, r.Name), r.Dir
	if s.Kind != UWSGI && r.app == nil {
		h.ToldDir = filepath.Dir(s.File)
	}
	own := s.Kind == Command || s.Kind == Static // what a uWSGI has of these it does itself
	used := []string{"exec-pre-start", "exec-post-stop"}
	if own {
		for _, o := range helperOptions {
			used = append(used, o.Name)
		}
	}
	if len(c.All(used...)) == 0 {
		return
	}
	h.Dir, h.Umask = dir, s.SocketRules.Umask
	if chdir, ok := c.Last("chdir"); ok && chdir.Unknown {
		r.wrong(chdir, "hooks need a directory that is known: the value depends on something that only uWSGI evaluates")
	}
	h.User = r.helpersUser()
	h.Environment = s.Command.Environment
	if s.Kind != Command {
		h.Environment = r.knownEnvironment()
	}
	h.HookTimeout = c.Seconds("hook-timeout")
	for _, v := range c.All("exec-pre-start") {
		h.PreStart = r.addProgram(h.PreStart, v)
	}
	for _, v := range c.All("exec-post-stop") {
		h.PostStop = r.addProgram(h.PostStop, v)
	}
	if !own {
		return
	}
	for _, v := range c.All("attach-daemon", "attach-control-daemon", "attach-daemon2", "smart-attach-daemon", "smart-attach-daemon2") {
		if d, err := r.readDaemon(v); err != nil {
			r.wrong(v, "%v", err)
		} else {
			h.Daemons = append(h.Daemons, d)
		}
	}
	for _, v := range c.All("cron", "unique-cron", "cron2") {
		if job, err := r.readCron(v); err != nil {
			r.wrong(v, "%v", err)
		} else {
			h.Crons = append(h.Crons, job)
		}
	}
}

// helpersUser is who they run as. The uid of a uWSGI's file is uWSGI's business when
// the vassal is started, but not here.
func (r *reader) helpersUser() *Account {
	uid, hasUID := r.c.Last("uid")
	gid, hasGID := r.c.Last("gid")
	switch {
	case r.spec.Kind == Command:
		return r.spec.Command.User
	case r.pinned():
		return AccountOf(r.User)
	case os.Geteuid() != 0 || !hasUID && !hasGID:
		return nil
	case uid.Unknown || gid.Unknown:
		at := uid
		if gid.Unknown {
			at = gid
		}
		r.wrong(at, "hooks need a user that is known: the value depends on something that only uWSGI evaluates")
		return nil
	}
	user, err := LookupAccount(uid.Value, gid.Value)
	if err != nil {
		at := uid
		if !hasUID {
			at = gid
		}
		r.wrong(at, "%v", err) // never as root instead
		return nil
	}
	return user
}

// knownEnvironment is environment for a vassal whose lines somebody else judges.
func (r *reader) knownEnvironment() []environment.Change {
	var out []environment.Change
	for _, v := range r.c.All("env", "unenv", "envdir") {
		switch name, value, _ := strings.Cut(v.Value, "="); {
		case v.Unknown:
			r.warn(v, "hooks do not see it: the value depends on something that only uWSGI evaluates")
		case v.Key == "env":
			out = append(out, environment.Change{Name: name, Value: value})
		case v.Key == "unenv":
			out = append(out, environment.Change{Name: v.Value, Unset: true})
		default:
			out = append(out, r.envdir(v)...)
		}
	}
	return out
}

var errNeverEvaluated = errors.New("the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")

// program checks a line that is a command line, or ends with one.
func (r *reader) program(v config.Value, line string) (Program, error) {
	if v.Unknown {
		return Program{}, errNeverEvaluated
	}
	if _, err := commandline.Vector(line); err != nil {
		return Program{}, err
	}
	return Program{Option: v.Key, Line: line, Pos: v.Pos}, nil
}

func (r *reader) addProgram(to []Program, v config.Value) []Program {
	p, err := r.program(v, v.Value)
	if err != nil {
		r.wrong(v, "%v", err)
		return to
	}
	return append(to, p)
}

// readDaemon reads one line of the attach-daemon family.
func (r *reader) readDaemon(v config.Value) (Daemon, error) {
	h := &r.spec.Helpers
	d := Daemon{Every: 10 * time.Second, Stop: syscall.SIGTERM, Dir: h.Dir, User: h.User, Control: v.Key == "attach-control-daemon"}
	line := v.Value
	switch v.Key {
	case "smart-attach-daemon", "smart-attach-daemon2":
		file, command, ok := strings.Cut(line, " ")
		file, seconds, hasSeconds := strings.Cut(file, ",")
		if !ok || file == "" {
			return d, fmt.Errorf("want PIDFILE[,SECONDS] COMMAND, got %q", line)
		}
		if hasSeconds {
			if err := setSeconds(&d.Every, "the time between two looks at the pid file", seconds); err != nil {
				return d, err
			}
		}
		d.PIDFile, line, d.Keep, d.Detaches = file, command, true, v.Key == "smart-attach-daemon"
	case "attach-daemon2":
		var err error
		if line, err = r.readDaemonKeys(&d, v); err != nil {
			return d, err
		}
	}
	if d.PIDFile != "" {
		d.PIDFile = PathIn(d.Dir, d.PIDFile)
	}
	for i := range d.Touch {
		d.Touch[i] = PathIn(d.Dir, d.Touch[i])
	}
	var err error
	d.Program, err = r.program(v, line)
	return d, err
}

// readDaemonKeys reads the keys of attach-daemon2.
func (r *reader) readDaemonKeys(d *Daemon, v config.Value) (line string, err error) {
	keys, err := keyValues(v.Value)
	if err != nil {
		return "", err
	}
	var uid, gid string
	daemonize := false
	for _, k := range keys {
		err := error(nil)
		switch k.name {
		case "cmd", "command", "exec":
			line = k.value
		case "freq":
			err = setSeconds(&d.Every, k.name, k.value)
		case "pidfile":
			d.PIDFile = k.value
		case "control":
			d.Control = isSet(k.value)
		case "daemonize", "daemon":
			daemonize = isSet(k.value)
		case "touch":
			d.Touch = strings.Split(k.value, ";")
		case "stopsignal", "stop_signal":
			err = setSignal(&d.Stop, k)
		case "reloadsignal", "reload_signal":
			err = setSignal(&d.Reload, k)
		case "chdir":
			d.Dir = PathIn(d.Dir, k.value)
		case "max_throttle":
			err = setSeconds(&d.MaxThrottle, k.name, k.value)
		case "uid":
			uid = k.value
		case "gid":
			gid = k.value
		case "stdin", "notifypid":
			r.warn(v, "%s has no effect: a daemon has no standard input, and needs to tell nobody its number", k.name)
		case "ns_pid":
			err = errors.New("ns_pid is not supported: a daemon gets no namespace of its own")
		default:
			err = fmt.Errorf("there is no key %q: want cmd, freq, pidfile, control, daemonize, touch, stopsignal, reloadsignal, uid, gid, chdir or max_throttle", k.name)
		}
		if err != nil {
			return "", err
		}
	}
	// With a pid file it is a smart one: who makes the file is who daemonizes.
	d.Keep = d.PIDFile != ""
	d.Detaches = d.Keep && !daemonize
	if line == "" {
		return "", errors.New("want cmd=COMMAND among the keys")
	}
	if uid == "" && gid == "" {
		return line, nil
	}
	return line, r.setDaemonUser(d, uid, gid)
}

// setDaemonUser makes a daemon somebody else than its vassal, where whoever wrote the
// file could have said so of the vassal.
func (r *reader) setDaemonUser(d *Daemon, uid, gid string) error {
	wanted, err := LookupAccount(uid, gid)
	switch {
	case err != nil:
		return err
	case r.pinned() && wanted.UID != d.User.UID:
		return fmt.Errorf("the main file's uid makes every vassal run as user %s, and its daemons with it", d.User)
	case os.Geteuid() == 0:
		d.User = wanted
	}
	return nil
}

// readCron reads one line of the cron family.
func (r *reader) readCron(v config.Value) (Cron, error) {
	job := Cron{Limit: defaultCronTime, Unique: v.Key == "unique-cron", Schedule: cron.Always()}
	if r.c.Has("cron-harakiri") {
		job.Limit = r.c.Seconds("cron-harakiri")
	}
	line := v.Value
	var err error
	if v.Key != "cron2" {
		if job.Schedule, line, err = cron.Parse(line); err != nil {
			return job, err
		}
	} else if first, rest, _ := strings.Cut(line, " "); strings.Contains(first, "=") {
		line = strings.TrimLeft(rest, " ")
		keys, err := keyValues(first)
		if err != nil {
			return job, err
		}
		for _, k := range keys {
			switch k.name {
			case "unique":
				job.Unique = isSet(k.value)
			case "harakiri":
				err = setSeconds(&job.Limit, k.name, k.value)
			case "legion":
				err = errors.New("legion is not supported: say on which machine the job is to run by putting the line there")
			default:
				err = job.Schedule.Set(k.name, k.value)
			}
			if err != nil {
				return job, err
			}
		}
		if err := job.Schedule.Check(); err != nil {
			return job, err
		}
	}
	job.Program, err = r.program(v, line)
	return job, err
}

// pair is one NAME=VALUE of a list.
type pair struct{ name, value string }

// keyValues splits a list as uWSGI does: commas part it, unless they are within double
// quotes or behind a backslash.
func keyValues(text string) ([]pair, error) {
	var out []pair
	var word strings.Builder
	quoted := false
	add := func() error {
		defer word.Reset()
		name, value, ok := strings.Cut(word.String(), "=")
		if !ok {
			return fmt.Errorf("want NAME=VALUE, got %q", word.String())
		}
		out = append(out, pair{name, value})
		return nil
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == ',' || text[i+1] == '"'):
			i++
			word.WriteByte(text[i])
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			if err := add(); err != nil {
				return nil, err
			}
		default:
			word.WriteByte(c)
		}
	}
	if quoted {
		return nil, errors.New(`a quote " is not closed`)
	}
	return out, add()
}

func isSet(value string) bool { return value != "" && value != "0" && value != "false" }

func setSeconds(to *time.Duration, name, value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n == 0 && name != "harakiri" {
		return fmt.Errorf("%s: want a number of seconds, got %q", name, value)
	}
	*to = time.Duration(n) * time.Second
	return nil
}

func setSignal(to *syscall.Signal, k pair) error {
	if n, err := strconv.Atoi(k.value); err == nil && n > 0 && n < 65 {
		*to = syscall.Signal(n)
		return nil
	}
	name := strings.ToUpper(k.value)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if *to = unix.SignalNum(name); *to == 0 {
		return fmt.Errorf("%s: want the name or number of a signal such as TERM or 15, got %q", k.name, k.value)
	}
	return nil
}

// HookLimit is how long a hook may take.
func (h *Helpers) HookLimit() time.Duration { return cmp.Or(h.HookTimeout, defaultHookTimeout) }

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

// DaemonKeys are what its daemons are known by, in the order of their lines.
func (s *Spec) DaemonKeys() []string { return helperKeys(s, s.Daemons) }

// CronKeys are the same of its cron jobs.
func (s *Spec) CronKeys() []string { return helperKeys(s, s.Crons) }

func helperKeys[T any](s *Spec, lines []T) (keys []string) {
	for _, line := range lines {
		key := helperKey(line, s)
		for slices.Contains(keys, key) {
			key += "+" // the same line twice is two of them
		}
		keys = append(keys, key)
	}
	return keys
}

// helperKey stands for everything that decides how a daemon or a job runs.
func helperKey(line any, s *Spec) string {
	sum := sha256.New()
	fingerprint(sum, reflect.ValueOf(line))
	for _, part := range []any{s.Helpers.Environment, s.Helpers.User, s.Limits, s.Logs} {
		fingerprint(sum, reflect.ValueOf(part))
	}
	fmt.Fprint(sum, s.Helpers.Umask, s.Helpers.Dir)
	return string(sum.Sum(nil))
}

// PathIn is a path that may be relative to a directory, whole.
func PathIn(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
