package static

import (
	"regexp"
	"time"
)

// Root is the folder of a site. The descriptors become the Site's, which closes
// them, also when it refuses them.
type Root struct {
	// Directory is an open directory; O_PATH is enough.
	Directory int
	// Parent is the directory that has it under Name; -1: none. With it the Site
	// looks at every request whether Name has become another directory of the same
	// owner, and goes on with that one. Where the new one has another owner or can't
	// be reached, Site.Moved tells, and whoever may open it calls Replace.
	Parent int
	Name   string
	// Path is the folder's name for log lines and the patterns of static-expires.
	Path string
}

// OpenRoot opens a folder by name, with the rights of the process.
func OpenRoot(path string) (Root, error) { return Root{Directory: -1, Parent: -1}, nil }

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
	// Types maps more extensions (without dot) to media types, before the built-in
	// table.
	Types map[string]string
	// Expires, first match counts (static-expires…).
	Expires []Expires
	// CacheControl, first match counts (static-cache-control).
	CacheControl []CacheControl
	// SkipExtensions are endings of names that are left to others (static-skip-ext).
	SkipExtensions []string
}

// Candidate is one word of static-try.
type Candidate struct{}

// ParseTry reads a list of candidates as nginx's try_files: "$uri $uri.html $uri/
// /index.html" or "… =404". $uri is the path; a candidate that ends in / is a
// folder with an index; =404 at the end ends the search, which it does anyway.
func ParseTry(text string) ([]Candidate, error) { return nil, nil }

// Expires says how long something may be kept without asking.
type Expires struct {
	Subject Subject
	Pattern *regexp.Regexp // not with Type
	Type    string
	After   time.Duration
	// SinceChange counts from the file's last change, not from now.
	SinceChange bool
}

// Subject is what a pattern is compared with.
type Subject uint8

const (
	Filename Subject = iota // the file's whole name
	PathInfo                // the decoded path of the request
	URI                     // as the client wrote it, with query
	Type                    // the media type, equal
)

// ParseExpires reads the value of one of uWSGI's options, named without dashes at
// its start: static-expires[-mtime], static-expires-type[-mtime],
// static-expires-uri[-mtime], static-expires-path-info[-mtime].
func ParseExpires(option, value string) (Expires, error) { return Expires{}, nil }

// CacheControl is a Cache-Control for paths that match.
type CacheControl struct {
	Pattern *regexp.Regexp // on the decoded path
	Value   string
}

// ParseCacheControl reads "PATTERN VALUE".
func ParseCacheControl(value string) (CacheControl, error) { return CacheControl{}, nil }

// ParseMap reads the value of static-map: "/mountpoint=folder".
func ParseMap(value string) (mountpoint, folder string, err error) { return "", "", nil }

// Site is a folder that is served. It is safe for concurrent use.
type Site struct{}

// New makes a site. It fails if nothing can be read beneath root, as in a process
// that is confined.
func New(root Root, options *Options) (*Site, error) { return &Site{}, nil }

// Replace makes the next request use another folder. Answers under way go on with
// the old one.
func (s *Site) Replace(root Root) error { return nil }

// Moved receives when Root.Name has become something that the Site can't or must
// not open itself: it should be opened anew by somebody who may, and given to
// Replace. Meanwhile the old folder is served.
func (s *Site) Moved() <-chan struct{} { return nil }

// Close ends the site; later requests are answered 404. Answers under way go on.
func (s *Site) Close() {}
