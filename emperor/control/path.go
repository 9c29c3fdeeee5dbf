package control

import (
	"fmt"
	"os"
	"path/filepath"
)

// Path tells where the control socket of an emperor is: the value of the option
// "control" if there is one, else /run/emperor.sock as root, else emperor.sock in
// $XDG_RUNTIME_DIR if that is a directory, else /tmp/emperor-UID.sock. Server and
// client ask it alike, so that `emperor status` needs no argument. "none" means that
// there is to be none: Path is "".
func Path(option string) string {
	return path(option, os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR"), isDirectory)
}

func path(option string, uid int, runtimeDir string, isDirectory func(string) bool) string {
	switch {
	case option == "none":
		return ""
	case option != "":
		return option
	case uid == 0:
		return "/run/emperor.sock"
	case filepath.IsAbs(runtimeDir) && isDirectory(runtimeDir):
		return filepath.Join(runtimeDir, "emperor.sock")
	}
	return fmt.Sprintf("/tmp/emperor-%d.sock", uid)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
