package monitor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// holdFirst is for how many debounce times the first snapshot waits for files that
// are just being written: who starts an emperor right after writing its files wants
// them in the first snapshot, and one endless writer must not hold up the others.
const holdFirst = 10

// restFactor bounds the part of a processor that scans may take: after each, the
// monitor rests this many times as long as it took, but no longer than longestRest,
// so that one scan which a busy machine held up does not delay the next edit.
const (
	restFactor  = 9
	longestRest = 500 * time.Millisecond
)

// loop is the state of Run: all of it belongs to one goroutine.
type loop struct {
	*Monitor
	now     func() time.Time
	watcher watcher
	mounts  mounts
	places  places
	files   map[string]*settled // vassal files
	roots   map[string]*root    // directories that sources name
	names   map[string]string   // of reported vassal files, by path
	further map[string]*settled // files given to Watch
	said    map[notice]bool     // what held at the last scan
	last    Snapshot

	fillTime time.Duration

	started time.Time
	timer   *time.Timer
	due     time.Time     // when the timer fires
	ended   time.Time     // when the last scan ended
	took    time.Duration // how long it took
	asked   bool          // something calls for a scan
	net     time.Time     // when there is one even if nothing does
	scans   int
}

func newLoop(m *Monitor) *loop {
	names := maps.Clone(m.named)
	if names == nil {
		names = map[string]string{}
	}
	return &loop{
		Monitor:  m,
		now:      time.Now,
		watcher:  newWatcher(),
		files:    map[string]*settled{},
		roots:    map[string]*root{},
		names:    names,
		further:  map[string]*settled{},
		fillTime: fillTime,
	}
}

func (l *loop) run(ctx context.Context) {
	defer l.watcher.close()
	defer l.mounts.close()
	l.started = l.now()
	l.due = l.started
	l.timer = time.NewTimer(0)
	defer l.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-l.watcher.events():
			l.event(event)
		case err := <-l.watcher.errors():
			// Events were lost (overflow), the end of a watch perhaps among them: only
			// a new watcher knows again what it watches.
			l.log.Debug("file events were lost, scanning", "err", err)
			l.watcher.close()
			l.within(l.settings.Load().debounce)
		case <-l.poke:
			l.within(l.settings.Load().debounce)
		case <-l.timer.C:
			l.turn()
		}
	}
}

// event hurries the next scan if what happened can matter to it.
func (l *loop) event(e fsnotify.Event) {
	set := l.settings.Load()
	dir, name, self := l.watcher.owns(e.Name)
	if self && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
		l.watcher.drop(dir)
		l.removed(dir)
	}
	if self || l.places.matters(dir, name, set.extensions) {
		l.within(set.debounce)
	}
}

// within makes the next scan happen in d at the latest, but for the rest it owes.
func (l *loop) within(d time.Duration) {
	l.asked = true
	due := l.now().Add(d)
	if rested := l.ended.Add(min(l.took*restFactor, longestRest)); due.Before(rested) {
		due = rested
	}
	if due.Before(l.due) {
		l.due = due
		l.timer.Reset(due.Sub(l.now()))
	}
}

// turn scans, reports, and sets the timer. When nothing calls for a scan it may be
// enough to see that what the kernel would report has not moved.
func (l *loop) turn() {
	begun := l.now()
	set := l.settings.Load()
	if l.mayRest(set, begun) {
		l.rest(set)
		return
	}
	owners := l.wantedOwners()
	l.asked = false
	l.scans++
	s := l.look(set, owners)
	l.say(s.notices)
	again := l.settle(s, owners)
	l.ended = l.now()
	l.took = l.ended.Sub(begun)
	l.net = l.ended.Add(set.frequency)
	if s.covered {
		l.net = l.ended.Add(set.pause(len(s.found) + len(s.further) + len(s.places)))
	}
	l.rest(set)
	if again > 0 {
		l.within(again)
	}
}

// result is a scan and what the further files looked like in it.
type result struct {
	*scan
	further map[string]observation
	begun   time.Time
	covered bool // no later change can go without an event
}

// look scans until no directory came newly under watch, so that whatever happens
// after the scan causes an event.
func (l *loop) look(set *settings, owners map[string][]string) result {
	begun := l.now()
	for pass := 1; ; pass++ {
		r := result{scan: newScan(set), further: map[string]observation{}, begun: begun}
		for _, files := range owners {
			for _, file := range files {
				if _, done := r.further[file]; !done {
					r.further[file] = r.look(file)
				}
			}
		}
		l.places = r.places
		added, all := l.watcher.sync(r.places, func(dir, why string) {
			r.note(nil, dir, "not every change can be noticed at once (%s); scanning every %v", why, set.frequency)
		})
		// Somebody who makes directories faster than we look gets the regular scans.
		if !added || pass == 10 {
			r.covered = !added && all && !r.blind
			if r.covered && set.rarely {
				r.covered = !l.mounts.anyFile(r.places, set.extensions)
			}
			return r
		}
	}
}

