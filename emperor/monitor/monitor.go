package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pattern is one value of the option "emperor".
type Pattern struct {
	// Value is a directory, a glob, dir://DIRECTORY or glob://GLOB. A relative one
	// counts from Options.Dir. Without a scheme it is what it looks like: a
	// directory if there is one of that name or if it holds no wildcard, else a
	// glob; a glob that matches one thing, a directory, when the Monitor is made,
	// stands for that directory (as in uWSGI).
	Value string
	// Pos is where the line stands, for messages; it may be nil.
	Pos fmt.Stringer
}

// Options is what a Monitor is made of. The zero value of every field but Patterns
// is usable.
type Options struct {
	Patterns []Pattern
	// Dir is what relative patterns count from; "" is the working directory.
	Dir string
	// NoFollow takes a symlink's own stamp instead of its target's
	// (emperor-nofollow): touching a shared target then reloads nobody.
	NoFollow bool
	// Owners makes another owner of a vassal file, or of the symlink that leads to it, a
	// change (emperor-tyrant).
	Owners bool
	// Extensions are further endings of vassal files (emperor-extra-extension),
	// beside .ini .xml .yml .yaml .js .json. They are compared as they stand,
	// case-sensitive, so ".conf" and not "conf".
	Extensions []string
	// Frequency is the time between two scans that nothing hurried (emperor-freq):
	// the way changes are found where the kernel reports none. Less than 100 ms is
	// raised to that (uWSGI's 0 burns a processor). 0 means 3 s, and more where the
	// kernel reports every change (see rest.go).
	Frequency time.Duration
	// Debounce is how long a file must have been left alone before it is reported,
	// and how long the first event waits for more. 0 means 50 ms.
	Debounce time.Duration
	// Log gets one line per condition, not per scan; nil means silence.
	Log *slog.Logger
}

// Item is one vassal file.
type Item struct {
	// Path is absolute and clean; symlinks in it are not resolved. It identifies
	// the vassal: two files are two vassals.
	Path string
	// Name is the file's name without its extension, or DIR/NAME where that would
	// be another item's name too (see names.go). It is unique in its Snapshot and
	// stays with the Path for as long as the item is there.
	Name string
	// Stamp changes when the file changed. Compare with ==.
	Stamp Stamp
}

// Snapshot is everything that is wanted at one moment. It is immutable.
type Snapshot struct {
	// Number counts the snapshots of a Monitor from 1.
	Number uint64
	// Scanned is when the scan began that found it so: when the edit that it tells of
	// had been left alone for the debounce time.
	Scanned time.Time
	// Items are sorted by Path.
	Items []Item
	// Owners holds, for each owner given to Watch, the Fingerprint of its files as
	// this scan found them. A value that differs from the Fingerprint taken before
	// the files were read means: read them again. An owner is missing while one of
	// its files is being written; that says nothing.
	Owners map[string]Fingerprint
}

// What a Monitor does where Options say nothing.
const (
	defaultFrequency = 3 * time.Second // uWSGI's emperor-freq
	lowestFrequency  = 100 * time.Millisecond
	defaultDebounce  = 50 * time.Millisecond
)

// settings are checked Options. They are immutable.
type settings struct {
	sources    []source
	noFollow   bool
	owners     bool
	extensions []string
	frequency  time.Duration
	rarely     bool // where the kernel reports every change scans may be rarer
	debounce   time.Duration
}

func newSettings(o Options) (*settings, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("emperor: the working directory is not known: %w", err)
	}
	set := &settings{
		noFollow:   o.NoFollow,
		owners:     o.Owners,
		extensions: slices.DeleteFunc(slices.Clone(o.Extensions), func(e string) bool { return e == "" }),
		frequency:  o.Frequency,
		debounce:   o.Debounce,
	}
	if set.frequency <= 0 {
		set.frequency, set.rarely = defaultFrequency, true
	}
	set.frequency = max(set.frequency, lowestFrequency)
	if set.debounce <= 0 {
		set.debounce = defaultDebounce
	}
	if set.sources, err = newSources(o.Patterns, dir, set.extensions); err != nil {
		return nil, err
	}
	return set, nil
}

// Monitor watches for vassal files. Make it with New, then call Run once.
type Monitor struct {
	log       *slog.Logger
	snapshots chan Snapshot
	poke      chan struct{} // holds one: the settings or owners changed

	settings atomic.Pointer[settings]

	named map[string]string // see Remember

	mu     sync.Mutex
	owners map[string][]string // mu guards the map; the lists never change
}

// New checks the patterns and makes a Monitor; it starts nothing and holds nothing
// open. The error names each bad pattern with its position.
func New(o Options) (*Monitor, error) {
	set, err := newSettings(o)
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &Monitor{
		log:       log,
		snapshots: make(chan Snapshot, 1),
		poke:      make(chan struct{}, 1),
		owners:    map[string][]string{},
	}
	m.settings.Store(set)
	return m, nil
}

// Remember gives files the names that they have already, by their paths. Call it before
// Run.
func (m *Monitor) Remember(names map[string]string) { m.named = names }

// Run scans until ctx ends, and returns when everything it started has ended. It
// returns nil: nothing that a file system does is a reason to stop.
func (m *Monitor) Run(ctx context.Context) error {
	newLoop(m).run(ctx)
	return nil
}

// Snapshots is where the wanted state comes out. The first Snapshot always comes,
// also if it is empty; later ones only when something changed. The channel holds
// one, the latest; it is never closed.
func (m *Monitor) Snapshots() <-chan Snapshot { return m.snapshots }

// Watch sets the further files that count as part of owner: what a vassal's file or
// the main file includes, files that do not exist yet among them. It replaces what
// the owner had; no files end it. An owner is any text the caller likes, for a
// vassal its Item.Path (whose own file need not be among the files: its Stamp is in
// the Item). Paths must be absolute. Watch may be called from any goroutine, also
// before Run.
//
// The files' state appears in Snapshot.Owners of a later snapshot.
func (m *Monitor) Watch(owner string, files []string) {
	clean := make([]string, len(files))
	for i, file := range files {
		clean[i] = filepath.Clean(file)
	}
	m.mu.Lock()
	same := slices.Equal(m.owners[owner], clean)
	if len(files) == 0 {
		delete(m.owners, owner)
	} else if !same {
		m.owners[owner] = clean
	}
	m.mu.Unlock()
	if !same {
		m.hurry()
	}
}

// Reconfigure replaces the options but for Log, as a re-read main file wants it. On
// error nothing has changed. Items that both configurations have keep their names.
func (m *Monitor) Reconfigure(o Options) error {
	set, err := newSettings(o)
	if err != nil {
		return err
	}
	m.settings.Store(set)
	m.hurry()
	return nil
}

// Scan makes it look at once.
func (m *Monitor) Scan() { m.hurry() }

func (m *Monitor) hurry() {
	select {
	case m.poke <- struct{}{}:
	default: // one is waiting already
	}
}

// wantedOwners is what the next scan goes by.
func (m *Monitor) wantedOwners() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.owners)
}

// publish hands out s; a snapshot that nobody has taken yet gives way to it. Only
// the loop calls it, so the second step cannot block.
func (m *Monitor) publish(s Snapshot) {
	select {
	case <-m.snapshots:
	default:
	}
	m.snapshots <- s
}
