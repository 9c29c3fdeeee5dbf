package proc

import (
	"errors"
	"fmt"
	"syscall"
)

// OpenFiles is how many descriptors this process may have; 0 when that cannot be
// told. (Go has raised the soft limit to the hard one by now.)
func OpenFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// RaiseOpenFiles says to people how that limit is raised.
const RaiseOpenFiles = "raise it where the emperor is started: LimitNOFILE= in its systemd unit, ulimit -n as root in a shell, --ulimit nofile= for a container"

// explained marks an error that ExplainLimit has dealt with.
type explained struct{ error }

func (e explained) Unwrap() error { return e.error }

// ExplainLimit says of an error that is about too many open files, or a full disk, which
// limit has been reached, and what can be done. Any other error, and nil, stay as they are.
func ExplainLimit(err error) error {
	switch {
	case errors.As(err, new(explained)):
	case errors.Is(err, syscall.EMFILE):
		return explained{fmt.Errorf("%w: the emperor may have %d files open (RLIMIT_NOFILE) and has; %s", err, OpenFiles(), RaiseOpenFiles)}
	case errors.Is(err, syscall.ENFILE):
		return explained{fmt.Errorf("%w: all programs together may have no more (sysctl fs.file-max)", err)}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return explained{fmt.Errorf("%w: the file system is full, or has no inode left (see df and df -i)", err)}
	}
	return err
}
