package password

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	rightFor = time.Minute      // how long a right password is remembered,
	wrongFor = 10 * time.Second // and a wrong one: a client with an old password asks on and on
	mostKept = 1024             // of each
)

// memory is what was found out of late about passwords. They are kept as keyed sums
// only; the key is the memory's own and is nowhere else.
type memory struct {
	secret [32]byte

	mu      sync.Mutex
	right   map[key]time.Time     // guarded by mu; until when
	wrong   map[key]time.Time     // guarded by mu; apart, so that guesses push out no visitor
	pending map[key]chan struct{} // guarded by mu; closed when somebody found out, or gave up
}

type key [sha256.Size]byte

func (m *memory) init() {
	_, _ = rand.Read(m.secret[:]) // it does not fail
	m.right, m.wrong, m.pending = map[key]time.Time{}, map[key]time.Time{}, map[key]chan struct{}{}
}

// key is for a name and a password of at most longest bytes.
func (m *memory) key(name, password []byte) key {
	var room [32 + 2*longest + 1]byte
	b := append(room[:0], m.secret[:]...)
	b = append(append(b, name...), 0) // there is no NUL in either
	return sha256.Sum256(append(b, password...))
}

// recall tells what is known of k. If nothing is, somebody else is finding out
// (until pending is closed), or, if pending is nil, the caller has to, and to say
// learn or giveUp.
func (m *memory) recall(k key) (right bool, pending <-chan struct{}, done bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if until, ok := m.right[k]; ok && now.Before(until) {
		return true, nil, true
	}
	if until, ok := m.wrong[k]; ok && now.Before(until) {
		return false, nil, true
	}
	if p := m.pending[k]; p != nil {
		return false, p, false
	}
	m.pending[k] = make(chan struct{})
	return false, nil, false
}

func (m *memory) learn(k key, right bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.right, k)
	if right {
		keep(m.right, k, now, rightFor)
	} else {
		keep(m.wrong, k, now, wrongFor)
	}
	m.end(k)
}

func (m *memory) giveUp(k key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(k)
}

// end wakes who waits for k. m.mu is held.
func (m *memory) end(k key) {
	close(m.pending[k])
	delete(m.pending, k)
}

// keep makes room by forgetting what is over, or else any: who is forgotten is
// asked for the password's hash again, no more.
func keep(in map[key]time.Time, k key, now time.Time, how time.Duration) {
	if len(in) >= mostKept {
		for old, until := range in {
			if !now.Before(until) {
				delete(in, old)
			}
		}
		for old := range in {
			if len(in) < mostKept {
				break
			}
			delete(in, old)
		}
	}
	in[k] = now.Add(how)
}
