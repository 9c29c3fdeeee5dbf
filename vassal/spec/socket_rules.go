package spec

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"emperor/internal/rights"
)

// defaultBacklog is asked for where the file does not say listen; the kernel
// bounds it by net.core.somaxconn. It is larger than uWSGI's 100 because these
// queues also hold what arrives while a generation starts.
const defaultBacklog = 1024

// SocketRules say how sockets of one vassal are made.
type SocketRules struct {
	_ struct{} `carry:"small"`

	Dir      string // relative paths start here; empty when it is not known
	Umask    int    // -1: ours
	Mode     fs.FileMode
	HasMode  bool
	UID, GID int // -1: left alone
	Backlog  int
	As       *Account // whose rights are used; nil: ours
	Group    int      // >0: without owner and mode, this group with mode 0660
}

// OnBehalf runs f as the vassal would: with its user and groups, in its
// directory, with its file mask. What is done to files for a vassal of another
// user is done this way, so that nothing happens that the user could not do.
//
// All of this normally belongs to the whole process. Linux keeps it for each
// thread, so a thread is made that differs in it and is used for nothing else.
func (r SocketRules) OnBehalf(f func() error) error {
	if r.As == nil && r.Umask < 0 && r.Dir == "" {
		return f()
	}
	var err error
	rights.Apart(func() {
		err = func() error {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			if err := r.Assume(); err != nil {
				return err
			}
			if r.Dir != "" {
				if err := unix.Chdir(r.Dir); err != nil {
					return fmt.Errorf("%s: %w", r.Dir, err)
				}
			}
			return f()
		}()
	})
	return err
}

// Assume gives the calling thread the vassal's file mask and rights. The thread is one
// of rights.Apart's, with a file mask of its own (unshare CLONE_FS).
func (r SocketRules) Assume() error {
	if r.Umask >= 0 {
		unix.Umask(r.Umask)
	}
	if r.As == nil {
		return nil
	}
	return r.As.user().Assume()
}

// Of gives the rules for one of a vassal's sockets: what the lines say of mode,
// owner and place is about sockets that they name, not about one of ours.
func (r SocketRules) Of(socket Socket) SocketRules {
	if socket.OnDemand && !r.HasMode {
		r.Mode, r.HasMode = 0o666, true // as uWSGI's
	}
	if socket.ByRoot {
		r.As = nil
	}
	if filepath.IsAbs(socket.At.Path) {
		r.Dir = "" // it makes no difference, and needs a thread of its own
	}
	if !socket.Automatic {
		return r
	}
	r.Dir, r.Umask, r.As, r.UID, r.GID, r.HasMode = "", -1, nil, -1, -1, false
	if r.Group <= 0 {
		// Whoever can connect to a uwsgi socket can run code: nobody but ourselves.
		r.Mode, r.HasMode = 0o600, true
	}
	return r
}
