package emperor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"emperor/emperor/acme"
)

// Which vassals cannot start is remembered in a file, so that after a restart of the
// emperor or the machine the others start first. Nothing depends on it: where it is
// missing, damaged or not ours all are equal.

const (
	// rememberFrom is how many must fail: fewer delay nobody, and are not worth a file.
	rememberFrom = 10
	// rememberAfter is how long changes wait to be written together.
	rememberAfter = 10 * time.Second
	// largestMemory bounds what is read, in bytes.
	largestMemory = 16 << 20
)

// memory is where it is kept for a main file; its zero value: nowhere.
type memory struct{ main, path string }

// remembered is the file's content.
type remembered struct {
	Main   string   // the main file
	Failed []string // names of vassals
}

func newMemory(main *Main) memory {
	certificates, err := acme.DefaultDirectory(main.getenv, os.Geteuid())
	if err != nil || main.App != nil {
		return memory{}
	}
	name := main.absolute(main.Name())
	sum := sha256.Sum256([]byte(name))
	// The folder of certificates is one in the emperor's own.
	return memory{main: name, path: filepath.Join(filepath.Dir(certificates), "failed-"+hex.EncodeToString(sum[:8])+".json")}
}

// load gives the names of those that had failed.
func (m memory) load(log *slog.Logger) []string {
	if m.path == "" {
		return nil
	}
	names, err := m.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Debug("which vassals had failed is not known: all are equal at the start", "err", err)
	}
	return names
}

func (m memory) read() ([]string, error) {
	file, err := os.OpenFile(m.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", m.path)
	case !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s may be written by others", m.path)
	}
	text, err := io.ReadAll(io.LimitReader(file, largestMemory))
	if err != nil {
		return nil, err
	}
	var r remembered
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	if r.Main != m.main {
		return nil, fmt.Errorf("%s is about %s", m.path, r.Main)
	}
	return r.Failed, nil
}

// save replaces the file, or removes it where nothing is worth it.
func (m memory) save(failed []string) error {
	if m.path == "" {
		return nil
	}
	if len(failed) < rememberFrom {
		if err := os.Remove(m.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	slices.Sort(failed)
	text, err := json.Marshal(remembered{m.main, failed})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o755); err != nil { // others may have things there, too
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(m.path), filepath.Base(m.path)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), m.path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// keep writes down who fails, some time after it has changed, until ctx ends.
func (d *doubts) keep(ctx context.Context) {
	for {
		select {
		case <-d.changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(rememberAfter):
			d.write()
		case <-ctx.Done():
			return
		}
	}
}

// close writes down who fails, for the last time: what ends from now on was told to.
func (d *doubts) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.write()
}

func (d *doubts) write() {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	failed := slices.Collect(maps.Keys(d.failing))
	d.mu.Unlock()
	// One whose file went while no emperor ran is never heard of again.
	failed = slices.DeleteFunc(failed, func(name string) bool { return !d.there(name) })
	if err := d.memory.save(failed); err != nil {
		d.log.Debug("which vassals fail cannot be remembered", "err", err)
	}
}
