// Package testlog collects what a program under test writes, while it writes.
package testlog

import (
	"bytes"
	"sync"
)

// Text is a buffer that any goroutine may write to and read: the target of a
// slog.Handler, the output of a child. The zero Text is empty.
type Text struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write appends; it never fails.
func (t *Text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

// String is everything written since the last Take.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// Take is String, and forgets it.
func (t *Text) Take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.text.String()
	t.text.Reset()
	return text
}
