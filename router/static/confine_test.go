package static

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confineThread takes from the calling thread the right to read files, as the
// router has it taken. It is false where the kernel has no Landlock.
func confineThread(t *testing.T) bool {
	t.Helper()
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules.Handled_access_fs), 0)
	if errno == unix.ENOSYS || errno == unix.EOPNOTSUPP {
		t.Log("no Landlock here:", errno)
		return false
	}
	defer unix.Close(int(ruleset))
	try(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	return true
}
