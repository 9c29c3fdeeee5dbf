package emperor

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"emperor/internal/config"
	"emperor/vassal"
	"emperor/vassal/foresee"
	"emperor/vassal/spec"
)

// lookTogether is how many that will hardly start are found before those that wait are
// put into another order.
const lookTogether = 32

// doubts is what is known of vassals that will hardly start, so that those of whom
// nothing bad is known start before them: at a cold start two hundred sites that
// cannot start would keep a good one waiting for seconds. There is doubt of one
//   - that had failed when the emperor ended (see memory.go),
//   - that needs what is not there: its program, its folder, its app's file,
//   - that runs the same app as one that has failed since,
//   - that was made alike: its file differs by its name only from some that have failed
//     since, while none of those has started.
//
// It only decides who starts first, and ends with the vassal's first start. Vassals
// tell their states from goroutines of their own.
type doubts struct {
	log     *slog.Logger
	rethink func()                 // there is more doubt than before
	there   func(name string) bool // there is such a vassal
	memory  memory
	saving  sync.Mutex // held while the file is written

	mu      sync.Mutex         // guards what follows
	closed  bool               // the emperor ends, and everybody with it
	hardly  map[string]bool    // vassals that will hardly start
	traits  map[string][]trait // of each of those that come by the dozen and have not started yet
	share   map[trait]int      // how many of those have it
	failed  map[trait]int      // how many with it have failed, since one has started
	failing map[string]bool    // vassals whose last start has failed
	changed chan struct{}      // holds one: failing has changed
}

func newDoubts(s *slots, there func(name string) bool, m memory, log *slog.Logger) *doubts {
	d := &doubts{
		log: log, rethink: s.rethink, there: there, memory: m,
		hardly: map[string]bool{}, traits: map[string][]trait{}, share: map[trait]int{}, failed: map[trait]int{}, failing: map[string]bool{},
		changed: make(chan struct{}, 1),
	}
	for _, name := range d.memory.load(log) {
		d.hardly[name], d.failing[name] = true, true
	}
	s.doubtful = d.about
	return d
}

// about tells whether there is doubt of a vassal.
func (d *doubts) about(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hardly[name] || slices.ContainsFunc(d.traits[name], func(t trait) bool { return d.failed[t] >= t.enough() })
}

// expect is told of vassals that are about to start together. It looks for what they
// need while the first of them start, until ctx ends.
func (d *doubts) expect(ctx context.Context, fresh []readAhead, defaults vassal.Defaults, background func(func())) {
	var starting []readAhead
	d.mu.Lock()
	for _, one := range fresh {
		if s := one.reading.spec; s != nil && s.Kind != spec.Static && !s.OnDemand {
			starting = append(starting, one)
			if app := appOf(one.reading.config, filepath.Dir(one.item.Path)); app != "" {
				d.forget(one.item.Name)
				d.traits[one.item.Name] = []trait{{app, false}, {strings.ReplaceAll(app, one.item.Name, "\x00"), true}}
				for _, t := range d.traits[one.item.Name] {
					d.share[t]++
				}
			}
		}
	}
	d.mu.Unlock()
	if len(starting) == 0 {
		return
	}
	background(func() {
		found := 0
		for _, one := range starting {
			if ctx.Err() != nil {
				return
			}
			if !foresee.Doomed(one.reading.spec, foresee.Outlook{Config: one.reading.config, Environment: defaults.Environment, UWSGI: defaults.UWSGI, SocketGroup: defaults.SocketGroup}) {
				continue
			}
			d.mu.Lock()
			d.hardly[one.item.Name] = true
			d.mu.Unlock()
			if found++; found%lookTogether == 0 {
				d.rethink()
			}
		}
		d.rethink()
	})
}

// forget takes a vassal out of those that have not started; d.mu is held.
func (d *doubts) forget(name string) []trait {
	traits := d.traits[name]
	delete(d.traits, name)
	for _, t := range traits {
		if d.share[t]--; d.share[t] == 0 {
			delete(d.share, t)
			delete(d.failed, t)
		}
	}
	return traits
}

// edited is told that a vassal's file was changed: it is another one now.
func (d *doubts) edited(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.hardly, name)
	d.forget(name)
}

// see is told each state of a vassal, in order.
func (d *doubts) see(s vassal.Status) {
	if d.learn(s) {
		d.rethink()
	}
}

// learn tells whether there is more doubt than before.
func (d *doubts) learn(s vassal.Status) (more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	failed := s.State == vassal.Failed
	switch s.State {
	case vassal.Failed, vassal.Ready, vassal.Asleep, vassal.Stopped, vassal.Gone:
	default:
		return false // it is on its way
	}
	if d.failing[s.Name] != failed {
		if failed {
			d.failing[s.Name] = true
		} else {
			delete(d.failing, s.Name)
		}
		select {
		case d.changed <- struct{}{}:
		default: // nobody has looked since the last one
		}
	}
	delete(d.hardly, s.Name)
	for _, t := range d.forget(s.Name) {
		switch {
		case s.State == vassal.Ready:
			delete(d.failed, t)
		case failed && d.share[t] > 0:
			d.failed[t]++
			more = more || d.failed[t] == t.enough()
		}
	}
	return more
}

// trait is what vassals may have in common: the app that they run, or what is left of
// that without their names.
type trait struct {
	text  string
	alike bool
}

// enough is how many have to fail until there is doubt of the others: what runs the same
// fails in the same way, but of sites of one kind a few may have a mistake of their own.
func (t trait) enough() int {
	if t.alike {
		return 3
	}
	return 1
}

// appOptions say which code a vassal runs. Two of one folder that agree in them run the
// same: what keeps one from starting keeps the other.
var appOptions = []string{
	"command", "chdir", "wsgi-file", "file", "module", "wsgi", "psgi", "rack", "mount", "plugin", "plugins",
	"virtualenv", "venv", "home", "pyhome", "pythonpath", "python-path", "pp", "binary-path", "uid",
}

// appOf is what a vassal runs, as a text to be compared; empty: its file does not say.
func appOf(c *config.Config, dir string) string {
	if c == nil {
		return ""
	}
	values := c.All(appOptions...)
	if len(values) == 0 {
		return ""
	}
	var app strings.Builder
	app.WriteString(dir)
	for _, v := range values {
		if v.Unknown {
			return ""
		}
		app.WriteString("\x00" + v.Key + "=" + v.Value)
	}
	return app.String()
}
