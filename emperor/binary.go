package emperor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// binaryFile is the program that we are, as a file: where it is looked for, and what
// was there when we were started.
type binaryFile struct {
	path          string
	device, inode uint64
	size, changed int64
}

// findBinary finds the file that we were started from. A name by which we were called,
// such as a link to the present version, counts if it leads to us: that is the name under
// which the next version will be.
func findBinary() binaryFile {
	path, err := os.Executable()
	if err != nil {
		return binaryFile{}
	}
	self, err := os.Stat("/proc/self/exe")
	if name, lookErr := exec.LookPath(os.Args[0]); lookErr == nil && err == nil {
		if info, statErr := os.Stat(name); statErr == nil && os.SameFile(info, self) {
			if name, err := filepath.Abs(name); err == nil {
				path = name
			}
		}
	}
	return lookAtBinary(path)
}

// lookAtBinary notes what is at the path now.
func lookAtBinary(path string) binaryFile {
	b := binaryFile{path: path}
	var st syscall.Stat_t
	if syscall.Stat(path, &st) == nil {
		b.device, b.inode, b.size, b.changed = st.Dev, st.Ino, st.Size, st.Mtim.Nano()
	}
	return b
}

// replaced tells whether another program is at the path by now.
func (b binaryFile) replaced() bool {
	now := lookAtBinary(b.path)
	return b.inode != 0 && now.inode != 0 && now != b
}

// openBinary opens a program.
func openBinary(path string) (fd int, err error) {
	if path == "" {
		return -1, errors.New("it is not known where the emperor's program is: say --binary PATH")
	}
	if !filepath.IsAbs(path) {
		return -1, fmt.Errorf("%s: want an absolute path", path)
	}
	if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("not a file")
	}
	if err == nil && st.Mode&0o111 == 0 {
		err = errors.New("not executable (chmod +x?)")
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	return fd, nil
}
