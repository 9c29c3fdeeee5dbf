package monitor

// places are the directories in which an event may change the next scan, by their
// path without symlinks, and which names matter there. A log file that is written
// beside the vassals' files, or a busy /tmp that holds one include, must not cause
// twenty scans a second.
type places map[string]*place

type place struct {
	names   map[string]struct{}
	steps   []step
	vassals bool // every name that could be a vassal's
}

func (p places) at(dir string) *place {
	if p[dir] == nil {
		p[dir] = &place{}
	}
	return p[dir]
}

// name makes one name in dir matter.
func (p places) name(dir, name string) {
	at := p.at(dir)
	if at.names == nil {
		at.names = map[string]struct{}{}
	}
	at.names[name] = struct{}{}
}

// step makes names in dir matter that a glob's step could match.
func (p places) step(dir string, s step) {
	at := p.at(dir)
	for _, known := range at.steps {
		if known == s {
			return
		}
	}
	at.steps = append(at.steps, s)
}

// vassals makes the names of vassal files in dir matter.
func (p places) vassals(dir string) { p.at(dir).vassals = true }

// matters tells whether an event on name in dir calls for a scan.
func (p places) matters(dir, name string, extra []string) bool {
	at, ok := p[dir]
	if !ok {
		return false
	}
	if _, ok := at.names[name]; ok {
		return true
	}
	for _, s := range at.steps {
		if s.matches(name) {
			return true
		}
	}
	return at.vassals && isVassalName(name, extra)
}
