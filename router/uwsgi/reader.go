package uwsgi

import "errors"

// Faults of a block of variables, in the order a reader can meet them.
var (
	ErrTruncated = errors.New("uwsgi: variable reaches beyond the end of the packet")
	ErrEmptyName = errors.New("uwsgi: variable without a name")
)

// Reader walks over the variables of a packet.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads vars, which holds exactly what ParseHeader's Size said.
func NewReader(vars []byte) Reader { return Reader{rest: vars} }

// Next returns the next variable as slices of vars. ok is false at the end and
// after an error. A name may come twice; uWSGI takes the last one.
func (r *Reader) Next() (name, value []byte, ok bool) {
	if len(r.rest) == 0 {
		return nil, nil, false
	}
	name, rest, ok := split(r.rest)
	if ok {
		value, rest, ok = split(rest)
	}
	if !ok {
		return r.fail(ErrTruncated)
	}
	if len(name) == 0 {
		return r.fail(ErrEmptyName)
	}
	r.rest = rest
	return name, value, true
}

func (r *Reader) fail(err error) (name, value []byte, ok bool) {
	r.rest, r.err = nil, err
	return nil, nil, false
}

// split takes one length-prefixed text off b.
func split(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(b[0]) | int(b[1])<<8
	if b = b[2:]; len(b) < n {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// Err says what was malformed, nil when the variables ended where they should.
func (r *Reader) Err() error { return r.err }
