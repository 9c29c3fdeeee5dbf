package shim

import (
	"syscall"
	"unsafe"
)

// readRights is what a program needs of the file that it is; writeRights, in addition,
// what it needs where it keeps temporary files.
const (
	readRights  = landlockExecute | landlockReadFile
	writeRights = readRights | landlockReadDir | landlockWriteFile | landlockMakeFile | landlockRemove
	// every right of the first version of Landlock (Linux 5.13): what later ones
	// added is not taken away, connecting to a unix socket among it.
	everything = landlockMakeLink<<1 - 1
)

// libraries are for a program that is linked dynamically, as ours is with the
// race detector.
var libraries = []string{"/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"}

// confine restricts the calling thread, and so the program that it becomes. With
// mayRead reading is left to the permissions of files. temporary is the directory of
// its temporary files.
func confine(program, temporary string, mayRead bool) error {
	if _, err := prctl(prSetNoNewPrivs, 1, 0); err != nil {
		return because("prctl", err)
	}
	handled := uint64(everything)
	if mayRead {
		handled &^= landlockReadFile | landlockReadDir
	}
	// struct landlock_ruleset_attr, as long as it was in the first version.
	ruleset, _, errno := syscall.Syscall(sysLandlockCreateRuleset, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled), 0)
	switch errno {
	case 0:
	case syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EPERM:
		return nil // a kernel, or a container, without it
	default:
		return because("landlock_create_ruleset", errno)
	}
	defer syscall.Close(int(ruleset))
	allowed := map[string]uint64{program: readRights, temporary: writeRights}
	for _, path := range libraries {
		allowed[path] = readRights
	}
	for path, rights := range allowed {
		if err := allow(int(ruleset), path, rights&handled); err != nil {
			return err
		}
	}
	_, _, errno = syscall.Syscall(sysLandlockRestrictSelf, ruleset, 0, 0)
	return because("landlock_restrict_self", orNil(errno))
}

// temporaryDir is where a program with that environment puts temporary files.
func temporaryDir(env []string) string {
	dir := "/tmp"
	for _, kv := range env {
		if value, ok := cutPrefix(kv, "TMPDIR="); ok && value != "" {
			dir = value
		}
	}
	return dir
}

func allow(ruleset int, path string, rights uint64) error {
	fd, err := syscall.Open(path, openPath|syscall.O_CLOEXEC, 0)
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return because("open "+path, err)
	}
	defer syscall.Close(fd)
	rule := landlockRule{rights: rights, parent: int32(fd)}
	_, _, errno := syscall.Syscall6(sysLandlockAddRule, uintptr(ruleset), landlockBeneath, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	return because("landlock_add_rule", orNil(errno))
}

// landlockRule is struct landlock_path_beneath_attr; what the compiler adds at its end the
// kernel does not look at.
type landlockRule struct {
	rights uint64
	parent int32
}
