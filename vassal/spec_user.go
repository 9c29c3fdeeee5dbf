package vassal

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
func (r *reader) account() *account {
	uid, ok := r.c.Last("uid")
	gid, hasGID := r.c.Last("gid")
	if r.pinned() {
		pinned := accountOf(r.User)
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
	user, err := lookupAccount(uid.Value, gid.Value)
	switch {
	case err != nil:
		if _, unknown := lookupAccount(uid.Value, ""); unknown == nil && hasGID {
			at = gid
		}
		r.fault(at, "%v", err)
		return nil
	case os.Geteuid() != 0:
		// As uWSGI: whoever is not root stays who he is.
		if int(user.uid) != os.Geteuid() && r.spec.Kind == Command {
			r.warn(at, "no effect: only root can change to another user")
		}
		return nil
	case user.uid == 0 && int(user.gid) == os.Getegid():
		return nil
	}
	r.addGroups(user)
	return user
}

// addGroups gives a command's user the groups of add-gid, and with no-initgroups no
// other but its own. A uWSGI does that by itself.
func (r *reader) addGroups(user *account) {
	if r.spec.Kind != Command {
		return
	}
	if r.c.Bool("no-initgroups") {
		user.groups = []uint32{user.gid}
	}
	for _, v := range r.c.All("add-gid") {
		n, err := lookupGroup(v.Value)
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
func (r *reader) whyPinned(pinned *account) string {
	if r.Tyrant != nil {
		return fmt.Sprintf("emperor-tyrant makes it run as the owner of its file: user %s, group %d", pinned, pinned.gid)
	}
	return fmt.Sprintf("the main file's uid and gid make every vassal run as user %s, group %d", pinned, pinned.gid)
}

// comparePinned warns of a uid and gid (empty: not there) that want something else.
func (r *reader) comparePinned(pinned *account, uid, gid config.Value) {
	for _, v := range []config.Value{uid, gid} {
		if v.Value == "" {
			continue
		}
		same := false
		if !v.Unknown && v.Key == "uid" {
			wanted, err := lookupAccount(v.Value, "")
			same = err == nil && wanted.uid == pinned.uid
		} else if !v.Unknown {
			wanted, err := lookupGroup(v.Value)
			same = err == nil && wanted == int(pinned.gid)
		}
		if !same {
			r.warn(v, "no effect: %s", r.whyPinned(pinned))
		}
	}
}
