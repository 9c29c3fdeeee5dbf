package emperor

import (
	"slices"

	"emperor/emperor/monitor"
	"emperor/vassal"
)

// Files whose touch is an order are watched like the files that a vassal includes, by
// an owner of their own. What counts is that a file is not what it was: touched,
// written, made, removed.

const (
	touchOwner     = "touch of " // and the path of a vassal's file
	mainTouchOwner = "touch of the main file"
)

// touched is what is known of such files.
type touched struct {
	files []string
	print monitor.Fingerprint // of them, when they were looked at last
	known bool                // print is
}

// watch makes files the ones that are watched.
func (t *touched) watch(owner string, files []string, watch func(owner string, files []string)) {
	if !slices.Equal(t.files, files) {
		*t = touched{files: files, print: monitor.FingerprintOf(files)}
		// It is different each time while one of them is being written: then the next
		// snapshot tells what they are like.
		t.known = t.print == monitor.FingerprintOf(files)
		watch(owner, files)
	}
}

// look tells whether somebody has touched one since the last snapshot.
func (t *touched) look(owner string, s monitor.Snapshot) bool {
	print, ok := s.Owners[owner]
	if !ok || len(t.files) == 0 {
		return false // one is being written; the next snapshot will tell
	}
	was := *t
	t.print, t.known = print, true
	return was.known && was.print != print
}

// watchTouch follows what the vassal's file says of such files.
func (r *registry) watchTouch(e *entry) {
	var files []string
	if e.spec != nil && !e.leaving {
		files = e.spec.Touch
	}
	e.touch.watch(touchOwner+e.item.Path, files, r.watch)
}

// checkTouched reloads the vassals whose files were touched. One whose own file has
// changed in the same snapshot gets a new generation anyway.
func (r *registry) checkTouched(s monitor.Snapshot, changed map[*entry]bool) {
	for e := range r.all() {
		r.watchTouch(e) // a vassal that was taken over from another binary is not watched yet
		if !e.touch.look(touchOwner+e.item.Path, s) || changed[e] || e.leaving || e.spec == nil {
			continue
		}
		r.log.Info("touched: reloading", "vassal", e.name, "files", e.touch.files)
		r.order(e.site, vassal.OrderReload)
	}
}

// watchMainTouch follows what the main file says of such files.
func (e *Emperor) watchMainTouch() {
	var files []string
	if e.main.App == nil {
		for _, v := range e.main.Config.All("touch-reload") {
			if v.Value != "" {
				files = append(files, e.main.absolute(v.Value))
			}
		}
	}
	e.touch.watch(mainTouchOwner, files, e.monitor.Watch)
}

// checkMainTouch reads the main file again when one of its files was touched.
func (e *Emperor) checkMainTouch() (again bool) {
	if e.touch.look(mainTouchOwner, e.snapshot) {
		return e.hangUp("touched (touch-reload)")
	}
	return false
}
