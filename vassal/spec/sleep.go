package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"emperor/internal/config"
)

// Sleep says when a vassal needs no process.
type Sleep struct {
	// OnDemand: it does not start before somebody wants something of it.
	// OnDemandReason names the line that says so.
	OnDemand       bool
	OnDemandReason string
	// Idle is how long nobody must have wanted anything until its processes are
	// ended; 0: they stay. A uWSGI counts by itself (die-on-idle).
	Idle       time.Duration
	IdleReason string
	// Busy is a file that keeps it awake while it is there; empty: none does.
	Busy string
}

// Sleeps tells whether there are times without a process.
func (s Sleep) Sleeps() bool { return s.OnDemand || s.Idle > 0 }

// OnDemandReading is what the main file's emperor-on-demand-* lines say of a vassal.
// Of several that name a socket the first counts, as in uWSGI.
type OnDemandReading struct {
	// Extension: a file called as the vassal's, with this added, holds an address.
	Extension string
	// Directory: the socket is in there, called as the vassal.
	Directory string
	// Output is what the emperor-on-demand-exec program has said; Exec is its line.
	// Unasked: it was not run, and what it would say is not known.
	Output  string
	Exec    config.Value
	Unasked bool
}

// sleepOptions are what a vassal's file says of it.
var sleepOptions = []config.Option{
	{Name: "on-demand", Type: config.Bool, Default: "false", Where: config.Vassal, Help: "Start when the first request or connection comes, and not before; requests wait meanwhile. With idle it goes to sleep again."},
	{Name: "idle", Type: config.Seconds, Where: config.Vassal, Help: "After so many seconds in which nobody wanted anything, end the processes until somebody does (uWSGI: with die-on-idle; without it its workers only)."},
	{Name: "die-on-idle", Type: config.Flag, Where: config.Vassal, Help: "With idle: end the whole vassal, also its master. It sleeps, and the next request or connection wakes it. A command needs only idle."},
	{Name: "cheap", Type: config.Flag, Where: config.Vassal, Help: "uWSGI: start without workers until somebody connects. A command has nothing but workers: as on-demand."},
	{Name: "emperor-busy", Type: config.Path, Where: config.Vassal, Help: "While this file is there the vassal is busy and is not put to sleep; relative to chdir. (A command can also send X_BUSY=1 and X_BUSY=0 to $NOTIFY_SOCKET.)"},
}

// readSleep reads when the vassal sleeps. The socket that emperor-on-demand-* names
// was added before.
func (r *reader) readSleep(dir string) {
	s, c := r.spec, r.c
	if v, ok := c.Last("on-demand"); ok && !v.Unknown && c.Bool("on-demand") {
		s.OnDemand, s.OnDemandReason = true, Reason(v)
	}
	if v, ok := c.Last("on-demand"); ok && !c.Bool("on-demand") && s.OnDemand {
		r.warn(v, "no effect: %s makes it start on demand", s.OnDemandReason)
	}
	cheap, isCheap := c.Last("cheap")
	if isCheap && c.Bool("cheap") && s.Kind == Command && !s.OnDemand {
		s.OnDemand, s.OnDemandReason = true, Reason(cheap)
	}
	idle, hasIdle := c.Last("idle")
	if hasIdle && !idle.Unknown && (s.Kind == Command || c.Bool("die-on-idle")) {
		s.Idle, s.IdleReason = c.Seconds("idle"), Reason(idle)
	}
	if why := r.unwakeable(); why != "" && s.Idle > 0 && !s.OnDemand {
		s.Idle, s.IdleReason = 0, ""
		r.warn(idle, "no effect: it listens by itself (%s), where nobody could wake it", why)
	}
	if v, ok := c.Last("die-on-idle"); ok && c.Bool("die-on-idle") && !hasIdle {
		r.warn(v, "no effect: idle says after how many seconds")
	}
	if v, ok := c.Last("emperor-busy"); ok && !v.Unknown && v.Value != "" {
		if s.Busy = v.Value; !filepath.IsAbs(s.Busy) {
			s.Busy = filepath.Join(dir, s.Busy)
		}
	}
	if s.Kind == Static {
		for _, v := range c.All("on-demand", "idle", "cheap") {
			r.warn(v, "no effect: a folder has no process that could sleep")
		}
		s.Sleep = Sleep{}
		return
	}
	if s.Sleeps() && len(s.Watchable()) == 0 {
		v, line := idle, s.IdleReason
		if s.OnDemand {
			v, _ = c.Last("on-demand")
			line = s.OnDemandReason
		}
		keys := ""
		if s.AnnouncesItself() {
			keys = ", or that are for what it announces there"
		}
		r.warn(v, "while it sleeps nothing listens for it, because %s: only requests that the front sends to vassal:%s, or to its socket%s, wake it (%s)", r.whyUnheld(), s.Name, keys, line)
	}
}

