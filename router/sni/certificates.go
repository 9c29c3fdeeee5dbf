package sni

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultCacheSize is how many pairs stay loaded (sni-cache).
const DefaultCacheSize = 10_000

// Bounds that nobody has to set.
const (
	mostFailures = 1024 // failures remembered
	mostWaiting  = 1024 // loads that run or wait for their turn
	mostPreloads = 64   // of them, those of Preload
	// mostOrders is how many loads may wait at a time for a certificate authority, in
	// nobody else's way.
	mostOrders = 256

	// patience is how long a handshake waits for what is to replace a pair that
	// would do.
	patience = 250 * time.Millisecond
)

// Options say how Certificates work. The zero value of each field but Tickets is a
// good default.
type Options struct {
	// Loader reads files. Without one there are only pairs that are Put.
	Loader  Loader
	Tickets *Ring
	// Also knows names that come and go, such as those that are announced: it is asked
	// for a canonical name that the table does not have exactly. May be nil.
	Also func(name string) (Choice, bool)
	// CacheSize is how many pairs stay loaded: DefaultCacheSize.
	CacheSize int
	// Loads is how many loads run at a time: 16.
	Loads int
	// LoadTimeout bounds one load: 5 s.
	LoadTimeout time.Duration
	// FailureTTL is how long a failed load is not tried again: 1 s.
	FailureTTL time.Duration
	// UnloadAfter is how long the files of a pair have to be gone before it is
	// unloaded: 5 s. Not everybody replaces files in one step.
	UnloadAfter time.Duration
	Log         *slog.Logger     // discards, if nil
	Now         func() time.Time // time.Now
}

// Certificates owns the pairs that are loaded and the table that says whose they
// are. All methods may be called from any goroutine.
type Certificates struct {
	options Options
	table   atomic.Pointer[Table]
	// challenges are for certificate authorities, by name; nil: none.
	challenges atomic.Pointer[map[string]*tls.Config]
	turns      chan struct{} // one for each load that runs
	orders     chan struct{} // the same for names of Issued

	context context.Context // ends with Close, and loads with it
	cancel  context.CancelFunc
	loads   sync.WaitGroup

	mu       sync.Mutex // guards all below
	closed   bool
	pairs    *lru[key, *entry]
	failures *lru[key, failure]
	flights  map[key]*flight
	pools    map[[sha256.Size]byte]*pool
	stats    Stats
	lines    []func() // to be logged by unlock
}

// entry is a loaded pair and what is to become of it.
type entry struct {
	loaded *loaded
	pinned bool // a listener's own: in no table
	stale  bool // its files have changed
	// A load that was to replace it failed: with this, and is not tried before then.
	reason  string
	retryAt time.Time
	gone    time.Time // since when its files are missing
}

// failure is a load that is not tried again for a moment.
type failure struct {
	err   error
	until time.Time
}

// flight is a load that is under way, for all who wait for it.
type flight struct {
	done    chan struct{}
	guessed bool // see Choice
	turns   chan struct{}
	// Written before done is closed.
	loaded *loaded
	err    error
	// changed is set when the files change while they are read. Guarded by
	// Certificates.mu.
	changed bool
}

var (
	errClosed = errors.New("the router stops")
	errBusy   = errors.New("too many certificates are being loaded")

	errNoLoader = errors.New("nobody reads certificates here")
)

