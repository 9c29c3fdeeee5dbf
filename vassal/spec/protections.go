package spec

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"emperor/internal/cgroup"
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
	user, at := s.RunsAs(c)
	who := whoIs(user)
	if s.Kind == UWSGI && s.UWSGI.User == nil && at.Key != "" && user != nil {
		who = whoByUWSGI(user, c)
	}
	out := []string{who}
	l := &s.Limits
	switch {
	case l.NoNewPrivileges:
		out = append(out, "no-new-privs")
	case user.OrSelf().UID != 0:
		out = append(out, "no-new-privs: no")
	}
	switch {
	case l.Granted != 0:
		out = append(out, "capabilities: "+l.Granted.String())
	case l.Bounded:
		out = append(out, "capabilities at most: "+l.Bounding.String())
	}
	if l.Chroot != "" {
		out = append(out, "chroot "+l.Chroot)
	} else if s.Jailed(c) {
		out = append(out, Reason(c.All(jails...)[0])+", by uWSGI")
	}
	for _, limit := range l.Resources {
		out = append(out, describeLimit(limit))
	}
	return append(out, l.Group.protections(emperor)...)
}

// whoIs names a user with its groups.
func whoIs(a *Account) string {
	text := "user " + a.OrSelf().String()
	switch {
	case a == nil && os.Geteuid() == 0:
		return text + " (no uid)"
	case a == nil:
		return text
	}
	return text + ", group " + GroupName(a.GID) + a.further()
}

// further names the groups besides the first.
func (a *Account) further() string {
	var more []string
	for _, g := range a.groups {
		if g != a.GID {
			more = append(more, GroupName(g))
		}
	}
	if len(more) == 0 {
		return ""
	}
	return " (and " + strings.Join(more, ", ") + ")"
}

// whoByUWSGI is who a uWSGI makes of itself, which is not who a command of the same lines
// becomes: without gid it stays in our groups, and with add-gid it has no others.
func whoByUWSGI(a *Account, c *config.Config) string {
	us := *a
	_, hasUID := c.Last("uid")
	_, hasGID := c.Last("gid")
	further := c.All("add-gid")
	none := ""
	switch {
	case !hasGID:
		us.GID, us.groups, none = uint32(os.Getegid()), nil, " (no gid)"
		groups, _ := os.Getgroups()
		for _, g := range groups {
			us.groups = append(us.groups, uint32(g))
		}
	case len(further) > 0:
		us.groups = nil
		for _, v := range further {
			if g, err := LookupGroup(v.Value); err == nil {
				us.groups = append(us.groups, uint32(g))
			}
		}
	case c.Bool("no-initgroups"), !hasUID:
		us.groups = nil
	}
	return "user " + us.String() + ", group " + GroupName(us.GID) + none + us.further() + ", by uWSGI"
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

// protections of the control group, in words.
func (g *Group) protections(pid int) (out []string) {
	if !g.Asked {
		return nil
	}
	without, whole := cgroup.Outlook(pid, g.Settings())
	if whole != "" {
		if pid == 0 {
			whole += " (seen from where this check runs, since no emperor does)"
		}
		var names []string
		for _, v := range g.values {
			names = append(names, v.name)
		}
		if g.parent != "" {
			names = append(names, "cgroup")
		}
		return []string{fmt.Sprintf("%s: no, because there is no control group: %s", strings.Join(names, ", "), whole)}
	}
	for _, v := range g.values {
		if why := without[v.name]; why != "" {
			out = append(out, v.name+": no, because "+why)
		} else {
			out = append(out, v.name+" "+v.text)
		}
	}
	if len(out) == 0 {
		out = append(out, "cgroup "+g.parent)
	}
	return out
}
