package static

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"emperor/router/http1"
)

// Expires says how long something may be kept without asking again.
type Expires struct {
	Subject Subject
	Pattern *regexp.Regexp // nil for MediaType
	Type    string         // for MediaType, without parameters
	After   time.Duration
	// SinceChange counts from the file's last change, not from now.
	SinceChange bool
}

// Subject is what an Expires is about.
type Subject uint8

const (
	Filename  Subject = iota // the file's whole name
	PathInfo                 // the decoded path of the request
	URI                      // as the client wrote it, with query
	MediaType                // the media type, equal
)

var expiresOptions = map[string]Expires{
	"static-expires":                 {},
	"static-expires-mtime":           {SinceChange: true},
	"static-expires-path-info":       {Subject: PathInfo},
	"static-expires-path-info-mtime": {Subject: PathInfo, SinceChange: true},
	"static-expires-uri":             {Subject: URI},
	"static-expires-uri-mtime":       {Subject: URI, SinceChange: true},
	"static-expires-type":            {Subject: MediaType},
	"static-expires-type-mtime":      {Subject: MediaType, SinceChange: true},
}

// ParseExpires reads the value of one of uWSGI's static-expires… options: "PATTERN
// SECONDS", and "TYPE=SECONDS" for static-expires-type.
func ParseExpires(option, value string) (Expires, error) {
	e, ok := expiresOptions[option]
	if !ok {
		return e, fmt.Errorf("%q is none of the static-expires options", option)
	}
	separator, form := " ", "a regular expression, a blank and a number of seconds"
	if e.Subject == MediaType {
		separator, form = "=", "type=seconds, for example text/css=3600"
	}
	subject, seconds, ok := strings.Cut(strings.TrimSpace(value), separator)
	if !ok {
		return e, fmt.Errorf("want %s, got %q", form, value)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(seconds), 10, 31)
	if err != nil {
		return e, fmt.Errorf("want %s, got %q for the seconds", form, seconds)
	}
	e.After = time.Duration(n) * time.Second
	if e.Subject == MediaType {
		e.Type = strings.ToLower(strings.TrimSpace(subject))
		return e, nil
	}
	e.Pattern, err = compile(subject)
	return e, err
}

// CacheControl is a Cache-Control for paths that match.
type CacheControl struct {
	Pattern *regexp.Regexp // on the decoded path
	Value   string
}

// ParseCacheControl reads "PATTERN VALUE", for example
// "^/assets/ public, max-age=31536000, immutable".
func ParseCacheControl(value string) (CacheControl, error) {
	pattern, directives, ok := strings.Cut(strings.TrimSpace(value), " ")
	directives = strings.TrimSpace(directives)
	if !ok || !http1.ValidValue([]byte(directives)) {
		return CacheControl{}, fmt.Errorf("want a regular expression on the path, a blank and a Cache-Control, for example ^/assets/ max-age=86400; got %q", value)
	}
	compiled, err := compile(pattern)
	return CacheControl{Pattern: compiled, Value: directives}, err
}

func compile(pattern string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("the regular expression %q: %w", pattern, err)
	}
	return compiled, nil
}

// ParseMap reads the value of static-map: "/mountpoint=folder".
func ParseMap(value string) (mountpoint, folder string, err error) {
	mountpoint, folder, ok := strings.Cut(value, "=")
	if !ok || !strings.HasPrefix(mountpoint, "/") || folder == "" {
		return "", "", fmt.Errorf("want /mountpoint=folder, got %q", value)
	}
	return mountpoint, folder, nil
}

// Under tells whether path is beneath mountpoint, and the rest of it, which begins
// with a slash: what static-map serves. Unlike uWSGI's, a mountpoint /a does not
// catch /ab.
func Under(mountpoint string, path []byte) (rest []byte, ok bool) {
	mountpoint = strings.TrimRight(mountpoint, "/")
	if len(path) < len(mountpoint) || string(path[:len(mountpoint)]) != mountpoint {
		return nil, false
	}
	rest = path[len(mountpoint):]
	return rest, len(rest) > 0 && rest[0] == '/'
}

// addCaching says how long the answer may be kept.
func (s *Site) addCaching(root *root, r *Request, a *Answer, mediaType []byte, modified int64, now time.Time) {
	control := false
	for i := range s.options.CacheControl {
		if c := &s.options.CacheControl[i]; c.Pattern.Match(r.Path) {
			a.addField(cacheControlName, a.keep(append(a.text, c.Value...)), http1.Other)
			control = true
			break
		}
	}
	for i := range s.options.Expires {
		e := &s.options.Expires[i]
		if !e.match(root, r, a, mediaType) {
			continue
		}
		from := now
		if e.SinceChange {
			from = time.Unix(modified, 0)
		}
		at := from.Add(e.After)
		a.addField(expiresName, a.keep(at.UTC().AppendFormat(a.text, dateFormat)), http1.Other)
		if !control {
			age := max(0, int64(at.Sub(now)/time.Second))
			a.addField(cacheControlName, a.keep(strconv.AppendInt(append(a.text, "max-age="...), age, 10)), http1.Other)
		}
		return
	}
}

func (e *Expires) match(root *root, r *Request, a *Answer, mediaType []byte) bool {
	switch e.Subject {
	case MediaType:
		return len(mediaType) >= len(e.Type) && string(mediaType[:len(e.Type)]) == e.Type &&
			(len(mediaType) == len(e.Type) || mediaType[len(e.Type)] == ';')
	case PathInfo:
		return e.Pattern.Match(r.shown())
	case URI:
		return e.Pattern.Match(r.Target)
	default:
		full := append(append(a.text, root.path...), '/')
		return e.Pattern.Match(append(full, a.name...)[len(a.text):])
	}
}

var (
	cacheControlName = []byte("Cache-Control")
	expiresName      = []byte("Expires")
)