// NewCertificates returns Certificates with an empty table. Close ends it.
func NewCertificates(o Options) *Certificates {
	if o.CacheSize <= 0 {
		o.CacheSize = DefaultCacheSize
	}
	if o.Loads <= 0 {
		o.Loads = 16
	}
	if o.LoadTimeout <= 0 {
		o.LoadTimeout = 5 * time.Second
	}
	if o.FailureTTL <= 0 {
		o.FailureTTL = time.Second
	}
	if o.UnloadAfter <= 0 {
		o.UnloadAfter = 5 * time.Second
	}
	if o.Loader == nil {
		o.Loader = LoaderFunc(func(context.Context, Request) (Material, error) { return Material{}, errNoLoader })
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Certificates{
		options:  o,
		turns:    make(chan struct{}, o.Loads),
		orders:   make(chan struct{}, mostOrders),
		pairs:    newLRU[key, *entry](o.CacheSize),
		failures: newLRU[key, failure](mostFailures),
		flights:  map[key]*flight{},
		pools:    map[[sha256.Size]byte]*pool{},
	}
	c.context, c.cancel = context.WithCancel(context.Background())
	empty, _ := Compile(Config{})
	c.table.Store(empty)
	return c
}

// Table returns the current table.
func (c *Certificates) Table() *Table { return c.table.Load() }

// find returns what a canonical name gets.
func (c *Certificates) find(t *Table, name string) (Choice, bool) {
	if also := c.options.Also; also != nil {
		if choice, ok := t.lookup(name); ok {
			return choice, true
		}
		if choice, ok := also(name); ok {
			return choice, true
		}
	}
	return t.Find(name)
}

// SetTable makes t the table of all handshakes from now on, and unloads what it does
// not lead to any more.
func (c *Certificates) SetTable(t *Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.table.Store(t)
	// The name that a pair was first asked for may be gone, and others still lead to it.
	named := map[key]bool{}
	for _, choice := range t.Choices() {
		named[keyOf(&choice)] = true
	}
	c.pairs.all(func(k key, e *entry) bool {
		if choice, ok := c.find(t, e.loaded.name); !e.pinned && !named[k] && (!ok || keyOf(&choice) != k) {
			c.pairs.remove(k)
			c.forgetLocked(e)
		}
		return true
	})
	c.failures = newLRU[key, failure](mostFailures) // the new table may be the cure
}

// KeepOwn says which pairs listeners have for themselves, and unloads those that were
// some listener's and are no more.
func (c *Certificates) KeepOwn(own ...Choice) {
	keep := map[key]bool{}
	for i := range own {
		keep[keyOf(&own[i])] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pairs.all(func(k key, e *entry) bool {
		if e.pinned && !keep[k] {
			c.pairs.remove(k)
			c.forgetLocked(e)
		}
		return true
	})
}

// SetCacheSize changes how many pairs stay loaded (sni-cache).
func (c *Certificates) SetCacheSize(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pairs.most = most
	for c.pairs.len() > most {
		_, e := c.pairs.removeOldest()
		c.forgetLocked(e)
		c.stats.Evicted++
	}
}

// Changed says that a file has been replaced or removed: the next handshake that
// needs it loads it again. Until the load is done, and if what it brings is not
// good, the pair that is there goes on.
func (c *Certificates) Changed(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pairs.all(func(k key, e *entry) bool {
		if k.has(path) {
			e.stale, e.retryAt = true, time.Time{}
		}
		return true
	})
	c.failures.all(func(k key, _ failure) bool {
		if k.has(path) {
			c.failures.remove(k)
		}
		return true
	})
	for k, f := range c.flights {
		if k.has(path) {
			f.changed = true
		}
	}
}

// Put gives the pair of a choice without its being asked for: that of a listener, or
// one that has to be good at start. On an error what was loaded before stays.
func (c *Certificates) Put(choice Choice, m Material) error {
	l, err := c.parse(Request{Name: choice.Rule, Source: choice.Source, ClientCA: choice.ClientCA}, m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.unlock()
	if c.closed {
		return errClosed
	}
	c.storeLocked(l)
	return nil
}

// Preload loads what choices need, so that their mistakes are found before somebody
// connects: those of [Table.Choices], or a listener's own. Errors are logged, too.
func (c *Certificates) Preload(ctx context.Context, choices ...Choice) error {
	errs := make([]error, len(choices))
	var loads sync.WaitGroup
	for i := range choices {
		// A load has a goroutine anyway; these wait for theirs, so many at a time.
		if i%mostPreloads == 0 {
			loads.Wait()
		}
		loads.Go(func() { _, errs[i] = c.get(ctx, choices[i].Rule, &choices[i]) })
	}
	loads.Wait()
	return errors.Join(errs...)
}

// Names returns the names that the certificate of a choice is for, nil while it is not
// loaded.
func (c *Certificates) Names(choice *Choice) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.pairs.get(keyOf(choice))
	if !ok {
		return nil
	}
	return e.loaded.pair.DNSNames()
}

// Expiries returns when what is loaded expires, by source.
func (c *Certificates) Expiries() []Expiry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Expiry
	c.pairs.all(func(_ key, e *entry) bool {
		all = append(all, e.loaded.expiry())
		return true
	})
	return all
}

// Stats counts what happened since the start.
type Stats struct {
	Loaded                   int    // pairs in memory
	Loads, Failures, Evicted uint64 // loads that went well, that did not, pairs put out by others
}

// Stats returns the counts.
func (c *Certificates) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Loaded = c.pairs.len()
	return s
}