// unwakeable names a line by which a uWSGI listens for clients on a socket that is not
// held for it; empty: there is none.
func (r *reader) unwakeable() string {
	if r.spec.Kind != UWSGI {
		return ""
	}
	for _, v := range r.c.All("http", "http-router", "https", "https2", "fastrouter", "rawrouter", "sslrouter", "shared-socket", "undeferred-shared-socket", "zerg") {
		return Reason(v)
	}
	for _, s := range r.spec.Sockets {
		if !s.Held {
			return "socket " + s.Address + " (" + ShortPos(s.Pos) + ")"
		}
	}
	return ""
}

// whyUnheld says why no socket is held for it.
func (r *reader) whyUnheld() string {
	switch {
	case r.spec.Port:
		return "its port is chosen when it starts"
	case r.spec.Command.SelfBound:
		return "its command names its socket itself"
	}
	for _, s := range r.spec.Sockets {
		if !s.Held {
			return "its socket " + s.Address + " is bound by uWSGI (" + s.Why + ")"
		}
	}
	return "it has no socket"
}

// Watchable are the sockets held for it while it sleeps.
func (s *Spec) Watchable() []Socket {
	if s.Command.SelfBound {
		return nil // it would find its own address taken
	}
	return s.Held()
}

// trigger is a socket that emperor-on-demand-* names for the vassal.
type trigger struct {
	address string
	at      config.Value // the line that names it
}

// onDemandAddress finds what the emperor-on-demand-* lines name for this vassal, if
// anything.
func (r *reader) onDemandAddress() (address string, at config.Value) {
	if r.trigger == nil {
		r.trigger = &trigger{}
		r.trigger.address, r.trigger.at = r.findOnDemand()
	}
	return r.trigger.address, r.trigger.at
}

func (r *reader) findOnDemand() (address string, at config.Value) {
	o := &r.OnDemand
	if o.Extension != "" {
		file := r.spec.File + o.Extension
		// It decides whether the vassal starts: also where it is not there yet.
		r.spec.Files = append(r.spec.Files, file)
		at = config.Value{Key: "emperor-on-demand-extension", Pos: config.Pos{File: file, Line: 1}}
		text, err := r.firstLine(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			r.wrong(at, "%v", err)
			return "", at
		case text != "":
			return text, at
		}
	}
	if o.Directory != "" {
		base := filepath.Base(r.spec.File)
		at = config.Value{Key: "emperor-on-demand-directory", Pos: config.Pos{File: r.spec.File}}
		return filepath.Join(o.Directory, strings.TrimSuffix(base, filepath.Ext(base))+".socket"), at
	}
	return o.Output, o.Exec
}

// firstLine reads a file up to the first control character, as uWSGI does.
func (r *reader) firstLine(file string) (string, error) {
	f, _, err := r.opener.Open(file, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", file)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", err
	}
	return FirstLine(string(text)), nil
}

// FirstLine is what uWSGI takes of a text that names a socket.
func FirstLine(text string) string {
	if end := strings.IndexFunc(text, func(c rune) bool { return c < 32 }); end >= 0 {
		text = text[:end]
	}
	return text
}

// addOnDemand gives the vassal the socket that emperor-on-demand-* names. It makes the
// vassal start on demand. A uWSGI gets it as an option after its file, and so takes it
// over from us as any other; what is spoken there is its protocol, as in uWSGI, where
// it is descriptor 0.
func (r *reader) addOnDemand(protocol string) {
	text, at := r.onDemandAddress()
	if text == "" || r.spec.Kind == Static {
		return
	}
	s := r.spec
	if strings.HasPrefix(text, "@") {
		r.wrong(at, "want a path, ip:port or :port for the socket, got %q", text)
		return
	}
	a, err := ParseAddress(text)
	if err == nil && a.Path != "" && !filepath.IsAbs(a.Path) {
		// Where uWSGI's emperor is when it binds; the vassal's chdir comes later.
		a, err = ParseAddress(filepath.Join(r.Dir, text))
	}
	if err == nil && a.Foreign != "" {
		err = errors.New(a.Foreign)
	}
	if err != nil {
		r.wrong(at, "want a path, ip:port or :port for the socket, got %q: %v", text, err)
		return
	}
	s.OnDemand, s.OnDemandReason = true, Reason(at)
	if at.Pos.Line == 0 {
		s.OnDemandReason = at.Key
	}
	for i := range s.Sockets {
		if s.Sockets[i].Address == text || s.key(s.Sockets[i]) == a.Text {
			return // the file names it, too
		}
	}
	s.Sockets = slices.Insert(s.Sockets, 0, Socket{Address: a.Text, Protocol: protocol, Held: true, OnDemand: true, Pos: at.Pos, At: a,
		ByRoot: r.Tyrant != nil && at.Key != "emperor-on-demand-extension"})
	if s.Kind == UWSGI {
		s.UWSGI.Arguments = append(s.UWSGI.Arguments, "--set", "socket="+a.Text)
	}
}

func (s *Spec) key(socket Socket) string { return socket.Key(s) }

// BusyFile says that the vassal's busy file is there.
func (s *Spec) BusyFile() string {
	if s.Busy == "" {
		return ""
	}
	if _, err := os.Stat(s.Busy); err != nil {
		return ""
	}
	return s.Busy + " is there"
}
