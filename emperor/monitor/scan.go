package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// scan is one look at the file system. It only collects; what is new, settled or
// gone is decided by the Monitor, which knows what was there before.
type scan struct {
	set     *settings
	found   map[string]observation // every vassal file there is
	unknown []unknownPlace         // where nothing could be learned
	places  places                 // what to watch so that the next change is noticed
	roots   map[string]rootSeen    // the directories that lines name, where there is one
	notices []notice
	seen    *Seen // what else a Look wants to know; nil in a Monitor's scans
	// blind: something may change of which no event in the places tells.
	blind bool
}

// unknownPlace is a directory (or one path) of which a source can say nothing now.
type unknownPlace struct {
	source *source
	path   string
}

// keeps tells whether an item that was known before stays because nothing could be
// learned of its place.
func (s *scan) keeps(path string) bool {
	for _, u := range s.unknown {
		if (path == u.path || strings.HasPrefix(path, strings.TrimSuffix(u.path, "/")+"/")) && u.source.holds(path) {
			return true
		}
	}
	return false
}

// notice is something a person should be told once, for as long as it lasts.
type notice struct {
	about string // the path, or ""; with the text it tells notices apart
	text  string
	pos   string
}

func (s *scan) note(from *source, about, format string, args ...any) {
	n := notice{about: about, text: fmt.Sprintf(format, args...)}
	if from != nil {
		n.pos = from.pos
	}
	s.notices = append(s.notices, n)
}

// newScan looks at everything: the vassal files of all sources. Further files are
// looked at by the Monitor, by scan.look.
func newScan(set *settings) *scan {
	return scanInto(set, nil)
}

func scanInto(set *settings, seen *Seen) *scan {
	s := &scan{set: set, found: map[string]observation{}, places: places{}, roots: map[string]rootSeen{}, seen: seen}
	for i := range set.sources {
		source := &set.sources[i]
		if real, ok := s.enterRoot(source); ok {
			if source.steps == nil {
				s.directory(source, real)
			} else {
				s.glob(source, source.root, real, source.steps)
			}
		}
	}
	return s
}

// enterRoot finds the directory that the source's line names. A missing one leaves
// what was known of it as it is: an unmounted disk or a directory that is just being
// replaced must not take every site down (uWSGI keeps them running too, for a
// directory). A symlink's flip in the path is noticed through the places.
func (s *scan) enterRoot(from *source) (real string, ok bool) {
	real, err := resolve(from.root, s.places.name)
	var seenRoot rootSeen
	if err == nil {
		var st syscall.Stat_t
		err = stat(real, &st)
		s.blind = s.blind || err != nil // it was there a moment ago
		seenRoot = rootOf(real, &st)
		if err == nil && !isKind(&st, syscall.S_IFDIR) {
			err = syscall.ENOTDIR
			s.places.name(filepath.Dir(real), filepath.Base(real))
		}
	}
	if err == nil {
		s.roots[from.root] = seenRoot
		return real, true
	}
	s.unknown = append(s.unknown, unknownPlace{from, from.root})
	switch err {
	case syscall.ENOENT:
		s.note(from, from.root, "there is no such directory; waiting for it, and vassals that were in it go on")
	case syscall.ENOTDIR:
		s.note(from, from.root, "want a directory or a file ending in %s, this is neither",
			strings.Join(slices.Concat(configExtensions, s.set.extensions), " "))
	default:
		s.blind = true
		s.note(from, from.root, "cannot look into the directory (%v); vassals that were in it go on", err)
		s.pass(from, from.root, "cannot be looked into: %v", err)
	}
	return "", false
}

// directory takes every vassal file of the source's root.
func (s *scan) directory(from *source, real string) {
	s.places.vassals(real)
	entries, ok := s.list(from, from.root, real)
	if !ok {
		return
	}
	for _, entry := range entries {
		if isVassalName(entry.Name(), s.set.extensions) {
			s.file(from, from.root, real, entry.Name())
		} else {
			s.other(from.root, entry.Name())
		}
	}
}

