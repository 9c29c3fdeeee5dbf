package emperor

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"emperor/emperor/control"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/listening"
	"emperor/internal/proc"
	"emperor/vassal/foresee"
)

// Problems adds to the problems of a survey what would fail although all files are
// in order: in one vassal, between two of them, and of the front. running is the
// status of an emperor that runs these files already: what that one holds is in
// nobody's way. err, when there is none, is the Client's.
func (m *Main) Foresee(s *Survey, running *control.Status, err error) {
	now := runningNow(running)
	now.Hidden = err != nil && !errors.Is(err, control.ErrNotRunning)
	outlook := foresee.Outlook{Environment: m.Defaults.Environment, UWSGI: m.Defaults.UWSGI, SocketGroup: m.Defaults.SocketGroup, Running: now}
	if len(m.Front.Listeners) > 0 {
		outlook.Router = m.RouterUser
	}
	for i := range s.Vassals {
		one := &s.Vassals[i]
		if one.Spec == nil {
			continue
		}
		outlook.Config = one.Config
		said := one.Problems
		one.Problems = foresee.Problems(one.Spec, outlook)
		one.place()
		one.Problems = append(supersede(said, one.Problems), one.Problems...)
	}
	s.foreseeConflicts(m)
	s.Problems = append(s.Problems, m.foreseeUWSGI(s.Vassals)...)
	s.Problems = append(s.Problems, m.foreseeFront(now)...)
	s.Problems = append(s.Problems, m.foreseeOwn(now)...)
	s.Problems = append(s.Problems, m.foreseeNothing(s)...)
	s.Problems = append(s.Problems, m.foreseeHooks()...)
}

// runningNow is what a running emperor has.
func runningNow(status *control.Status) foresee.Running {
	r := foresee.Running{Addresses: map[string]bool{}}
	if status == nil {
		return r
	}
	r.PID = status.PID
	for _, v := range status.Vassals {
		for _, socket := range v.Sockets {
			_, address, _ := strings.Cut(socket, ":") // "http:/run/shop.sock"
			r.Addresses[address] = true
		}
	}
	return r
}

// supersede takes out of what was said what is told again, with more knowledge:
// about the same line.
func supersede(said, better config.Problems) config.Problems {
	return slices.DeleteFunc(slices.Clone(said), func(p config.Problem) bool {
		return p.Warning && p.Pos.Line > 0 && slices.ContainsFunc(better, func(b config.Problem) bool { return b.Pos == p.Pos })
	})
}

// foreseeUWSGI looks, once for all vassals that need it, for the uwsgi program.
func (m *Main) foreseeUWSGI(vassals []Surveyed) config.Problems {
	var need []string
	for _, one := range vassals {
		if one.Spec != nil && one.Spec.NeedsUWSGI() {
			need = append(need, one.Name)
		}
	}
	if len(need) == 0 {
		return nil
	}
	err := proc.Foresee(m.Defaults.Wrappers.Choose(m.Defaults.UWSGI, m.Defaults.Environment), m.Defaults.Environment)
	if err == nil {
		return nil
	}
	p := config.Problem{Pos: config.Pos{File: m.Name()}}
	for _, name := range []string{"binary-path", "emperor-wrapper"} {
		if v, ok := m.Config.Last(name); ok {
			p.Pos, p.Key = v.Pos, v.Key
		}
	}
	p.Text = fmt.Sprintf("%v; needed by %s: install uWSGI (Debian, Ubuntu: apt install uwsgi-core and the plugin of the language, such as uwsgi-plugin-python3; elsewhere: pip install uwsgi) or say binary-path",
		err, enumerate(need))
	return config.Problems{p}
}

// enumerate is a list of vassals for a message, cut when it is long.
func enumerate(names []string) string {
	const most = 5
	if len(names) == 1 {
		return "vassal " + names[0]
	}
	if len(names) > most {
		return fmt.Sprintf("%d vassals (%s …)", len(names), strings.Join(names[:most], ", "))
	}
	return fmt.Sprintf("%d vassals (%s)", len(names), strings.Join(names, ", "))
}