// settle decides what of a scan is reported, and reports it if it differs. It
// returns in how long to look again without any event; 0 means no need.
func (l *loop) settle(r result, owners map[string][]string) (again time.Duration) {
	now := l.now()
	debounce := r.set.debounce
	soon := func(d time.Duration) {
		if d > 0 && (again == 0 || d < again) {
			again = d
		}
	}
	l.keepWhileFilling(r.scan, now, soon)
	changed := l.settleFiles(r.scan, now, soon)
	for path, o := range r.further {
		known := l.further[path]
		if known == nil {
			known = &settled{}
			l.further[path] = known
		}
		_, wait := known.take(o, now, debounce)
		soon(wait)
	}
	maps.DeleteFunc(l.further, func(path string, _ *settled) bool {
		_, wanted := r.further[path]
		return !wanted
	})
	first := l.last.Number == 0
	if first && again > 0 && now.Sub(l.started) < holdFirst*debounce {
		return again
	}
	fingerprints := l.fingerprints(owners)
	if first || changed || !maps.Equal(fingerprints, l.last.Owners) {
		l.last = Snapshot{Number: l.last.Number + 1, Scanned: r.begun, Items: l.items(r.set), Owners: fingerprints}
		l.publish(l.last)
	}
	return again
}

// settleFiles is settle for the vassal files.
func (l *loop) settleFiles(s *scan, now time.Time, soon func(time.Duration)) (changed bool) {
	arrived := map[identity]bool{} // inodes that came to a path in this scan
	for path, o := range s.found {
		known := l.files[path]
		if known == nil {
			known = &settled{}
			l.files[path] = known
		}
		before := known.stamp
		did, wait := known.take(o, now, s.set.debounce)
		soon(wait)
		if !did {
			continue
		}
		changed = true
		if before.identity() != known.stamp.identity() {
			arrived[known.stamp.identity()] = true
		}
	}
	for path, known := range l.files {
		if _, there := s.found[path]; there {
			continue
		}
		if s.keeps(path) {
			known.missing = time.Time{}
			continue
		}
		// A renamed file has to leave its old name in the same snapshot in which the
		// new one appears, or both would want one socket.
		renamed := known.known && arrived[known.stamp.identity()]
		did, wait := known.take(observation{}, now, s.set.debounce)
		if known.known && !did && !renamed {
			soon(wait)
			continue
		}
		_, reported := l.names[path]
		changed = changed || reported
		delete(l.files, path)
		delete(l.names, path)
	}
	return changed
}

// items lists the reported vassal files with their names.
func (l *loop) items(set *settings) []Item {
	items := make([]Item, 0, len(l.files))
	for path, known := range l.files {
		if known.known {
			items = append(items, Item{Path: path, Name: l.names[path], Stamp: known.stamp})
		}
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	assignNames(items, set.extensions)
	for _, item := range items {
		if l.names[item.Path] != item.Name {
			l.names[item.Path] = item.Name
			if short := nameOf(item.Path, 0, set.extensions); short != item.Name {
				l.log.Info(fmt.Sprintf("another vassal file is called %s too, so this one is vassal %s", short, item.Name),
					"file", item.Path)
			}
		}
	}
	return items
}

// fingerprints sums up each owner's files, once all of them are settled.
func (l *loop) fingerprints(owners map[string][]string) map[string]Fingerprint {
	all := make(map[string]Fingerprint, len(owners))
	for owner, files := range owners {
		if !slices.ContainsFunc(files, func(f string) bool { return !l.further[f].known }) {
			all[owner] = fingerprint(files, func(path string) Stamp { return l.further[path].stamp })
		}
	}
	return all
}

// say logs each condition once for as long as it lasts.
func (l *loop) say(notices []notice) {
	now := make(map[notice]bool, len(notices))
	for _, n := range notices {
		if !l.said[n] && !now[n] {
			var args []any
			if n.about != "" {
				args = append(args, "path", n.about)
			}
			if n.pos != "" {
				args = append(args, "option", n.pos)
			}
			l.log.Warn(n.text, args...)
		}
		now[n] = true
	}
	l.said = now
}
