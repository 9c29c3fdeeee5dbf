package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"emperor/internal/pause"
)

// longestPath is what fits into sockaddr_un beside its closing NUL (unix(7)).
const longestPath = 107

// socket is a bound control socket and the file it made.
type socket struct {
	*net.UnixListener
	path string
	made os.FileInfo // nil: its file is not there any more
	// accepting is whoever calls Accept; original an adopted descriptor, until Run.
	accepting pause.Reader
	original  *os.File
}

// bind makes the control socket at path, in the place of one that nobody answers.
func bind(path string) (*socket, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if len(path) > longestPath {
		return nil, fmt.Errorf("control socket %s: want a path of at most %d bytes, this has %d", path, longestPath, len(path))
	}
	if err := clear(path); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, cause(err))
	}
	// Go would remove whatever is at the path when it closes the socket; by then it
	// may be another emperor's. See close.
	listener.SetUnlinkOnClose(false)
	s := &socket{UnixListener: listener, path: path}
	// Until the mode is right others may connect; their credentials stop them.
	if err = os.Chmod(path, 0o600); err == nil {
		s.made, err = os.Lstat(path)
	}
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("control socket %s: %w", path, cause(err))
	}
	return s, nil
}

// clear makes room at path, or says why there is none.
func clear(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return makeRuntimeDirectory(filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("control socket %s: %w", path, cause(err))
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("control socket %s: want nothing or an old socket there, found a file of another kind; it is left alone", path)
	}
	c, err := net.DialTimeout("unix", path, 2*time.Second)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("control socket %s: another emperor answers there; stop it, or give this one a path of its own (control = PATH)", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("control socket %s: a socket is there and it is not clear whether anybody answers: %w", path, cause(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("control socket %s: the old socket there cannot be removed: %w", path, cause(err))
	}
	return nil
}

// makeRuntimeDirectory makes dir where it would be empty after each boot anyway.
func makeRuntimeDirectory(dir string) error {
	for _, runtime := range []string{"/run/", "/var/run/", "/tmp/"} {
		if strings.HasPrefix(dir, runtime) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("control socket: its directory cannot be made: %w", err)
			}
		}
	}
	return nil
}

// close ends listening and removes the socket's file if it is still ours.
func (s *socket) close() error {
	err := s.Close()
	if now, statErr := os.Lstat(s.path); statErr == nil && s.made != nil && os.SameFile(now, s.made) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// cause strips what the message around it says already: the operation and the path.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
