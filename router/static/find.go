package static

import (
	"bytes"
	"strings"
)

// found is what a request's path stands for.
type found uint8

const (
	nothing found = iota
	regular       // a.file is open, a.name its name
	slash         // a folder whose path wants a slash at its end
)

// find opens what path stands for. With nothing, err says why: errNotFound where
// that is all there is to say.
func (s *Site) find(r *root, path []byte, a *Answer) (found, error) {
	if len(path) == 0 || path[0] != '/' {
		return nothing, errNotFound
	}
	if hidden(path) {
		return nothing, errHidden
	}
	slashed := path[len(path)-1] == '/'
	reason := errNotFound
	for i := range s.options.Try {
		c := &s.options.Try[i]
		name, ok := c.append(a.name[:0], path, slashed)
		a.name = name
		if !ok {
			continue
		}
		var err error
		if c.folder {
			err = s.openIndex(r, a)
		} else {
			err = s.openRegular(r, a)
		}
		switch err {
		case nil:
			if c.folder && !c.fixed && !slashed {
				a.file.close()
				return slash, nil
			}
			return regular, nil
		case errNotFound:
		case errSpecial, errSkipped:
			reason = err
		default:
			// A page that can't be read is not the same as no page: another one in its
			// place would hide the mistake.
			return nothing, err
		}
	}
	return nothing, reason
}

// append appends the name that the candidate makes of a path, relative to the
// root. ok is false if it makes none: what ends in / is no file.
func (c *Candidate) append(dst, path []byte, slashed bool) (name []byte, ok bool) {
	dst = append(dst, c.before...)
	if !c.fixed {
		after := c.after
		if slashed {
			if !strings.HasPrefix(after, "/") {
				return dst, false
			}
			after = after[1:]
		}
		dst = append(append(dst, path...), after...)
	}
	// An absolute name would not be beneath the root.
	return append(dst[:0], bytes.TrimLeft(dst, "/")...), true
}

// openRegular opens a.name if it is a regular file.
func (s *Site) openRegular(r *root, a *Answer) error {
	for _, ending := range s.options.SkipExtensions {
		if len(a.name) >= len(ending) && string(a.name[len(a.name)-len(ending):]) == ending {
			return errSkipped
		}
	}
	if len(a.name) == 0 {
		return errNotFound // the root itself
	}
	a.name = append(a.name, 0)
	err := s.open(r, a.name, &a.file)
	a.name = a.name[:len(a.name)-1]
	if err == nil && a.file.folder() {
		a.file.close()
		return errNotFound
	}
	return err
}

// openIndex opens what stands for the folder a.name, which is empty or ends in /.
func (s *Site) openIndex(r *root, a *Answer) error {
	folder := len(a.name)
	reason := errNotFound
	for _, index := range s.options.Index {
		a.name = append(a.name[:folder], index...)
		if err := s.openRegular(r, a); err != errNotFound {
			return err
		}
	}
	return reason
}