// glob follows the remaining steps below directory dir, which really is at real.
func (s *scan) glob(from *source, dir, real string, steps []step) {
	first, last := steps[0], len(steps) == 1
	if last && first.wild {
		s.places.vassals(real)
	} else {
		s.places.step(real, first)
	}
	var names []string
	if first.wild {
		entries, ok := s.list(from, dir, real)
		if !ok {
			return
		}
		for _, entry := range entries {
			// d_type spares a stat of each file beside the folders.
			if !last && !entry.IsDir() && entry.Type()&os.ModeSymlink == 0 {
				continue
			}
			if first.matches(entry.Name()) {
				names = append(names, entry.Name())
			}
		}
	} else {
		names = []string{first.text}
	}
	for _, name := range names {
		if last {
			if isVassalName(name, s.set.extensions) {
				s.file(from, dir, real, name)
			} else {
				s.other(dir, name)
			}
			continue
		}
		below := filepath.Join(dir, name)
		realBelow, err := resolve(filepath.Join(real, name), s.places.name)
		var st syscall.Stat_t
		if err == nil {
			err = stat(realBelow, &st)
			s.blind = s.blind || err != nil
		}
		switch {
		case err == nil && isKind(&st, syscall.S_IFDIR):
			s.glob(from, below, realBelow, steps[1:])
		case err != nil && !gone(err):
			s.cannotLook(from, below, err)
		}
	}
}

// list reads one directory. If it cannot, what was known of it stays.
func (s *scan) list(from *source, dir, real string) ([]os.DirEntry, bool) {
	entries, err := os.ReadDir(real)
	if err == nil {
		return entries, true
	}
	if os.IsNotExist(err) && dir != from.root {
		return nil, false // a folder below the wildcard may go, and its vassals with it
	}
	if pathError, ok := err.(*os.PathError); ok {
		err = pathError.Err
	}
	s.cannotLook(from, dir, err)
	return nil, false
}

func (s *scan) cannotLook(from *source, path string, err error) {
	s.blind = true
	s.unknown = append(s.unknown, unknownPlace{from, path})
	s.note(from, path, "cannot be looked at (%v); what was known of it stays", err)
	s.pass(from, path, "cannot be looked at: %v", err)
}

// file notes one vassal file, if it is one: something regular, at the end of all
// symlinks. Directories, sockets and FIFOs that are named like one are passed over.
func (s *scan) file(from *source, dir, real, name string) {
	path := filepath.Join(dir, name)
	if _, done := s.found[path]; done {
		return // two lines of the main file may name it
	}
	var link, file syscall.Stat_t
	if err := lstat(filepath.Join(real, name), &link); err != nil {
		if !gone(err) {
			s.cannotLook(from, path, err)
		}
		return
	}
	if isKind(&link, syscall.S_IFREG) {
		s.found[path] = observation{stamp: Stamp{File: inodeOf(&link), Owners: [2]Owner{s.ownerOf(&link)}}, changed: changeTime(&link)}
		s.blind = s.blind || hasOtherNames(&link)
		return
	}
	if !isKind(&link, syscall.S_IFLNK) {
		s.pass(from, path, "is %s, and so no vassal", kindOf(&link))
		return
	}
	o := observation{stamp: Stamp{Link: inodeOf(&link), Owners: [2]Owner{1: s.ownerOf(&link)}}, changed: changeTime(&link)}
	target, err := resolve(filepath.Join(real, name), s.places.name)
	if err == nil {
		err = stat(target, &file)
		s.blind = s.blind || err != nil || hasOtherNames(&file)
	}
	switch {
	case err == nil && !isKind(&file, syscall.S_IFREG):
		s.pass(from, path, "leads to %s, which is %s, and so no vassal", target, kindOf(&file))
		return
	case s.set.noFollow:
		// uWSGI takes the link's word, whether or not it leads anywhere. Reading the
		// file will tell the user.
		s.found[path] = o
		return
	case err == syscall.ENOENT, err == syscall.ENOTDIR, err == syscall.ELOOP:
		s.note(from, path, "the symlink leads nowhere (%v); no vassal until it does", err)
		to, _ := readlink(path)
		s.pass(from, path, "is a symbolic link to %s, which leads nowhere (%v): no vassal until it does", to, err)
		return
	case err != nil:
		s.cannotLook(from, path, err)
		return
	}
	// An event in the target's directory is the only one there is when the target is
	// written or replaced.
	s.places.name(filepath.Dir(target), filepath.Base(target))
	o.stamp.File, o.stamp.Owners[0] = inodeOf(&file), s.ownerOf(&file)
	if t := changeTime(&file); t.After(o.changed) {
		o.changed = t
	}
	s.found[path] = o
}

// look observes a further file and notes where a change of it will show.
func (s *scan) look(path string) observation {
	if o, done := s.found[path]; done && !s.set.noFollow {
		return o
	}
	target, err := resolve(path, s.places.name)
	if err == nil {
		s.places.name(filepath.Dir(target), filepath.Base(target))
	}
	o := observe(path)
	s.blind = s.blind || err != nil && !gone(err) || o.otherNames
	return o
}
