package static

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options are what a site's owner may choose. They are not changed once a Site
// has them.
type Options struct {
	// Index are the files that stand for a folder (static-index). Default
	// index.html.
	Index []string
	// Try are the names that a path is looked for under, in order (static-try, see
	// ParseTry). Default: $uri $uri/
	Try []Candidate
	// NotFound is the page for what is not there, relative to the root. Default
	// 404.html, where there is one.
	NotFound string
	// Plain: siblings that hold the file compressed (.br, .zst, .gz) are not looked
	// for.
	Plain bool
	// Outside: symbolic links may lead to these folders as well (static-safe).
	// Absolute paths; "/" is everything.
	Outside []string
	// Types maps more extensions (lower case, without dot) to media types, before
	// the built-in table (mimefile, see ParseTypes).
	Types map[string]string
	// Expires, first match counts (static-expires…).
	Expires []Expires
	// CacheControl, first match counts (static-cache-control).
	CacheControl []CacheControl
	// SkipExtensions are endings of names that are not served, or left to others
	// (static-skip-ext).
	SkipExtensions []string
}

var (
	defaultIndex = []string{"index.html"}
	defaultTry   = []Candidate{{after: ""}, {after: "/", folder: true}}
)

const defaultNotFound = "404.html"

// Site is a folder that is served. It is safe for concurrent use.
type Site struct {
	options Options
	types   map[string][]byte    // Options.Types
	root    atomic.Pointer[root] // nil once closed
	moved   chan struct{}
	absent  atomic.Int64 // since when the root's name stands for nothing; 0: it does for something
	alone   alone

	mu       sync.Mutex
	reported identity // guarded by mu; of the folder that Moved told of last
}

// New makes a site. It fails if nothing can be read beneath root: for want of
// permission, or because this process is confined.
func New(at Root, options *Options) (*Site, error) {
	s := &Site{options: *options, moved: make(chan struct{}, 1)}
	if s.options.Index == nil {
		s.options.Index = defaultIndex
	}
	if s.options.Try == nil {
		s.options.Try = defaultTry
	}
	if s.options.NotFound == "" {
		s.options.NotFound = defaultNotFound
	}
	s.options.NotFound = strings.TrimLeft(s.options.NotFound, "/")
	s.alone.seed = maphash.MakeSeed()
	s.types = make(map[string][]byte, len(options.Types))
	for extension, mediaType := range options.Types {
		s.types[extension] = []byte(mediaType)
	}
	r, err := newRoot(at)
	if err != nil {
		return nil, err
	}
	s.root.Store(r)
	return s, nil
}

// Replace makes the next request use another folder; requests under way go on
// with the old one. After an error the old one stays.
func (s *Site) Replace(at Root) error {
	r, err := newRoot(at)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.root.Load()
	if old == nil {
		r.release()
		return errors.New("the site is closed")
	}
	s.reported = identity{}
	s.root.Store(r)
	old.release()
	return nil
}

// Moved receives when Root.Name has become a folder that the Site may not take by
// itself: it should be opened anew by somebody who may, and given to Replace.
// Meanwhile the old folder is served.
func (s *Site) Moved() <-chan struct{} { return s.moved }

// Close ends the site; later requests find nothing, answers under way go on.
func (s *Site) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.root.Swap(nil); old != nil {
		old.release()
	}
}

// acquire borrows the root, which is to be released. It is nil once the site is
// closed.
func (s *Site) acquire() *root {
	for {
		r := s.root.Load()
		if r == nil || r.borrow() {
			return r
		}
	}
}

// follow looks whether the root's name has become another folder and makes that
// the root. It returns the root to use, which is borrowed as r was.
func (s *Site) follow(r *root) *root {
	now, err := r.look()
	switch {
	case err == unix.ENOENT:
		s.absent.CompareAndSwap(0, time.Now().UnixNano())
		return r
	case s.absent.Load() != 0:
		s.absent.Store(0)
	}
	if err != nil || now == r.identity {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root.Load() == r {
		next, err := r.reopen()
		if err != nil {
			if s.reported != now {
				s.reported = now
				select {
				case s.moved <- struct{}{}:
				default:
				}
			}
			return r
		}
		s.reported = identity{}
		s.root.Store(next)
		r.release() // the site's
	}
	current := s.root.Load()
	if current == nil || !current.borrow() {
		return r // closed: this request still has its folder
	}
	r.release() // the caller's
	return current
}

// mostAbsent is how long a deploy may leave nothing under the root's name (mv away,
// mv in; rm, ln) without a request failing that falls between.
const mostAbsent = 500 * time.Millisecond

// locate finds what path stands for, in the root or what took its place. r is
// borrowed, and so is the root that it returns.
func (s *Site) locate(r *root, path []byte, a *Answer) (*root, found, error) {
	r = s.follow(r)
	what, err := s.find(r, path, a)
	for what == nothing {
		// The folder may have been replaced since it was looked at, or be just then.
		next := s.follow(r)
		if next == r {
			since := s.absent.Load()
			if since == 0 || time.Since(time.Unix(0, since)) > mostAbsent {
				break
			}
			time.Sleep(2 * time.Millisecond)
			continue
		}
		r = next
		what, err = s.find(r, path, a)
	}
	return r, what, err
}

// hidden tells whether a path has a part that begins with a dot, other than a
// leading .well-known (RFC 8615): .git, .env, .htpasswd are no pages. Nor does a
// path have a NUL, or parts that lead upwards.
func hidden(path []byte) bool {
	if bytes.IndexByte(path, 0) >= 0 {
		return true
	}
	rest := path
	if wellKnown := []byte("/.well-known"); bytes.HasPrefix(path, wellKnown) {
		if rest = path[len(wellKnown):]; len(rest) > 0 && rest[0] != '/' {
			return true
		}
	}
	return bytes.Contains(rest, []byte("/."))
}

// Candidate is one word of static-try.
type Candidate struct {
	before, after string // around $uri
	fixed         bool   // without $uri: before is the whole name
	folder        bool   // a folder with an index is meant
}

// ParseTry reads a list of candidates as nginx's try_files has: "$uri $uri.html
// $uri/ /index.html". $uri is the path of the request, a word that ends in / is a
// folder with an index, and the first that is there is served, with status 200.
// "=404" at the end may say what happens anyway when none is.
func ParseTry(text string) ([]Candidate, error) {
	var list []Candidate
	words := bytes.Fields([]byte(text))
	for i, w := range words {
		word := string(w)
		if word == "=404" && i > 0 && i == len(words)-1 {
			break
		}
		before, after, uses := bytes.Cut(w, []byte("$uri"))
		c := Candidate{before: string(before), after: string(after), fixed: !uses, folder: w[len(w)-1] == '/'}
		switch {
		case bytes.ContainsAny(before, "$?@=") || bytes.ContainsAny(after, "$?@="):
			return nil, fmt.Errorf("%q is not known here: want names made of $uri, or fixed ones as /index.html; =404 may stand at the end", word)
		case len(before) > 0 && before[0] != '/':
			return nil, fmt.Errorf("%q: want it to begin with $uri or /", word)
		case hidden(w):
			return nil, fmt.Errorf("%q: names that begin with a dot are not served", word)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("no name to try, want for example: $uri $uri/ /index.html")
	}
	return list, nil
}
