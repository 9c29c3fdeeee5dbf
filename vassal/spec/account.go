package spec

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"

	"emperor/internal/proc"
	"emperor/internal/rights"
)

// Account is who a command runs as.
type Account struct {
	_ struct{} `carry:"small"`

	UID, GID   uint32
	groups     []uint32
	Name, Home string // empty when the number has no entry
}

// LookupAccount finds uid and gid, each a name or a number; an empty gid is the
// user's own group. Supplementary groups are those of which the user is a member, as
// initgroups(3) sets them: with another gid the user's own group is none of them.
func LookupAccount(uid, gid string) (*Account, error) {
	a := &Account{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	var found *user.User
	if uid != "" {
		var err error
		if found, err = user.Lookup(uid); err != nil {
			found, err = user.LookupId(uid)
		}
		switch {
		case found != nil && err == nil:
			n, _ := strconv.ParseUint(found.Uid, 10, 32)
			a.UID = uint32(n)
			n, _ = strconv.ParseUint(found.Gid, 10, 32)
			a.GID = uint32(n)
			a.Name, a.Home = found.Username, found.HomeDir
		default:
			n, err := strconv.ParseUint(uid, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("there is no user %q", uid)
			}
			a.UID, a.GID = uint32(n), uint32(n)
		}
	}
	if gid != "" {
		n, err := LookupGroup(gid)
		if err != nil {
			return nil, err
		}
		a.GID = uint32(n)
	}
	a.groups = []uint32{a.GID}
	if found != nil {
		found.Gid = strconv.FormatUint(uint64(a.GID), 10)
		if ids, err := found.GroupIds(); err == nil {
			for _, id := range ids {
				if n, err := strconv.ParseUint(id, 10, 32); err == nil && uint32(n) != a.GID {
					a.groups = append(a.groups, uint32(n))
				}
			}
		}
	}
	return a, nil
}

// AccountOf is the account with the numbers of a credential; nil of nil.
func AccountOf(c *proc.Credential) *Account {
	if c == nil {
		return nil
	}
	a := &Account{UID: c.UID, GID: c.GID, groups: append([]uint32{}, c.Groups...)}
	if found, err := user.LookupId(strconv.FormatUint(uint64(c.UID), 10)); err == nil {
		a.Name, a.Home = found.Username, found.HomeDir
	}
	return a
}

// Credential is what a process of the account is started with; nil of nil.
func (a *Account) Credential() *proc.Credential {
	if a == nil {
		return nil
	}
	return &proc.Credential{UID: a.UID, GID: a.GID, Groups: a.groups}
}

// user is the account as package rights knows it; nil of nil.
func (a *Account) user() *rights.User {
	if a == nil {
		return nil
	}
	return &rights.User{UID: a.UID, GID: a.GID, Groups: a.groups, Name: a.Name}
}

func (a *Account) String() string {
	if a.Name != "" {
		return a.Name
	}
	return strconv.FormatUint(uint64(a.UID), 10)
}

// lookupOwner reads "user", "user:group" or ":group"; -1 is "leave it".
func lookupOwner(text string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(text, ":")
	uid, gid = -1, -1
	if name != "" {
		a, err := LookupAccount(name, "")
		if err != nil {
			return -1, -1, err
		}
		uid = int(a.UID)
	}
	if group != "" {
		if gid, err = LookupGroup(group); err != nil {
			return -1, -1, err
		}
	}
	return uid, gid, nil
}

// LookupGroup finds a group, by name or number.
func LookupGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	n, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("there is no group %q", name)
	}
	return int(n), nil
}

// OrSelf is the emperor's own account for nil.
func (a *Account) OrSelf() *Account {
	if a == nil {
		return AccountOf(&proc.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())})
	}
	return a
}

// Is tells whether two accounts are one user; nil is ourselves.
func (a *Account) Is(other *Account) bool { return a.OrSelf().UID == other.OrSelf().UID }

// MayWrite is the kernel's rule for a file that is not there yet.
func (a *Account) MayWrite(owner, group uint32, mode fs.FileMode) bool {
	if a.UID == owner {
		return mode&0o200 != 0
	}
	for _, g := range append([]uint32{a.GID}, a.groups...) {
		if g == group {
			return mode&0o020 != 0
		}
	}
	return mode&0o002 != 0
}
