package password

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"runtime"
)

var (
	// ErrMissing: the request has no basic credentials. 401.
	ErrMissing = errors.New("no user and password were sent")
	// ErrWrong: user or password are wrong; which of them is not told. 401.
	ErrWrong = errors.New("user or password are wrong")
	// ErrBusy: too many passwords for this file are being checked. 503 with
	// Retry-After.
	ErrBusy = errors.New("too many passwords are being checked")
)

// mostWaiting is how many requests may wait for a slow hash of one file.
const mostWaiting = 32

// Checker bounds what checking costs. One serves all files of a process.
type Checker struct {
	slots chan struct{}
}

// NewChecker makes a checker that computes at most slots slow hashes at a time, and
// one of each file; 0 stands for half of the processors.
func NewChecker(slots int) *Checker {
	if slots <= 0 {
		slots = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Checker{slots: make(chan struct{}, slots)}
}

// Check finds the user whose password the value of an Authorization field carries.
// The error is ErrMissing, ErrWrong, ErrBusy or that of ctx: it may wait for its
// turn, as long as ctx allows.
func (c *Checker) Check(ctx context.Context, f *File, authorization []byte) (user string, err error) {
	var room [2 * longest]byte
	name, password, err := credentials(room[:], authorization)
	if err != nil {
		return "", err
	}
	if len(f.all) == 0 {
		return "", ErrWrong
	}
	u, known := f.find(name)
	right := false
	if u.hash.slow() {
		if right, err = c.checkSlowly(ctx, f, u, known, name, password); err != nil {
			return "", err
		}
	} else {
		right = u.hash.matches(password)
	}
	if !right || !known {
		return "", ErrWrong
	}
	return u.name, nil
}

// checkSlowly asks the memory, and computes what it does not know; once, when
// several ask for the same.
func (c *Checker) checkSlowly(ctx context.Context, f *File, u user, known bool, name, password []byte) (right bool, err error) {
	k := f.memory.key(name, password)
	for {
		right, pending, done := f.memory.recall(k)
		if done {
			return right, nil
		}
		if pending == nil {
			break // it is ours to find out
		}
		select {
		case <-pending:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	leave, err := c.enter(ctx, f)
	if err != nil {
		f.memory.giveUp(k)
		return false, err
	}
	right = u.hash.matches(password) && known
	leave()
	f.memory.learn(k, right)
	return right, nil
}

// enter waits for the file's turn and then for a slot. Files take turns: however
// many guess at one, it has one slot at most.
func (c *Checker) enter(ctx context.Context, f *File) (leave func(), err error) {
	defer f.waiting.Add(-1)
	if f.waiting.Add(1) > mostWaiting {
		return nil, ErrBusy
	}
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		<-f.turn
		return nil, ctx.Err()
	}
	return func() {
		<-c.slots
		<-f.turn
	}, nil
}

// credentials reads "Basic" and base64 of user:password (RFC 7617). room is where
// they are decoded to.
func credentials(room, authorization []byte) (name, password []byte, err error) {
	scheme, encoded, ok := bytes.Cut(authorization, []byte(" "))
	if !ok || !bytes.EqualFold(scheme, []byte("Basic")) {
		return nil, nil, ErrMissing
	}
	encoded = bytes.TrimRight(bytes.Trim(encoded, " "), "=") // with padding or without
	if base64.RawStdEncoding.DecodedLen(len(encoded)) > len(room) {
		return nil, nil, ErrWrong
	}
	n, err := base64.RawStdEncoding.Decode(room, encoded)
	if err != nil {
		return nil, nil, ErrWrong
	}
	name, password, ok = bytes.Cut(room[:n], []byte(":"))
	// A NUL would end the password for some hashes and not for others.
	if !ok || len(name) > longest || len(password) > longest || bytes.IndexByte(room[:n], 0) >= 0 {
		return nil, nil, ErrWrong
	}
	return name, password, nil
}

// AppendChallenge appends the value of WWW-Authenticate for a 401.
func AppendChallenge(dst []byte, realm string) []byte {
	dst = append(dst, `Basic realm="`...)
	for i := range len(realm) {
		switch c := realm[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, `", charset="UTF-8"`...)
}
