package rights

import (
	"fmt"
	"os/user"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// User is somebody with rights.
type User struct {
	UID, GID uint32
	// Groups are all groups, GID among them.
	Groups []uint32
	Name   string // empty when the number has no entry
	// unknown: it stands for somebody of whom only is known that it is not root.
	unknown bool
}

// overflow is the user and group that own nothing (kernel.overflowuid).
const overflow = 65534

// String is the name, or the number.
func (u *User) String() string {
	if u.Name != "" {
		return u.Name
	}
	return strconv.FormatUint(uint64(u.UID), 10)
}

// ownerOf is the user with that number, with all groups.
func ownerOf(uid uint32) *User {
	// A number without an entry is nobody's member: the group of the same number
	// may be anything.
	u := &User{UID: uid, GID: overflow}
	found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return u
	}
	u.Name = found.Username
	if gid, err := strconv.ParseUint(found.Gid, 10, 32); err == nil {
		u.GID = uint32(gid)
	}
	u.Groups = []uint32{u.GID}
	ids, err := found.GroupIds()
	if err != nil {
		return u
	}
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil && uint32(gid) != u.GID {
			u.Groups = append(u.Groups, uint32(gid))
		}
	}
	return u
}

// userName and groupName are what people call a number.
func userName(uid uint32) string { return (&User{UID: uid, Name: ownerOf(uid).Name}).String() }

func groupName(gid uint32) string {
	text := strconv.FormatUint(uint64(gid), 10)
	if found, err := user.LookupGroupId(text); err == nil {
		return found.Name
	}
	return text
}

// Assume gives the calling thread, and no other, the effective user and groups,
// and with them only their rights; its real and saved user stay ours, so the user
// may neither signal nor trace it. Call it within Apart. The system calls are made
// directly: package syscall's change all threads.
func (u *User) Assume() error {
	var first *uint32
	if len(u.Groups) > 0 {
		first = &u.Groups[0]
	}
	keep := ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(unsafe.Pointer(first)), 0); errno != 0 {
		return fmt.Errorf("taking the groups of %s: %w", u, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, keep, uintptr(u.GID), keep); errno != 0 {
		return fmt.Errorf("taking the group of %s: %w", u, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(u.UID), keep); errno != 0 {
		return fmt.Errorf("taking the rights of %s: %w", u, errno)
	}
	return nil
}
