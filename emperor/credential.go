package emperor

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"emperor/internal/proc"
)

// lookupCredential finds a user and a group, each a name or a number. Without a
// group it is the user's own; without either it is ours. Supplementary groups
// are the user's.
func lookupCredential(uid, gid string) (*proc.Credential, error) {
	c := &proc.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if uid != "" {
		found, err := user.Lookup(uid)
		if err != nil {
			found, err = user.LookupId(uid)
		}
		if err == nil {
			c.UID, c.GID = number(found.Uid), number(found.Gid)
			if ids, err := found.GroupIds(); err == nil {
				for _, id := range ids {
					c.Groups = append(c.Groups, number(id))
				}
			}
		} else {
			n, err := strconv.ParseUint(uid, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("there is no user %q", uid)
			}
			c.UID, c.GID = uint32(n), uint32(n)
		}
	}
	if gid != "" {
		if group, err := user.LookupGroup(gid); err == nil {
			c.GID = number(group.Gid)
		} else {
			n, err := strconv.ParseUint(gid, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("there is no group %q", gid)
			}
			c.GID = uint32(n)
		}
	}
	if uid != "" && !slices.Contains(c.Groups, c.GID) {
		c.Groups = append(c.Groups, c.GID)
	}
	return c, nil
}

func number(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32) // from the system's own tables
	return uint32(n)
}

func sameCredential(a, b *proc.Credential) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID && a.GID == b.GID && slices.Equal(a.Groups, b.Groups)
}
