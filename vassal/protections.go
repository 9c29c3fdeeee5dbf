package vassal

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// Protections say, each in some words, who the vassal runs as and what it may use and
// become, as it will really be. A folder, which has no process, has none. c are the
// options of its file, emperor is the process that starts it; 0: this one would.
func (s *Spec) Protections(c *config.Config, emperor int) []string {
	if s.Kind == Static {
		return nil
	}
	f := &foresight{Outlook: Outlook{Config: c}, spec: s}
	user, at := f.whose()
	out := []string{whoIs(user, s.Kind == UWSGI && s.uwsgi.user == nil && at.Key != "")}
	l := &s.limits
	switch {
	case l.noNewPrivileges:
		out = append(out, "no-new-privs")
	case user.orSelf().uid != 0:
		out = append(out, "no-new-privs: no")
	}
	switch {
	case l.granted != 0:
		out = append(out, "capabilities: "+l.granted.String())
	case l.bounded:
		out = append(out, "capabilities at most: "+l.bounding.String())
	}
	if l.chroot != "" {
		out = append(out, "chroot "+l.chroot)
	} else if f.jailed() {
		out = append(out, reason(c.All(jails...)[0])+", by uWSGI")
	}
	for _, limit := range l.limits {
		out = append(out, describeLimit(limit))
	}
	return append(out, l.group.protections(emperor)...)
}

// whoIs names a user with its groups.
func whoIs(a *account, byUWSGI bool) string {
	text := "user " + a.orSelf().String()
	switch {
	case a == nil && os.Geteuid() == 0:
		return text + " (no uid)"
	case a == nil:
		return text
	}
	text += ", group " + groupNamed(a.gid)
	var more []string
	for _, g := range a.groups {
		if g != a.gid {
			more = append(more, groupNamed(g))
		}
	}
	if len(more) > 0 {
		text += " (and " + strings.Join(more, ", ") + ")"
	}
	if byUWSGI {
		text += ", by uWSGI"
	}
	return text
}

func describeLimit(l proc.Limit) string {
	number := func(n uint64) string {
		if n == math.MaxUint64 {
			return "unlimited"
		}
		return strconv.FormatUint(n, 10)
	}
	if l.Soft == l.Hard {
		return fmt.Sprintf("%s %s", l.Name, number(l.Soft))
	}
	return fmt.Sprintf("%s %s:%s", l.Name, number(l.Soft), number(l.Hard))
}
