package proc

import (
	"errors"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readRights is what a program needs of the file that it is; writeRights, in addition,
// what it needs where it keeps temporary files.
const (
	readRights  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE
	writeRights = readRights | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
	// every right of the first version of Landlock (Linux 5.13): what later ones
	// added is not taken away, connecting to a unix socket among it.
	everything = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
)

// libraries are for a program that is linked dynamically, as ours is with the
// race detector.
var libraries = []string{"/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"}

// confine restricts the calling thread, and so the program that it becomes. With
// mayRead reading is left to the permissions of files. temporary is the directory of
// its temporary files.
func confine(program, temporary string, mayRead bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	handled := uint64(everything)
	if mayRead {
		handled &^= unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	}
	rules := unix.LandlockRulesetAttr{Handled_access_fs: handled}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules.Handled_access_fs), 0)
	switch errno {
	case 0:
	case unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM:
		return nil // a kernel, or a container, without it
	default:
		return os.NewSyscallError("landlock_create_ruleset", errno)
	}
	defer unix.Close(int(ruleset))
	allowed := map[string]uint64{program: readRights, temporary: writeRights}
	for _, path := range libraries {
		allowed[path] = readRights
	}
	for path, rights := range allowed {
		if err := allow(int(ruleset), path, rights&handled); err != nil {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return nil
}

// temporaryDir is where a program with that environment puts temporary files.
func temporaryDir(env []string) string {
	dir := "/tmp"
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "TMPDIR="); ok && value != "" {
			dir = value
		}
	}
	return dir
}

func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	return os.NewSyscallError("landlock_add_rule", errnoOrNil(errno))
}

func errnoOrNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
