package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// leafName is the group into which the emperor moves where limits are to be set beside
// it.
const leafName = "emperor.self"

// place is a part of the tree of groups below which we make ours.
type place struct {
	dir string
	own bool // it is the emperor's own group, or was before it moved
	// top: it is the root of the whole tree, where no rule about processes holds.
	top bool
}

// system is where the kernel shows itself; tests have another.
type system struct {
	proc    string // /proc
	systemd string // a directory that is there where systemd runs the machine
	mkdir   func(dir string) error
	rmdir   func(dir string) error
}

var kernel = &system{
	proc: "/proc", systemd: "/run/systemd/system",
	mkdir: func(dir string) error { return unix.Mkdir(dir, 0o755) },
	rmdir: unix.Rmdir,
}

// ownPlace finds the group that a process is in, and whether groups may be made below
// it. pid 0 is this process.
func (s *system) ownPlace(pid int) (place, error) {
	self := "self"
	if pid != 0 {
		self = strconv.Itoa(pid)
	}
	mount, root, err := s.mount()
	if err != nil {
		return place{}, err
	}
	text, err := os.ReadFile(filepath.Join(s.proc, self, "cgroup"))
	if err != nil {
		return place{}, err
	}
	path := ""
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			path = rest
		}
	}
	inside, ok := strings.CutPrefix(path, strings.TrimSuffix(root, "/"))
	if path == "" || !ok || strings.HasPrefix(path, "/..") {
		return place{}, fmt.Errorf("the group it is in (%s) is not below %s", path, mount)
	}
	p := place{dir: filepath.Join(mount, inside), own: true}
	if filepath.Base(p.dir) == leafName {
		p.dir = filepath.Dir(p.dir)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "cgroup.type")); errors.Is(err, os.ErrNotExist) {
		p.top = true
	}
	if err := unix.Access(p.dir, unix.W_OK); err != nil {
		return place{}, fmt.Errorf("%s cannot be written (%w)", p.dir, err)
	}
	if _, err := os.Stat(s.systemd); err == nil && p.dir != mount && !delegated(p.dir) {
		return place{}, fmt.Errorf("systemd has not handed %s over: the unit needs Delegate=yes", p.dir)
	}
	return p, nil
}

// mount finds where the tree of version 2 is mounted, and which part of it.
func (s *system) mount() (at, root string, err error) {
	text, err := os.ReadFile(filepath.Join(s.proc, "self/mountinfo"))
	if err != nil {
		return "", "", err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if ok && len(fields) >= 5 && strings.HasPrefix(after, "cgroup2 ") {
			return unescape(fields[4]), unescape(fields[3]), nil
		}
	}
	return "", "", errors.New("no cgroup2 file system is mounted")
}

// unescape reads a path of /proc/PID/mountinfo.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// delegated tells whether systemd has given a group away (systemd's CGROUP_DELEGATION).
func delegated(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// offers tells which controllers groups below the place can have.
func (p place) offers() []string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "cgroup.controllers"))
	return strings.Fields(string(text))
}

// lacks says why a limit cannot be had at the place; empty: it can.
func (p place) lacks(controller string) string {
	offered := p.offers()
	if slices.Contains(offered, controller) {
		return ""
	}
	has := "none"
	if len(offered) > 0 {
		has = strings.Join(offered, ", ")
	}
	return fmt.Sprintf("the kernel has no %s controller in %s (it has %s; those of version 1 do not count)", controller, p.dir, has)
}

// write writes a file of the kernel's, which must be there.
func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// processes are those in a group.
func processes(dir string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			out = append(out, pid)
		}
	}
	return out, nil
}
