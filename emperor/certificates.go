package emperor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"emperor/emperor/monitor"
	"emperor/internal/link"
	"emperor/internal/resource"
)

// certificateOwner is the certificates' name towards the monitor.
const certificateOwner = "certificates"

// issueTime is how long a handshake may wait for a certificate that is being issued:
// a little less than the router waits for us.
const issueTime = 4 * time.Second

// certificates reads certificates and keys for the router, which has no right to
// any: only those that the configuration names, when a handshake needs them. It
// tells the router when one of them has changed.
type certificates struct {
	log *slog.Logger
	// keeper makes of a configuration what decides which pairs its router may have;
	// nil: none.
	keeper func(*link.Configuration) func(link.PairRequest) error
	// issued has the certificates that come from a certificate authority; nil: none do.
	issued func(ctx context.Context, name string) (*link.Material, error)

	mu      sync.Mutex
	allowed []func(link.PairRequest) error     // guarded by mu; of the configuration in force and the one before
	watch   func(owner string, files []string) // guarded by mu; tells the monitor which files to look at; nil at first
	read    map[string]monitor.Fingerprint     // guarded by mu; the files that a router has, as they were read
	watched int                                // guarded by mu; how many of read the monitor knows
	telling bool                               // guarded by mu; somebody is about to call watch
	// gather waits a moment, so that a thousand pairs that are read together are one
	// list for the monitor. nil: gatherTime.
	gather func()
}

// gatherTime is how long files may be in use before they are watched. What changes
// meanwhile is noticed then, as it is compared with what was read.
const gatherTime = 100 * time.Millisecond

// use is called before a router is sent a configuration.
func (c *certificates) use(configuration *link.Configuration) {
	if c.keeper == nil {
		return
	}
	allow := sync.OnceValue(func() func(link.PairRequest) error { return c.keeper(configuration) })
	c.mu.Lock()
	defer c.mu.Unlock()
	// The one before still counts: the router may be about to refuse this one.
	c.allowed = append(c.allowed[max(0, len(c.allowed)-1):], func(q link.PairRequest) error { return allow()(q) })
}

// answer reads what a router asks for. It may be called by several goroutines.
func (c *certificates) answer(router caller, m *link.Message) {
	material, err := c.load(m.Pair)
	answer := link.Message{Kind: link.Loaded, Sequence: m.Sequence, Material: material}
	if err != nil {
		answer.Error = err.Error()
		answer.Material = &link.Material{Missing: errors.Is(err, fs.ErrNotExist)}
	}
	_ = router.Send(answer) // an error means that the router is gone
	c.tell()
}

// tell gives the monitor the list of files if there are new ones, at most once in a
// while.
func (c *certificates) tell() {
	c.mu.Lock()
	if c.telling || c.watch == nil || c.watched == len(c.read) {
		c.mu.Unlock()
		return
	}
	c.telling = true
	c.mu.Unlock()
	if c.gather != nil {
		c.gather()
	} else {
		time.Sleep(gatherTime)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.telling = false
	c.watchLocked()
}

func (c *certificates) watchLocked() {
	c.watched = len(c.read) // files are never forgotten
	files := slices.Sorted(maps.Keys(c.read))
	for i, path := range files {
		if absolute, err := filepath.Abs(path); err == nil {
			files[i] = absolute
		}
	}
	c.watch(certificateOwner, files)
}

func (c *certificates) load(q *link.PairRequest) (*link.Material, error) {
	if q == nil {
		return nil, errors.New("a question for nothing")
	}
	c.mu.Lock()
	allowed := slices.Clone(c.allowed)
	c.mu.Unlock()
	err := errors.New("no configuration has certificates")
	for _, allow := range allowed {
		if err = allow(*q); err == nil {
			break
		}
	}
	if err != nil {
		c.log.Error("the router asks for files that are not its", "name", q.Name, "certificate", q.Certificate, "key", q.Key, "err", err)
		return nil, err
	}
	if q.Certificate == link.IssuedPath(q.Name) && c.issued != nil {
		ctx, cancel := context.WithTimeout(context.Background(), issueTime)
		defer cancel()
		return c.issued(ctx, q.Name)
	}
	var out link.Material
	prints := map[string]monitor.Fingerprint{}
	for _, f := range []struct {
		path string
		into *[]byte
	}{{q.Certificate, &out.Certificate}, {q.Key, &out.Key}, {q.ClientCA, &out.ClientCA}} {
		if f.path == "" {
			continue
		}
		// Before it is read: what changes while it is read is noticed then.
		prints[f.path] = monitor.FingerprintOf([]string{f.path})
		if *f.into, err = resource.Read(f.path, resource.MostPair); err != nil {
			break
		}
	}
	c.note(prints, err == nil)
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// watchWith says who looks at the files from now on.
func (c *certificates) watchWith(watch func(owner string, files []string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch = watch; len(c.read) > 0 {
		c.watchLocked()
	}
}

// note keeps what files were when they were read. Those of a load that failed are not
// new to it: with sni-regexp clients make up names, and a router tries again by itself.
func (c *certificates) note(prints map[string]monitor.Fingerprint, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read == nil {
		c.read = map[string]monitor.Fingerprint{}
	}
	for path, print := range prints {
		if _, known := c.read[path]; known || good {
			c.read[path] = print
		}
	}
}

// changed returns the files that differ from what was read last.
func (c *certificates) changed() (paths []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, print := range c.read {
		if now := monitor.FingerprintOf([]string{path}); now != print {
			c.read[path] = now
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// checkCertificates tells the routers which files of certificates have changed.
func (e *Emperor) checkCertificates() {
	print := e.snapshot.Owners[certificateOwner]
	if print == e.certificatePrint {
		return
	}
	e.certificatePrint = print
	if paths := e.router.certificates.changed(); len(paths) > 0 {
		const shown = 10 // hundreds are renewed together
		attributes := []any{"files", paths[:min(shown, len(paths))]}
		if more := len(paths) - shown; more > 0 {
			attributes = append(attributes, "more", more)
		}
		e.log.Info("certificates changed; the next handshakes use them", attributes...)
		e.front.tell(link.Message{Kind: link.Changed, Paths: paths})
	}
}
