package acme

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// ours is what CertMagic and this package put into the folder.
var ours = []string{"accounts", "certificates", "locks", "orders", "ocsp", "acme"}

// DefaultDirectory is acme-dir where nothing says otherwise.
func DefaultDirectory(getenv func(string) string, uid int) (string, error) {
	if state := getenv("STATE_DIRECTORY"); state != "" {
		state, _, _ = strings.Cut(state, ":") // systemd's list
		return filepath.Join(state, "acme"), nil
	}
	if uid == 0 {
		return "/var/lib/emperor/acme", nil
	}
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "emperor", "acme"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "emperor", "acme"), nil
	}
	return "", errors.New("acme-dir: there is no $HOME to put certificates below; name a folder")
}

// Prepare makes the folder if need be, and wants it to be the caller's and nobody
// else's.
func Prepare(directory string) error {
	err := os.MkdirAll(filepath.Dir(directory), 0o755) // others may have things there, too
	if err == nil {
		err = os.Mkdir(directory, 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("acme-dir: %w", err)
	}
	return inspect(directory, true)
}

// Inspect tells why a folder would not do; one that is not there yet would.
func Inspect(directory string) error {
	err := inspect(directory, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func inspect(directory string, tighten bool) error {
	info, err := os.Stat(directory)
	if err != nil {
		return fmt.Errorf("acme-dir: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("acme-dir: %s is not a folder", directory)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("acme-dir: %s belongs to user %d, who could replace keys; want user %d", directory, owner.Uid, os.Geteuid())
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return fmt.Errorf("acme-dir: %w", err)
	}
	for _, entry := range entries {
		if !slices.Contains(ours, entry.Name()) {
			return fmt.Errorf("acme-dir: %s is open to others (mode %04o) and has other things in it (%s); want a folder of its own, mode 0700", directory, info.Mode().Perm(), entry.Name())
		}
	}
	if !tighten {
		return nil
	}
	// A folder that was made for us, as by a container's volume.
	return os.Chmod(directory, 0o700)
}
