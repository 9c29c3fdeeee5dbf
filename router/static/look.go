package static

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// Look tells what is at a path, decoded and normalised, below the folder: a regular
// file, a folder, or, both false, nothing that counts. It is for those who have
// another program run the file, so it asks neither whether clients may see it nor
// whether this process may read it. A symbolic link is followed where Open would.
func (s *Site) Look(path []byte) (regular, folder bool) {
	if len(path) == 0 || path[0] != '/' {
		return false, false
	}
	r := s.acquire()
	if r == nil {
		return false, false
	}
	r = s.follow(r)
	defer r.release()
	var room [256]byte
	name := append(room[:0], bytes.TrimLeft(path, "/")...)
	if len(name) == 0 {
		return false, true
	}
	mode, err := s.mode(r, append(name, 0))
	if err != nil {
		return false, false
	}
	return mode&unix.S_IFMT == unix.S_IFREG, mode&unix.S_IFMT == unix.S_IFDIR
}

// forLook opens a handle on anything, without the right to read it.
var forLook = unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}

// mode is the mode of name, which ends in NUL.
func (s *Site) mode(r *root, name []byte) (uint32, error) {
	if r.portable != nil {
		info, err := r.portable.Stat(string(bytes.TrimRight(name[:len(name)-1], "/")))
		if err != nil {
			return 0, err
		}
		switch {
		case info.Mode().IsRegular():
			return unix.S_IFREG, nil
		case info.IsDir():
			return unix.S_IFDIR, nil
		}
		return 0, nil
	}
	handle, err := openat2(r.directory, name, &forLook)
	for races := 0; races < mostRaces && (err == unix.EAGAIN || err == unix.EINTR); races++ {
		handle, err = openat2(r.directory, name, &forLook)
	}
	outside := err == unix.EXDEV
	if outside {
		handle, err = openat2(r.directory, name, &forAnywhere)
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(handle) }()
	if outside {
		if path, err := os.Readlink(self(handle)); err != nil || !s.allowed(r, path) {
			return 0, errOutside
		}
	}
	var stat unix.Stat_t
	err = unix.Fstat(handle, &stat)
	return stat.Mode, err
}