// foreseeFront says which of the front's sockets could not be opened.
func (m *Main) foreseeFront(now foresee.Running) config.Problems {
	var out config.Problems
	listeners := m.Front.Listeners
	for i, l := range listeners {
		note := func(sure bool, format string, args ...any) {
			out = append(out, config.Problem{Pos: config.Pos{File: l.File, Line: l.Line}, Key: l.Option, Warning: !sure, Text: fmt.Sprintf(format, args...)})
		}
		e, err := parseListener(l)
		if err != nil {
			continue // Read has told
		}
		earlier := slices.IndexFunc(listeners[:i], func(other link.Listener) bool {
			o, err := parseListener(other)
			return err == nil && o.excludes(e)
		})
		if earlier >= 0 {
			o := listeners[earlier]
			note(true, "%s cannot be opened beside %s = %s (%s)", l.Address, o.Option, o.Address, config.Pos{File: o.File, Line: o.Line})
			continue
		}
		foreseeSocket(e, now, note)
		// One that runs has them, and needs that uWSGI no more.
		if e.network == "zerg" && now.PID == 0 {
			if err := tryZerg(e.text); err != nil {
				note(true, "%v", err)
			}
		}
	}
	return out
}

func foreseeFrontPort(at netip.AddrPort, e endpoint, now foresee.Running, note func(sure bool, format string, args ...any)) {
	try, find := listening.TryTCP, listening.AtTCP
	if e.network == "udp" {
		try, find = listening.TryUDP, listening.AtUDP
	}
	err := try(at)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		who, ok := find(at)
		// A service manager hands over what it listens on.
		if !ok || who.PID == 1 || who.Program == "systemd" {
			return
		}
		if text, sure := now.Accuses(who, "on "+e.text); text != "" {
			note(sure, "%s", text)
		}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		note(true, "%s is no address of this machine (:%s listens on all of them)", e.host, e.port)
	case errors.Is(err, syscall.EACCES):
		note(true, "%v", explainListen(err, e))
	}
}

func foreseeFrontPath(e endpoint, now foresee.Running, note func(sure bool, format string, args ...any)) {
	path, find := e.text, listening.AtUnix
	if e.network == "unixgram" {
		find = listening.AtUnixgram
	}
	info, err := os.Lstat(path)
	switch {
	case strings.HasPrefix(path, "@"):
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		foreseeFolder(path, note)
		return
	case err != nil:
		note(true, "%v", err)
		return
	case info.Mode().Type() != fs.ModeSocket:
		note(true, "there is a file of that name which is not a socket; it will not be touched: remove it, or choose another path")
		return
	}
	if who, err := find(path); err == nil && who.PID != 1 {
		if text, sure := now.Accuses(who, "at "+path); text != "" {
			note(sure, "%s", text)
		}
	}
}

// addrPort is a numeric endpoint; all addresses are [::], which takes IPv4, too.
func (e endpoint) addrPort() (netip.AddrPort, bool) {
	port, err := strconv.ParseUint(e.port, 10, 16)
	if e.network != "tcp" && e.network != "udp" || err != nil {
		return netip.AddrPort{}, false
	}
	host := e.host
	switch host {
	case "":
		host = "::"
	case "localhost":
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	return netip.AddrPortFrom(ip, uint16(port)), err == nil
}

// excludes tells whether the front cannot listen at both. [::] is made to leave
// IPv4 to a line of its own (see bind).
func (e endpoint) excludes(other endpoint) bool {
	if e.network != other.network || e.text == other.text {
		return e.network == other.network && e.network != "fd"
	}
	a, ok := e.addrPort()
	b, alsoOK := other.addrPort()
	if !ok || !alsoOK || e.host == "::" && other.isIPv4() || other.host == "::" && e.isIPv4() {
		return false
	}
	return listening.Overlap(a, b)
}

// foreseeNothing: a directory that is there and has no vassal in it is probably
// another than was meant.
func (m *Main) foreseeNothing(s *Survey) config.Problems {
	if len(s.Vassals) > 0 || len(s.Problems.Errors()) > 0 || len(m.Monitor.Patterns) == 0 || len(m.MissingMonitors()) > 0 {
		return nil
	}
	p := m.Monitor.Patterns[0]
	pos, _ := p.Pos.(config.Pos)
	return config.Problems{{Pos: pos, Key: "emperor", Warning: true, Text: p.Value + ": no vassal file yet (its name ends in .ini, .yml, .yaml, .json or .xml)"}}
}
