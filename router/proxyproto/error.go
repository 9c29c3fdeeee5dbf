package proxyproto

import "errors"

// ErrNone: the connection does not begin with a PROXY header.
var ErrNone = errors.New("no PROXY protocol header")

// Error says what is wrong with a header.
type Error struct {
	Offset int // in bytes
	Reason string
}

func (e *Error) Error() string { return e.Reason }
