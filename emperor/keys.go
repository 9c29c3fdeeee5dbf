package emperor

import "emperor/emperor/monitor"

// A uWSGI that announces itself may have its keys in a file, which it reads each time.
// While it sleeps nobody does, so the file is watched: a request for a key that was
// added wakes it, too.

const keysOwner = "keys of " // and the path of a vassal's file

// watchKeys follows what the vassal's file says of such files.
func (r *registry) watchKeys(e *entry) {
	var files []string
	if e.spec != nil && !e.leaving {
		files = e.spec.KeyFiles()
	}
	e.keys.watch(keysOwner+e.item.Path, files, r.watch)
}

// checkKeys tells the vassals whose files were changed.
func (r *registry) checkKeys(s monitor.Snapshot) {
	for e := range r.all() {
		r.watchKeys(e) // see checkTouched
		if e.keys.look(keysOwner+e.item.Path, s) {
			e.site.KeysChanged()
		}
	}
}
