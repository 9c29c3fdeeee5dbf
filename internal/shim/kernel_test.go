package shim

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestKernel: what is written out here is what golang.org/x/sys says.
func TestKernel(t *testing.T) {
	for name, pair := range map[string][2]int{
		"close_range":             {sysCloseRange, unix.SYS_CLOSE_RANGE},
		"landlock_create_ruleset": {sysLandlockCreateRuleset, unix.SYS_LANDLOCK_CREATE_RULESET},
		"landlock_add_rule":       {sysLandlockAddRule, unix.SYS_LANDLOCK_ADD_RULE},
		"landlock_restrict_self":  {sysLandlockRestrictSelf, unix.SYS_LANDLOCK_RESTRICT_SELF},
		"CLOSE_RANGE_CLOEXEC":     {closeRangeCloexec, unix.CLOSE_RANGE_CLOEXEC},
		"PR_SET_PDEATHSIG":        {prSetPdeathsig, unix.PR_SET_PDEATHSIG},
		"PR_SET_KEEPCAPS":         {prSetKeepcaps, unix.PR_SET_KEEPCAPS},
		"PR_CAPBSET_READ":         {prCapbsetRead, unix.PR_CAPBSET_READ},
		"PR_CAPBSET_DROP":         {prCapbsetDrop, unix.PR_CAPBSET_DROP},
		"PR_SET_NO_NEW_PRIVS":     {prSetNoNewPrivs, unix.PR_SET_NO_NEW_PRIVS},
		"PR_CAP_AMBIENT":          {prCapAmbient, unix.PR_CAP_AMBIENT},
		"PR_CAP_AMBIENT_RAISE":    {prAmbientRaise, unix.PR_CAP_AMBIENT_RAISE},
		"PR_CAP_AMBIENT_CLEAR":    {prAmbientClear, unix.PR_CAP_AMBIENT_CLEAR_ALL},
		"capability layout":       {capabilityLayout, unix.LINUX_CAPABILITY_VERSION_3},
		"O_PATH":                  {openPath, unix.O_PATH},
		"AT_FDCWD":                {atCwd, unix.AT_FDCWD},
		"AT_EACCESS":              {atEaccess, unix.AT_EACCESS},
		"X_OK":                    {mayExecute, unix.X_OK},
		"EXECUTE":                 {landlockExecute, unix.LANDLOCK_ACCESS_FS_EXECUTE},
		"WRITE_FILE":              {landlockWriteFile, unix.LANDLOCK_ACCESS_FS_WRITE_FILE},
		"READ_FILE":               {landlockReadFile, unix.LANDLOCK_ACCESS_FS_READ_FILE},
		"READ_DIR":                {landlockReadDir, unix.LANDLOCK_ACCESS_FS_READ_DIR},
		"REMOVE_FILE":             {landlockRemove, unix.LANDLOCK_ACCESS_FS_REMOVE_FILE},
		"MAKE_REG":                {landlockMakeFile, unix.LANDLOCK_ACCESS_FS_MAKE_REG},
		"MAKE_SYM":                {landlockMakeLink, unix.LANDLOCK_ACCESS_FS_MAKE_SYM},
		"PATH_BENEATH":            {landlockBeneath, unix.LANDLOCK_RULE_PATH_BENEATH},
		"the header of capset":    {int(unsafe.Sizeof(capabilityHeader{})), int(unsafe.Sizeof(unix.CapUserHeader{}))},
		"its data":                {int(unsafe.Sizeof(capabilityData{})), int(unsafe.Sizeof(unix.CapUserData{}))},
		"where a rule's file is":  {int(unsafe.Offsetof(landlockRule{}.parent)), int(unsafe.Offsetof(unix.LandlockPathBeneathAttr{}.Parent_fd))},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %#x, want %#x", name, pair[0], pair[1])
		}
	}
}
