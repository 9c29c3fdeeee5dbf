package testcert

import (
	"crypto/tls"
	"sync"
)

// Session is what a client keeps that offers the last session it got to whoever it
// talks to: a tls.ClientSessionCache that does not look at the name.
type Session struct {
	mu    sync.Mutex
	state *tls.ClientSessionState // guarded by mu
}

// SessionOf is a client that has got state so far.
func SessionOf(state *tls.ClientSessionState) *Session { return &Session{state: state} }

// Get is what it has got, whatever the name.
func (s *Session) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.state != nil
}

// Put keeps state. That a session is over (nil) is not for this client to say.
func (s *Session) Put(_ string, state *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != nil {
		s.state = state
	}
}
