package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
)

// Settings are what is asked for a group.
type Settings struct {
	// Parent is the group below which it is made; empty: the emperor's own.
	Parent string
	// Values are written into its files, in order.
	Values []Value
}

// Value is one file of a group and what is written into it.
type Value struct {
	File, Text string // "memory.max", "536870912"
	Name       string // as the user knows it, for messages: "memory-max"
}

// controller is whose file it is; empty for the kernel's own (cgroup.…).
func (v Value) controller() string {
	name, _, _ := strings.Cut(v.File, ".")
	if name == "cgroup" {
		return ""
	}
	return name
}

// Tree makes groups. Its methods may be called from any goroutine.
type Tree struct {
	tag    string
	system *system
	mu     sync.Mutex      // one is made at a time: the first may move us all
	said   map[string]bool // guarded by mu; what was told
}

// New makes a Tree. The tag is in the names of its groups, so that two emperors can use
// one part of the tree.
func New(tag string) *Tree { return &Tree{tag: tag, system: kernel, said: map[string]bool{}} }

// Group is a group that was made. It is its maker's to end.
type Group struct {
	Path   string
	system *system
}

// Adopt is the group that an earlier binary of this emperor has made.
func (t *Tree) Adopt(path string) *Group { return &Group{Path: path, system: t.system} }

// Make makes the group of one generation of a vassal. news are the reasons why some of
// what was asked for cannot be had, or all of it (then there is no group); each is told
// only once for a Tree.
func (t *Tree) Make(name string, generation uint64, s Settings) (g *Group, news []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, errs := t.make(name, generation, s)
	for _, err := range errs {
		if !t.said[err.Error()] {
			t.said[err.Error()] = true
			news = append(news, err)
		}
	}
	return g, news
}

func (t *Tree) make(name string, generation uint64, s Settings) (*Group, []error) {
	at, err := t.system.place(s.Parent)
	if err != nil {
		return nil, []error{fmt.Errorf("vassals with limits run without a control group: %w", err)}
	}
	if err := t.clear(at, s); err != nil {
		return nil, []error{fmt.Errorf("vassals with limits run without a control group: %w", err)}
	}
	var errs []error
	lacking := map[string]bool{}
	for _, v := range s.Values {
		c := v.controller()
		if _, known := lacking[c]; known || c == "" {
			continue
		}
		err := t.enable(at, c)
		lacking[c] = err != nil
		if err != nil {
			errs = append(errs, fmt.Errorf("%s has no effect: %w", v.Name, err))
		}
	}
	g := &Group{Path: t.Path(at.dir, name, generation), system: t.system}
	err = t.system.mkdir(g.Path)
	if errors.Is(err, os.ErrExist) {
		// Left by an emperor that was killed: no generation of that number lives.
		err = g.kill()
	}
	if err == nil && invalid(g.Path) {
		err = fmt.Errorf("%s has processes of its own, so that groups in it can have none", at.dir)
		_ = t.system.rmdir(g.Path)
	}
	if err != nil {
		return nil, append(errs, fmt.Errorf("vassals with limits run without a control group: %w", err))
	}
	for _, v := range s.Values {
		if lacking[v.controller()] {
			continue
		}
		if err := write(g.Path, v.File, v.Text); err != nil {
			errs = append(errs, fmt.Errorf("%s has no effect: %w", v.Name, err))
		}
	}
	return g, errs
}

// Path is where the group of a generation is, below a parent. The '@' keeps it apart from
// the kernel's own files.
func (t *Tree) Path(parent, name string, generation uint64) string {
	name = strings.NewReplacer("/", "_", "\n", "_", "\x00", "_").Replace(name)
	return filepath.Join(parent, fmt.Sprintf("%s@%d-%s", name, generation, t.tag))
}

// place is where groups with that parent are made.
func (s *system) place(parent string) (place, error) {
	if parent == "" {
		return s.ownPlace(0)
	}
	if _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) {
		if err := s.mkdir(parent); err != nil && !errors.Is(err, os.ErrExist) {
			return place{}, &os.PathError{Op: "mkdir", Path: parent, Err: err}
		}
	}
	if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
		return place{}, fmt.Errorf("%s is no control group of version 2", parent)
	}
	return place{dir: parent}, nil
}

// enable lets groups below the place have a controller.
func (t *Tree) enable(at place, controller string) error {
	enabled, err := os.ReadFile(filepath.Join(at.dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(enabled)), controller) {
		return nil
	}
	if why := at.lacks(controller); why != "" {
		return errors.New(why)
	}
	err = write(at.dir, "cgroup.subtree_control", "+"+controller)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s has processes of its own, so that groups in it cannot have limits", at.dir)
	}
	return err
}

// clear leaves no process at the place, where groups below it are to have controllers. The
// kernel says so (EBUSY) only for some of them: pids and cpu it enables, and then lets
// nobody into the groups below.
func (t *Tree) clear(at place, s Settings) error {
	if !at.own || at.top || !slices.ContainsFunc(s.Values, func(v Value) bool { return v.controller() != "" && at.lacks(v.controller()) == "" }) {
		return nil
	}
	return t.moveAside(at)
}

// invalid tells whether the kernel lets nobody into a group.
func invalid(dir string) bool {
	kind, _ := os.ReadFile(filepath.Join(dir, "cgroup.type"))
	return strings.HasPrefix(string(kind), "domain invalid")
}

// moveAside moves us, and what we have started without a group of its own, into a group
// beside those of the vassals.
func (t *Tree) moveAside(at place) error {
	if pids, err := processes(at.dir); err != nil || len(pids) == 0 {
		return err
	}
	leaf := filepath.Join(at.dir, leafName)
	if err := t.system.mkdir(leaf); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for range 20 { // what is forked meanwhile has to be moved, too
		pids, err := processes(at.dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if pid != os.Getpid() && !proc.Descends(pid, os.Getpid()) {
				return fmt.Errorf("process %d, which the emperor has not started, is in %s, too", pid, at.dir)
			}
			if err := write(leaf, "cgroup.procs", fmt.Sprint(pid)); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("there are always new processes in %s", at.dir)
}

// Outlook says which of the settings would not be in force for what the emperor of that
// process number (0: this one) starts, and why; whole is why none would. Nothing is made.
func Outlook(pid int, s Settings) (without map[string]string, whole string) {
	return kernel.outlook(pid, s)
}

func (s *system) outlook(pid int, settings Settings) (without map[string]string, whole string) {
	at := place{dir: settings.Parent}
	if at.dir == "" {
		var err error
		if at, err = s.ownPlace(pid); err != nil {
			return nil, err.Error()
		}
	} else if _, err := os.Stat(at.dir); errors.Is(err, os.ErrNotExist) {
		at.dir = filepath.Dir(at.dir) // it will be made
	}
	if _, err := os.Stat(filepath.Join(at.dir, "cgroup.procs")); err != nil {
		return nil, at.dir + " is no control group of version 2"
	}
	without = map[string]string{}
	for _, v := range settings.Values {
		if c := v.controller(); c != "" {
			if why := at.lacks(c); why != "" {
				without[v.Name] = why
			}
		}
	}
	return without, ""
}
