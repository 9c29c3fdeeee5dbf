package vassal

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"emperor/internal/proc"
	"emperor/internal/rights"
)

// account is who a command runs as.
type account struct {
	uid, gid   uint32
	groups     []uint32
	name, home string // empty when the number has no entry
}

// lookupAccount finds uid and gid, each a name or a number; an empty gid is the
// user's own group. Supplementary groups are the user's (initgroups), as uWSGI
// sets them.
func lookupAccount(uid, gid string) (*account, error) {
	a := &account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	var found *user.User
	if uid != "" {
		var err error
		if found, err = user.Lookup(uid); err != nil {
			found, err = user.LookupId(uid)
		}
		switch {
		case found != nil && err == nil:
			n, _ := strconv.ParseUint(found.Uid, 10, 32)
			a.uid = uint32(n)
			n, _ = strconv.ParseUint(found.Gid, 10, 32)
			a.gid = uint32(n)
			a.name, a.home = found.Username, found.HomeDir
		default:
			n, err := strconv.ParseUint(uid, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("there is no user %q", uid)
			}
			a.uid, a.gid = uint32(n), uint32(n)
		}
	}
	if gid != "" {
		n, err := lookupGroup(gid)
		if err != nil {
			return nil, err
		}
		a.gid = uint32(n)
	}
	a.groups = []uint32{a.gid}
	if found != nil {
		if ids, err := found.GroupIds(); err == nil {
			for _, id := range ids {
				if n, err := strconv.ParseUint(id, 10, 32); err == nil && uint32(n) != a.gid {
					a.groups = append(a.groups, uint32(n))
				}
			}
		}
	}
	return a, nil
}

// accountOf is the account with the numbers of a credential; nil of nil.
func accountOf(c *proc.Credential) *account {
	if c == nil {
		return nil
	}
	a := &account{uid: c.UID, gid: c.GID, groups: append([]uint32{}, c.Groups...)}
	if found, err := user.LookupId(strconv.FormatUint(uint64(c.UID), 10)); err == nil {
		a.name, a.home = found.Username, found.HomeDir
	}
	return a
}

func (a *account) credential() *proc.Credential {
	if a == nil {
		return nil
	}
	return &proc.Credential{UID: a.uid, GID: a.gid, Groups: a.groups}
}

// user is the account as package rights knows it; nil of nil.
func (a *account) user() *rights.User {
	if a == nil {
		return nil
	}
	return &rights.User{UID: a.uid, GID: a.gid, Groups: a.groups, Name: a.name}
}

func (a *account) String() string {
	if a.name != "" {
		return a.name
	}
	return strconv.FormatUint(uint64(a.uid), 10)
}

// lookupOwner reads "user", "user:group" or ":group"; -1 is "leave it".
func lookupOwner(text string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(text, ":")
	uid, gid = -1, -1
	if name != "" {
		a, err := lookupAccount(name, "")
		if err != nil {
			return -1, -1, err
		}
		uid = int(a.uid)
	}
	if group != "" {
		if gid, err = lookupGroup(group); err != nil {
			return -1, -1, err
		}
	}
	return uid, gid, nil
}

func lookupGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	n, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("there is no group %q", name)
	}
	return int(n), nil
}
