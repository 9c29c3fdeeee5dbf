package rights

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
)

// Owned is a file that was opened to be judged by who owns it.
type Owned struct {
	File     *os.File
	Author   config.Author // of what is in it
	UID, GID uint32        // its owner, or with nofollow that of the symbolic link which leads to it
	Mode     uint32
}

// OpenOwned opens what root has chosen by the path, and finds out who owns it by looking
// at what was opened. nofollow: where a symbolic link is at the path, its owner counts,
// and what the very link that was looked at leads to is opened. Otherwise each link on
// the way has to be root's or the owner's: who can make links could else have somebody
// else's file used in that person's name.
func (r *Reader) OpenOwned(path string, nofollow bool) (*Owned, error) {
	if nofollow {
		return r.openByLink(path)
	}
	file, author, err := r.Open(path, 0)
	if err != nil {
		return nil, err
	}
	o := &Owned{File: file, Author: author}
	var st unix.Stat_t
	if err = stat(file, &st); err == nil {
		o.UID, o.GID, o.Mode = st.Uid, st.Gid, st.Mode
		err = foreignLink(path, &st)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return o, nil
}

// openByLink opens a file, or what a symbolic link leads to, of which the owner counts.
func (r *Reader) openByLink(path string) (*Owned, error) {
	// The descriptor is of one link, or file, whatever becomes of the path.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if !isLink(&st) {
		o, err := r.OpenOwned(path, false)
		if err == nil && o.UID != st.Uid {
			o.File.Close()
			return nil, replacing(path)
		}
		return o, err
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return nil, &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	to := string(target[:n])
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(path), to)
	}
	var by config.Author
	if st.Uid != 0 {
		by = r.author(r.owner(st.Uid))
	}
	file, author, err := r.Open(to, by)
	if err != nil {
		return nil, err
	}
	return &Owned{File: file, Author: author, UID: st.Uid, GID: st.Gid}, nil
}

func replacing(path string) error {
	return &os.PathError{Op: "open", Path: path, Err: errors.New("it is replaced while it is opened")}
}

// foreignLink says which link on the way to an open file is neither root's nor of the
// one who owns the file. A further name of the file (a hard link) in a directory that
// others may write is one, too.
func foreignLink(path string, opened *unix.Stat_t) error {
	var wrong string
	var shared, same bool
	_, _ = follow(path, func(s *step) bool {
		switch {
		case isLink(&s.st):
			if s.st.Uid != 0 && s.st.Uid != opened.Uid {
				wrong = fmt.Sprintf("the symbolic link %s belongs to user %s and leads to a file of user %s: a link has to be root's, or of the file's owner (or see emperor-tyrant-nofollow)", s.at, userName(s.st.Uid), userName(opened.Uid))
			}
		case s.st.Mode&unix.S_IFMT == unix.S_IFDIR:
			shared = s.st.Mode&0o022 != 0 || s.st.Uid != 0 && s.st.Uid != opened.Uid
		}
		if s.last {
			same = s.st.Dev == opened.Dev && s.st.Ino == opened.Ino
		}
		return wrong == ""
	})
	switch {
	case wrong != "":
		return &config.Refusal{Text: wrong}
	case !same:
		return replacing(path)
	case shared && opened.Nlink > 1:
		return &config.Refusal{Text: fmt.Sprintf("the file has %d names (hard links), and others than user %s can have given it this one", opened.Nlink, userName(opened.Uid))}
	}
	return nil
}

// Replaceable says who, other than root and the owner, could put another file in the
// place of what is at the path; empty: nobody. What is behind a symbolic link of the
// owner's is the owner's choice.
func Replaceable(path string, owner uint32) (by string) {
	_, _ = follow(path, func(s *step) bool {
		if s.last || isLink(&s.st) {
			if isLink(&s.st) && s.st.Uid == owner {
				return false
			}
			if s.st.Uid != 0 && s.st.Uid != owner {
				by = fmt.Sprintf("user %s, who owns %s", userName(s.st.Uid), s.at)
			}
			return by == ""
		}
		sticky := s.st.Mode&unix.S_ISVTX != 0
		switch {
		case s.st.Uid != 0 && s.st.Uid != owner:
			by = fmt.Sprintf("user %s, who owns %s", userName(s.st.Uid), s.at)
		case s.st.Mode&0o002 != 0 && !sticky:
			by = fmt.Sprintf("everybody, who may write %s (mode %04o; chmod +t keeps files their owners')", s.at, s.st.Mode&0o7777)
		case s.st.Mode&0o020 != 0 && !sticky && s.st.Gid != 0:
			by = fmt.Sprintf("group %s, which may write %s (mode %04o; chmod +t keeps files their owners')", groupName(s.st.Gid), s.at, s.st.Mode&0o7777)
		}
		return by == ""
	})
	return by
}