// Close ends loads and waits for them. Handshakes that need one fail from now on.
func (c *Certificates) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.loads.Wait()
}

// get returns the pair of a choice, loading it if need be. A pair whose files have
// changed is loaded again by the first who comes, who waits for it if that does not
// take long; all others go on with the old one.
func (c *Certificates) get(ctx context.Context, name string, choice *Choice) (*loaded, error) {
	k := keyOf(choice)
	c.mu.Lock()
	old, ok := c.pairs.get(k)
	switch {
	case !ok:
		if f, failed := c.failures.get(k); failed && c.options.Now().Before(f.until) {
			c.mu.Unlock()
			return nil, f.err
		}
	case !old.stale, c.flights[k] != nil, c.options.Now().Before(old.retryAt):
		l := old.loaded
		c.mu.Unlock()
		return l, nil
	}
	f := c.flights[k]
	if f == nil {
		if c.closed || len(c.flights) >= mostWaiting {
			err := errBusy
			if c.closed {
				err = errClosed
			}
			c.mu.Unlock()
			if ok {
				return old.loaded, nil
			}
			return nil, err
		}
		f = &flight{done: make(chan struct{}), guessed: choice.guessed, turns: c.turns}
		if choice.Kind == Ordered {
			f.turns = c.orders
		}
		c.flights[k] = f
		c.loads.Add(1)
		go c.fly(Request{Name: name, Source: choice.Source, ClientCA: choice.ClientCA}, f)
	}
	c.mu.Unlock()
	if ok {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-f.done:
			return f.loaded, f.err
		case <-timer.C:
		case <-ctx.Done():
		}
		return old.loaded, nil
	}
	select {
	case <-f.done:
		return f.loaded, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the certificate was still being loaded: %w", ctx.Err())
	}
}

// fly does one load. It goes on when those who wait have gone: the next will come.
func (c *Certificates) fly(r Request, f *flight) {
	defer c.loads.Done()
	defer close(f.done)
	l, err := c.load(r, f.turns)
	k := key{r.Source, r.ClientCA}
	for _, pause := range halfway {
		if !c.isHalfway(k, err) || !c.sleep(pause) {
			break
		}
		l, err = c.load(r, f.turns)
	}

	c.mu.Lock()
	defer c.unlock()
	delete(c.flights, k)
	if err != nil {
		f.loaded, f.err = c.failedLocked(r, k, err, f.guessed)
		return
	}
	c.stats.Loads++
	c.failures.remove(k)
	e := c.storeLocked(l)
	e.stale = f.changed
	f.loaded = l
}

// halfway are the times after which a pair is read once more whose halves do not fit:
// it was read while another took its place, one file after the other, and there is no
// earlier one that could be used meanwhile.
var halfway = []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond, 160 * time.Millisecond, 320 * time.Millisecond}

// isHalfway tells whether what failed is worth another look right away. What has
// failed so before is a mistake, and no handshake waits for it again.
func (c *Certificates) isHalfway(k key, err error) bool {
	if !errors.Is(err, errForeignKey) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, used := c.pairs.get(k)
	before, failed := c.failures.get(k)
	return !used && !(failed && before.err.Error() == err.Error())
}

// sleep returns false when everything ends.
func (c *Certificates) sleep(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.context.Done():
		return false
	}
}

func (c *Certificates) load(r Request, turns chan struct{}) (*loaded, error) {
	ctx, cancel := context.WithTimeout(c.context, c.options.LoadTimeout)
	defer cancel()
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return nil, errBusy
	}
	m, err := c.options.Loader.Load(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.parse(r, m)
}

// parse makes a pair of what files hold.
func (c *Certificates) parse(r Request, m Material) (*loaded, error) {
	pair, err := ParsePair(m.Certificate, m.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Source, err)
	}
	pair.OCSPStaple = m.OCSP
	l := &loaded{key: key{r.Source, r.ClientCA}, name: r.Name, pair: pair}
	if !r.ClientCA.IsZero() {
		certs, err := parseCAs(m.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.ClientCA.Path(), err)
		}
		l.cas = &pool{digest: sha256.Sum256(m.ClientCA), certs: certs}
	}
	return l, nil
}

