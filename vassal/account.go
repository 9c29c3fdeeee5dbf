package vassal

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
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

// accountOf is the account with the numbers of a credential.
func accountOf(c *proc.Credential) *account {
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

// assume gives the calling thread, and no other, the effective user and groups of
// the account, and with them only its rights. The system calls are made directly:
// package syscall's change all threads.
func (a *account) assume() error {
	groups := append([]uint32{}, a.groups...)
	var first *uint32
	if len(groups) > 0 {
		first = &groups[0]
	}
	keep := ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(first)), 0); errno != 0 {
		return fmt.Errorf("taking the groups of %s: %w", a, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, keep, uintptr(a.gid), keep); errno != 0 {
		return fmt.Errorf("taking the group of %s: %w", a, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(a.uid), keep); errno != 0 {
		return fmt.Errorf("taking the rights of %s: %w", a, errno)
	}
	return nil
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
