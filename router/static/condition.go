package static

import (
	"bytes"
	"time"

	"emperor/router/http1"
)

// validators are what tells one state of a file from another (RFC 9110 §8.8).
type validators struct {
	etag     []byte
	modified []byte // Last-Modified; nil: none
	seconds  int64  // the same as a number
}

// dateFormat is IMF-fixdate.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// validate makes the validators of the open file. The entity tag is made of the
// inode, the time of the last change in nanoseconds and the size. The inode is in
// it for files whose times are all the same, as reproducible builds make them; it
// is mixed in, as it is nobody's business. modified is that of the file itself
// where a compressed sibling is open.
func (a *Answer) validate(modified int64, now time.Time) {
	st := &a.file.stat
	etag := append(a.text, '"')
	etag = appendHex(etag, mix(uint64(st.Mtim.Nano()))^mix(st.Ino+1<<63))
	etag = append(etag, '-')
	etag = appendHex(etag, uint64(st.Size))
	a.tags.etag = a.keep(append(etag, '"'))
	a.tags.modified, a.tags.seconds = nil, 0
	// A date in the future would be wrong by the protocol, one at the epoch or before
	// means that nobody knows.
	if modified > 0 && modified <= now.Unix() {
		a.tags.seconds = modified
		a.tags.modified = a.keep(time.Unix(modified, 0).UTC().AppendFormat(a.text, dateFormat))
	}
}

// mix spreads the bits of x over all (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func appendHex(dst []byte, x uint64) []byte {
	const hex = "0123456789abcdef"
	shift := 60
	for shift > 0 && x>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, hex[x>>shift&15])
	}
	return dst
}

func (a *Answer) addValidators() {
	a.addField(etagName, a.tags.etag, http1.Other)
	if a.tags.modified != nil {
		a.addField(lastModifiedName, a.tags.modified, http1.Other)
	}
}

var (
	etagName         = []byte("ETag")
	lastModifiedName = []byte("Last-Modified")
)

// asked is what a request says of conditions and ranges. Of fields that are no
// lists the last one counts, but two ranges are none: nobody knows which was
// meant.
type asked struct {
	match, noneMatch               bool   // If-Match and If-None-Match are there
	unmodifiedSince, modifiedSince []byte // nil: not there
	part                           []byte // Range
	onlyIf                         []byte // If-Range
	parts                          int    // how many Range fields there were
}

var (
	ifMatch           = []byte("If-Match")
	ifNoneMatch       = []byte("If-None-Match")
	ifModifiedSince   = []byte("If-Modified-Since")
	ifUnmodifiedSince = []byte("If-Unmodified-Since")
	ifRange           = []byte("If-Range")
	rangeName         = []byte("Range")
)

func readAsked(fields []http1.Field) (found asked) {
	for i := range fields {
		f := &fields[i]
		if len(f.Value) == 0 {
			continue // says nothing
		}
		switch len(f.Name) {
		case len("Range"):
			if is(f, rangeName) {
				found.part = f.Value
				found.parts++
			}
		case len("If-Match"):
			switch {
			case is(f, ifMatch):
				found.match = true
			case is(f, ifRange):
				found.onlyIf = f.Value
			}
		case len("If-None-Match"):
			found.noneMatch = found.noneMatch || is(f, ifNoneMatch)
		case len("If-Modified-Since"):
			if is(f, ifModifiedSince) {
				found.modifiedSince = f.Value
			}
		case len("If-Unmodified-Since"):
			if is(f, ifUnmodifiedSince) {
				found.unmodifiedSince = f.Value
			}
		}
	}
	return found
}

func is(f *http1.Field, name []byte) bool { return bytes.EqualFold(f.Name, name) }

// precondition is false if the request does not want to be served the file in this
// state: 412 (RFC 9110 §13.2.2, steps 1 and 2).
func (asked *asked) precondition(fields []http1.Field, tags *validators) bool {
	if asked.match {
		return anyMatches(fields, ifMatch, tags.etag, true)
	}
	if asked.unmodifiedSince != nil && tags.modified != nil {
		since, ok := tags.parseDate(asked.unmodifiedSince)
		return !ok || tags.seconds <= since
	}
	return true
}

// changed is false if the client has the file in this state: 304 (steps 3 and 4).
func (asked *asked) changed(fields []http1.Field, tags *validators) bool {
	if asked.noneMatch {
		return !anyMatches(fields, ifNoneMatch, tags.etag, false)
	}
	if asked.modifiedSince != nil && tags.modified != nil {
		since, ok := tags.parseDate(asked.modifiedSince)
		return !ok || tags.seconds > since
	}
	return true
}

// wantsPart tells whether the Range is to be honoured (step 5).
func (asked *asked) wantsPart(tags *validators) bool {
	if asked.parts != 1 {
		return false
	}
	if asked.onlyIf == nil {
		return true
	}
	if tag, rest := scanTag(asked.onlyIf); tag != nil {
		return len(rest) == 0 && bytes.Equal(tag, tags.etag)
	}
	since, ok := tags.parseDate(asked.onlyIf)
	return ok && tags.modified != nil && since == tags.seconds
}

// parseDate reads a date in any of HTTP's three forms. Nearly always it is the one
// that we sent.
func (tags *validators) parseDate(value []byte) (seconds int64, ok bool) {
	if bytes.Equal(value, tags.modified) {
		return tags.seconds, true
	}
	for _, format := range []string{dateFormat, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(format, string(value)); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}

// anyMatches tells whether the list in the fields called name has etag. With
// strong, weak tags match nothing (RFC 9110 §8.8.3.2).
func anyMatches(fields []http1.Field, name, etag []byte, strong bool) bool {
	for i := range fields {
		if len(fields[i].Name) == len(name) && is(&fields[i], name) && matches(fields[i].Value, etag, strong) {
			return true
		}
	}
	return false
}

func matches(list, etag []byte, strong bool) bool {
	for {
		list = bytes.TrimLeft(list, " \t,")
		if len(list) == 0 {
			return false
		}
		if list[0] == '*' {
			return true // the file is there
		}
		tag, rest := scanTag(list)
		if tag == nil {
			return false
		}
		if !strong {
			tag = bytes.TrimPrefix(tag, weak)
		}
		if bytes.Equal(tag, etag) {
			return true
		}
		list = rest
	}
}

var weak = []byte("W/")

// scanTag cuts an entity tag off; tag is nil if there is none.
func scanTag(text []byte) (tag, rest []byte) {
	start := 0
	if bytes.HasPrefix(text, weak) {
		start = len(weak)
	}
	if start == len(text) || text[start] != '"' {
		return nil, text
	}
	end := bytes.IndexByte(text[start+1:], '"')
	if end < 0 {
		return nil, text
	}
	end += start + 2
	return text[:end], text[end:]
}
