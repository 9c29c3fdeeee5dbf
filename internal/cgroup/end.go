package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// End kills whatever is in the group, wherever it has hidden from its parent, and
// removes it. It returns when nothing of it is left.
func (g *Group) End(ctx context.Context) error {
	if err := g.kill(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	events, err := os.Open(filepath.Join(g.Path, "cgroup.events"))
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		populated, err := isPopulated(events)
		switch {
		case err != nil:
			return err
		case !populated:
			return g.remove()
		case ctx.Err() != nil:
			return fmt.Errorf("%s: processes still there: %w", g.Path, context.Cause(ctx))
		}
		// The kernel says when that changes; looking again costs next to nothing.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}, 20)
	}
}

// remove removes the group, with those that its processes have made in it.
func (g *Group) remove() error {
	entries, err := os.ReadDir(g.Path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			below := &Group{Path: filepath.Join(g.Path, e.Name()), system: g.system}
			if err := below.remove(); err != nil {
				return err
			}
		}
	}
	return g.system.rmdir(g.Path)
}

// kill sends SIGKILL to everything in the group at once, or (before Linux 5.14) one
// after the other, as long as somebody is there.
func (g *Group) kill() error {
	err := write(g.Path, "cgroup.kill", "1")
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for range 20 {
		pids, err := processes(g.Path)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue
			}
			// The number may be somebody else's by now.
			if now, err := processes(g.Path); err == nil && slices.Contains(now, pid) {
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			}
			unix.Close(fd)
		}
	}
	return nil
}

// OutOfMemory tells whether the kernel has killed something in the group because there was
// no more memory for it.
func (g *Group) OutOfMemory() bool {
	text, _ := os.ReadFile(filepath.Join(g.Path, "memory.events"))
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(count) != "0"
		}
	}
	return false
}

func isPopulated(events *os.File) (bool, error) {
	text := make([]byte, 256)
	n, err := events.ReadAt(text, 0)
	if n == 0 {
		return false, err
	}
	return strings.Contains(string(text[:n]), "populated 1"), nil
}
