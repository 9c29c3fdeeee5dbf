package rights

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/proc"
)

// ourselves is who runs this process.
func ourselves() *User {
	u := &User{UID: uint32(os.Geteuid())}
	u.Name = ownerOf(u.UID).Name
	return u
}

// refused says of an error that stems from missing rights who has tried and what
// is in the way. It looks with the rights of the calling thread: no more is told
// than the user could find out.
func refused(err error, u *User, path string) error {
	if p := new(os.PathError); errors.As(err, &p) {
		p.Err = proc.ExplainLimit(p.Err)
	}
	if err == nil || !errors.Is(err, os.ErrPermission) {
		return err
	}
	var st unix.Stat_t
	at, failure := follow(path, func(s *step) bool { st = s.st; return true })
	verb := "may not read it"
	if errors.Is(failure, unix.EACCES) {
		at = filepath.Dir(at)
		if unix.Stat(at, &st) != nil {
			return &config.Refusal{Text: fmt.Sprintf("user %s may not enter %s", u, at)}
		}
		verb = "may not enter " + at
	} else if failure != nil {
		return &config.Refusal{Text: fmt.Sprintf("user %s may not read it", u)}
	}
	text := fmt.Sprintf("user %s %s (owner %s, mode %04o)", u, verb, userName(st.Uid), st.Mode&0o7777)
	if u.unknown {
		text += "; others than root can write the file that names it, or have put it there"
	}
	return &config.Refusal{Text: text}
}
