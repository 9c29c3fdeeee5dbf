package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// Passed is something that a line of the main file names, and that can be no vassal.
type Passed struct {
	Path string
	// Pos is where the line stands; may be empty.
	Pos string
	// Why says what it is: "is a directory, and so no vassal".
	Why string
}

// Seen is the outcome of one Look.
type Seen struct {
	// Items are the vassal files, sorted by Path, named as a fresh start names them.
	Items []Item
	// Passed are the things that are named like vassal files but can be none: a
	// directory, a named pipe, a link that leads nowhere. A missing directory of a
	// source is not among them.
	Passed []Passed
	// Others are files beside the vassals, within what the sources name, whose
	// names are not those of vassals: README, shop.conf. Neither hidden files nor
	// what editors leave behind are among them.
	Others []string
}

// Look scans once, for whoever wants to know what a Monitor of the same Options
// would report. Files that are being written at the moment count as they are.
func Look(o Options) (Seen, error) {
	set, err := newSettings(o)
	if err != nil {
		return Seen{}, err
	}
	var seen Seen
	for path, o := range scanInto(set, &seen).found {
		seen.Items = append(seen.Items, Item{Path: path, Stamp: o.stamp})
	}
	slices.SortFunc(seen.Items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	assignNames(seen.Items, set.extensions)
	// Two lines of the main file may name the same.
	slices.SortStableFunc(seen.Passed, func(a, b Passed) int { return cmp.Compare(a.Path, b.Path) })
	seen.Passed = slices.CompactFunc(seen.Passed, func(a, b Passed) bool { return a.Path == b.Path })
	slices.Sort(seen.Others)
	seen.Others = slices.Compact(seen.Others)
	return seen, nil
}

func (s *scan) pass(from *source, path, format string, args ...any) {
	if s.seen != nil {
		s.seen.Passed = append(s.seen.Passed, Passed{Path: path, Pos: from.pos, Why: fmt.Sprintf(format, args...)})
	}
}

// other notes a name that no vassal can have, unless it is meant not to be seen.
func (s *scan) other(dir, name string) {
	if s.seen == nil || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") || name == "4913" || isSedTemporary(name) {
		return
	}
	var st syscall.Stat_t
	if path := strings.TrimSuffix(dir, "/") + "/" + name; stat(path, &st) == nil && isKind(&st, syscall.S_IFREG) {
		s.seen.Others = append(s.seen.Others, path)
	}
}

// kindOf says in words what is no regular file.
func kindOf(st *syscall.Stat_t) string {
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		return "a directory"
	case syscall.S_IFIFO:
		return "a named pipe"
	case syscall.S_IFSOCK:
		return "a socket"
	}
	return "a device"
}
