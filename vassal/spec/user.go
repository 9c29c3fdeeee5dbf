package spec

import (
	"fmt"
	"os"
	"slices"

	"emperor/internal/config"
)

// userOptions say who a vassal runs as, beside uid and gid.
var userOptions = []config.Option{
	{Name: "add-gid", Type: config.String, Repeat: true, Where: config.Vassal, Help: "A further group of the user that uid names."},
	{Name: "no-initgroups", Type: config.Flag, Where: config.Vassal, Help: "The user that uid names keeps none of the groups that it is a member of; add-gid names those that it has."},
}

// pinned: not its own lines say who the vassal runs as, but the main file, or who
// owns its file (tyrant.go).
func (r *reader) pinned() bool { return r.User != nil && os.Geteuid() == 0 }

// account is who the vassal is made to run as, else who its uid and gid name; nil
// when that is us, or we may not change.
func (r *reader) account() *Account {
	uid, ok := r.c.Last("uid")
	gid, hasGID := r.c.Last("gid")
	if r.pinned() {
		pinned := AccountOf(r.User)
		r.comparePinned(pinned, uid, gid)
		for _, v := range r.c.All("add-gid") {
			r.warn(v, "no effect: %s", r.whyPinned(pinned))
		}
		return pinned
	}
	if !ok && !hasGID || uid.Unknown || gid.Unknown {
		return nil
	}
	at := uid
	if !ok {
		at = gid
	}
	user, err := LookupAccount(uid.Value, gid.Value)
	switch {
	case err != nil:
		if _, unknown := LookupAccount(uid.Value, ""); unknown == nil && hasGID {
			at = gid
		}
		r.fault(at, "%v", err)
		return nil
	case os.Geteuid() != 0:
		// As uWSGI: whoever is not root stays who he is.
		if int(user.UID) != os.Geteuid() && r.spec.Kind == Command {
			r.warn(at, "no effect: only root can change to another user")
		}
		return nil
	case user.UID == 0 && int(user.GID) == os.Getegid():
		return nil
	}
	r.addGroups(user)
	return user
}

// addGroups gives a command's user the groups of add-gid, and with no-initgroups no
// other but its own. A uWSGI does that by itself.
func (r *reader) addGroups(user *Account) {
	if r.spec.Kind != Command {
		return
	}
	if r.c.Bool("no-initgroups") {
		user.groups = []uint32{user.GID}
	}
	for _, v := range r.c.All("add-gid") {
		n, err := LookupGroup(v.Value)
		switch {
		case v.Unknown:
			r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
		case err != nil:
			r.wrong(v, "%v", err)
		case !slices.Contains(user.groups, uint32(n)):
			user.groups = append(user.groups, uint32(n))
		}
	}
}

// whyPinned says who has decided who the vassal runs as.
func (r *reader) whyPinned(pinned *Account) string {
	if r.Tyrant != nil {
		return fmt.Sprintf("emperor-tyrant makes it run as the owner of its file: user %s, group %d", pinned, pinned.GID)
	}
	return fmt.Sprintf("the main file's uid and gid make every vassal run as user %s, group %d", pinned, pinned.GID)
}

// comparePinned warns of a uid and gid (empty: not there) that want something else.
func (r *reader) comparePinned(pinned *Account, uid, gid config.Value) {
	for _, v := range []config.Value{uid, gid} {
		if v.Value == "" {
			continue
		}
		same := false
		if !v.Unknown && v.Key == "uid" {
			wanted, err := LookupAccount(v.Value, "")
			same = err == nil && wanted.UID == pinned.UID
		} else if !v.Unknown {
			wanted, err := LookupGroup(v.Value)
			same = err == nil && wanted == int(pinned.GID)
		}
		if !same {
			r.warn(v, "no effect: %s", r.whyPinned(pinned))
		}
	}
}

// RunsAs tells who the vassal runs as, nil for the emperor's own user, and the line that
// says so. c are the options of its file. The uid of a uWSGI's file is uWSGI's business
// when it starts, so the Spec has nobody there.
func (s *Spec) RunsAs(c *config.Config) (*Account, config.Value) {
	uid, hasUID := c.Last("uid")
	gid, hasGID := c.Last("gid")
	at := uid
	if !hasUID {
		at = gid
	}
	switch {
	case s.Command.User != nil:
		return s.Command.User, at
	case s.UWSGI.User != nil:
		return s.UWSGI.User, at
	case s.Kind != UWSGI || os.Geteuid() != 0 || !hasUID && !hasGID || uid.Unknown || gid.Unknown:
		return nil, config.Value{}
	}
	user, err := LookupAccount(uid.Value, gid.Value)
	if err != nil {
		return nil, config.Value{} // who foresees its start tells
	}
	return user, at
}

// StartsAs is who the process is that is started for a vassal. (A uWSGI becomes the
// user of its file by itself.)
func (s *Spec) StartsAs() *Account {
	switch s.Kind {
	case UWSGI:
		return s.UWSGI.User
	case Command:
		return s.Command.User
	}
	return s.Helpers.User
}