// storeLocked puts a pair in the place of the one that was there.
func (c *Certificates) storeLocked(l *loaded) *entry {
	pinned := l.name == ""
	if l.cas != nil {
		if same := c.pools[l.cas.digest]; same != nil {
			l.cas = same
		} else {
			c.pools[l.cas.digest] = l.cas
		}
		l.cas.users++
	}
	if old, ok := c.pairs.get(l.key); ok {
		pinned = pinned || old.pinned
		if !old.loaded.pair.Leaf.Equal(l.pair.Leaf) {
			c.logLocked(slog.LevelInfo, "a certificate is replaced", "certificate", l.key.source.Certificate.Path(), "name", l.name, "expires", l.pair.Leaf.NotAfter)
		}
	}
	for _, note := range l.pair.Notes {
		c.logLocked(slog.LevelWarn, note, "certificate", l.key.source.Certificate.Path())
	}
	e := &entry{loaded: l, pinned: pinned}
	if gone, evicted, replaced := c.pairs.put(l.key, e); evicted || replaced {
		c.forgetLocked(gone)
		if evicted {
			c.stats.Evicted++
		}
	}
	return e
}

// logLocked notes a line for unlock: whoever reads the log may be slow, and handshakes
// do not wait for that.
func (c *Certificates) logLocked(level slog.Level, message string, attributes ...any) {
	c.lines = append(c.lines, func() { c.options.Log.Log(context.Background(), level, message, attributes...) })
}

// unlock unlocks mu and logs what happened meanwhile.
func (c *Certificates) unlock() {
	lines := c.lines
	c.lines = nil
	c.mu.Unlock()
	for _, log := range lines {
		log()
	}
}

// forgetLocked is for an entry that is in pairs no more. Connections go on with it.
func (c *Certificates) forgetLocked(e *entry) {
	if p := e.loaded.cas; p != nil {
		if p.users--; p.users == 0 {
			delete(c.pools, p.digest)
		}
	}
}

// failedLocked says what a handshake gets after a load that failed: the pair that
// was there, unless its files are gone. Files that are guessed from a name and not
// there are nobody's mistake: the log would be the client's to fill.
func (c *Certificates) failedLocked(r Request, k key, err error, guessed bool) (*loaded, error) {
	if errors.Is(err, errBusy) || c.closed {
		if old, ok := c.pairs.get(k); ok {
			return old.loaded, nil
		}
		return nil, err // the next handshake may try at once
	}
	c.stats.Failures++
	until := c.options.Now().Add(c.options.FailureTTL)
	attributes := []any{"certificate", r.Source.Certificate.Path(), "name", r.Name, "error", err}
	old, ok := c.pairs.get(k)
	if ok && !old.isGone(err, c.options.Now(), c.options.UnloadAfter) {
		if old.reason != err.Error() {
			old.reason = err.Error()
			c.logLocked(slog.LevelError, "a new certificate cannot be used, the one before it stays", attributes...)
		}
		old.retryAt = until
		return old.loaded, nil
	}
	if ok {
		c.pairs.remove(k)
		c.forgetLocked(old)
		c.logLocked(slog.LevelWarn, "a certificate is gone and unloaded", attributes...)
	} else if before, failed := c.failures.get(k); (!failed || before.err.Error() != err.Error()) && !(guessed && errors.Is(err, fs.ErrNotExist)) {
		c.logLocked(slog.LevelError, "a certificate cannot be loaded", attributes...)
	}
	c.failures.put(k, failure{err: err, until: until})
	return nil, err
}

// isGone reports whether a load's error means that the pair is to be unloaded.
func (e *entry) isGone(err error, now time.Time, after time.Duration) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		e.gone = time.Time{}
		return false
	}
	if e.gone.IsZero() {
		e.gone = now
	}
	return now.Sub(e.gone) >= after
}

// expiry returns when the pair ends.
func (l *loaded) expiry() Expiry {
	e := Expiry{Source: l.key.source.Certificate.Path(), Name: l.name, NotAfter: l.pair.Leaf.NotAfter, Lifetime: l.pair.Leaf.NotAfter.Sub(l.pair.Leaf.NotBefore)}
	if names := l.pair.DNSNames(); len(names) > 0 {
		e.Name = names[0]
	}
	return e
}
