package subscription

import (
	"errors"
	"fmt"
)

// Credentials are who sent a datagram on a unix socket, as the kernel tells it.
type Credentials struct {
	Known bool   `json:"known,omitempty"`
	PID   int32  `json:"pid,omitempty"`
	UID   uint32 `json:"uid,omitempty"`
	GID   uint32 `json:"gid,omitempty"`
}

// Owner is a user and a group.
type Owner struct{ UID, GID uint32 }

// Owners are who may announce nodes: for each key those who own a file of that name.
type Owners map[string][]Owner

// check tells why somebody may not speak for the key.
func (o Owners) check(key string, from Credentials) error {
	owners := o[key]
	switch {
	case !from.Known:
		return errors.New("who sends it is not known: want it sent to a unix path")
	case len(owners) == 0:
		return fmt.Errorf("there is no file %q that would say who may", key)
	}
	for _, owner := range owners {
		if owner.UID == from.UID && owner.GID == from.GID {
			return nil
		}
	}
	return fmt.Errorf("user %d, group %d do not own the file %q", from.UID, from.GID, key)
}
