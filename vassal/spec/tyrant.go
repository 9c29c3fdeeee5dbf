package spec

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/internal/rights"
)

// Tyrant is emperor-tyrant: each vassal runs as the owner of its file, whatever is in
// it, and never as root.
type Tyrant struct {
	// NoFollow: of a symbolic link the owner of the link counts.
	NoFollow bool
	// InitGroups gives the vassal the groups of which the owner is a member. Without it
	// it has none but the file's.
	InitGroups bool
}

// judged is a vassal's file, opened, with who runs it. What was judged is what is read:
// the Reader's first Open of the path gives the very file. (Between a look at a path and
// its opening somebody could put another file there.)
type judged struct {
	*rights.Reader
	path string
	file *os.File // until it was read
	by   config.Author
	as   *proc.Credential // nil: not decided by the owner
	uid  uint32
}

// judge opens a vassal's file and finds out who is to run it. Without a tyrant the
// Reader opens it when it is read.
func (t *Tyrant) judge(opener *rights.Reader, path string) (*judged, *config.Problem) {
	j := &judged{Reader: opener, path: filepath.Clean(path)}
	if t == nil {
		return j, nil
	}
	refuse := func(format string, args ...any) (*judged, *config.Problem) {
		if j.file != nil {
			j.file.Close()
		}
		return nil, &config.Problem{Pos: config.Pos{File: path}, Text: fmt.Sprintf(format, args...)}
	}
	o, err := opener.OpenOwned(j.path, t.NoFollow)
	if refusal := new(config.Refusal); errors.As(err, &refusal) {
		return refuse("emperor-tyrant: %v", refusal)
	}
	if err != nil {
		return refuse("%v", err)
	}
	j.file, j.by, j.uid = o.File, o.Author, o.UID
	owner := AccountOf(&proc.Credential{UID: o.UID, GID: o.GID})
	switch {
	case o.UID == 0 || o.GID == 0:
		return refuse("emperor-tyrant: it belongs to user %s, group %s, and in tyrant mode no vassal runs as root: give it to who is to run it (chown USER:GROUP %s)",
			owner, GroupName(o.GID), path)
	case os.Geteuid() != 0 && int(o.UID) != os.Geteuid():
		return refuse("emperor-tyrant: it belongs to user %s, and only root can run it as somebody else than user %s", owner, AccountOf(nil).OrSelf())
	case os.Geteuid() != 0:
		return j, nil // who we are anyway
	}
	j.as = &proc.Credential{UID: o.UID, GID: o.GID, Groups: []uint32{o.GID}}
	if t.InitGroups {
		j.as.Groups = append(j.as.Groups, groupsOf(o.UID, o.GID)...)
	}
	return j, nil
}

// groupsOf are the groups of which a user is a member, but for one.
func groupsOf(uid, but uint32) (groups []uint32) {
	found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return nil
	}
	ids, _ := found.GroupIds()
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil && uint32(n) != but {
			groups = append(groups, uint32(n))
		}
	}
	slices.Sort(groups)
	return groups
}

// GroupName names a group; its number, when it has no entry.
func GroupName(gid uint32) string {
	text := strconv.FormatUint(uint64(gid), 10)
	if found, err := user.LookupGroupId(text); err == nil {
		return found.Name
	}
	return text
}

// Open implements config.Opener.
func (j *judged) Open(path string, by config.Author) (*os.File, config.Author, error) {
	if j.file != nil && filepath.Clean(path) == j.path {
		file := j.file
		j.file = nil
		return file, j.by, nil
	}
	return j.Reader.Open(path, by)
}

// Close gives back what was not read.
func (j *judged) Close() {
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
}

// user is who runs the vassal: the owner, where that counts.
func (j *judged) user(otherwise *proc.Credential) *proc.Credential {
	if j.as != nil {
		return j.as
	}
	return otherwise
}

// doubt says, when the file was read, why what runs may be something else than what was
// judged; empty: it is not. A uWSGI opens the file once more, by its path (through a
// descriptor, as /dev/fd/N, it would know neither %n nor %d, nor read it anew when it is
// reloaded). It does so as the owner. So nobody but the owner, and root, may be able to
// put another file there.
func (j *judged) doubt(kind Kind) string {
	switch {
	case j.as == nil:
		return ""
	case j.file != nil:
		return "emperor-tyrant: it was not read as it was looked at"
	case kind != UWSGI:
		return ""
	}
	if by := rights.Replaceable(j.path, j.uid); by != "" {
		return "emperor-tyrant: uWSGI would open it as user " + AccountOf(j.as).String() + ", and it could be replaced before that by " + by
	}
	return ""
}
