package sni

import (
	"bytes"
	"cmp"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// RingOptions say how a Ring rotates.
type RingOptions struct {
	// Every is the age at which a secret stops sealing new tickets: 12 h.
	Every time.Duration
	// Keep is how many older secrets still open tickets: 2.
	Keep   int
	Now    func() time.Time // time.Now
	Random io.Reader        // crypto/rand
}

// A Ring holds the secrets that session tickets are sealed with. The keys themselves
// are derived from them for each pair of files and policy: crypto/tls would let a
// ticket that was given out for one name resume under any other that asks for no
// client certificate, without a certificate being shown, so a ticket of one has to
// mean nothing to another. It rotates by itself as it is used.
type Ring struct {
	options RingOptions

	changes atomic.Uint64 // counts changes of secrets, so that users see their keys are old
	due     atomic.Int64  // when the newest secret has to be replaced, Unix nanoseconds

	mu      sync.Mutex
	secrets []secret // guarded by mu; the newest first, never empty
}

type secret struct {
	created time.Time
	value   [32]byte
}

// NewRing makes a ring with one new secret.
func NewRing(o RingOptions) (*Ring, error) {
	if o.Every <= 0 {
		o.Every = 12 * time.Hour
	}
	if o.Keep <= 0 {
		o.Keep = 2
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	r := &Ring{options: o}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.addLocked(o.Now()); err != nil {
		return nil, err
	}
	return r, nil
}

// Rotate replaces the secret that seals, whatever its age: after a leak of memory.
// Old ones still open tickets until they are Keep rotations old.
func (r *Ring) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addLocked(r.options.Now())
}

func (r *Ring) addLocked(now time.Time) error {
	s := secret{created: now}
	if _, err := io.ReadFull(r.options.Random, s.value[:]); err != nil {
		return fmt.Errorf("no randomness for session tickets: %w", err)
	}
	r.setLocked(append([]secret{s}, r.secrets...), now)
	return nil
}

// setLocked makes all the secrets, without those that are too old or too many.
func (r *Ring) setLocked(all []secret, now time.Time) {
	oldest := now.Add(-r.options.Every * time.Duration(r.options.Keep+1))
	kept := slices.DeleteFunc(all[1:], func(s secret) bool { return s.created.Before(oldest) })
	all = all[:1+len(kept)]
	// Two generations that rotated apart from each other have two of each age.
	if most := 2 * (r.options.Keep + 1); len(all) > most {
		all = all[:most]
	}
	r.secrets = all
	r.due.Store(all[0].created.Add(r.options.Every).UnixNano())
	r.changes.Add(1)
}

// Changes counts the changes of the secrets, those that others have to be told.
func (r *Ring) Changes() uint64 { return r.changes.Load() }

// version tells one set of secrets from the next, and makes the next if it is time.
func (r *Ring) version() uint64 {
	now := r.options.Now()
	if now.UnixNano() >= r.due.Load() {
		r.mu.Lock()
		if now.UnixNano() >= r.due.Load() {
			if err := r.addLocked(now); err != nil {
				r.due.Store(now.Add(time.Minute).UnixNano()) // an older secret is better than none
			}
		}
		r.mu.Unlock()
	}
	return r.changes.Load()
}

// keys derives the keys of a scope, that which seals first.
func (r *Ring) keys(scope string) [][32]byte {
	r.mu.Lock()
	secrets := slices.Clone(r.secrets)
	r.mu.Unlock()
	keys := make([][32]byte, len(secrets))
	for i := range secrets {
		k, err := hkdf.Key(sha256.New, secrets[i].value[:], nil, "emperor session tickets\x00"+scope, 32)
		if err != nil {
			panic("sni: " + err.Error()) // 32 bytes are never too many
		}
		copy(keys[i][:], k)
	}
	return keys
}

// ringHeader starts an export and tells its version.
var ringHeader = []byte("emperor session tickets 1\n")

const secretSize = 8 + 32

// Export returns the secrets for another generation of the router. They are as
// precious as private keys: send them over nothing but a socket of our own.
func (r *Ring) Export() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := bytes.Clone(ringHeader)
	for i := range r.secrets {
		b = binary.BigEndian.AppendUint64(b, uint64(r.secrets[i].created.UnixNano()))
		b = append(b, r.secrets[i].value[:]...)
	}
	return b
}

// mostExported bounds what is taken from an export.
const mostExported = 64

// ErrNotExported is the error for bytes that no Export made.
var ErrNotExported = errors.New("these are no secrets of session tickets")

// Merge takes over the secrets of another's Export, so that tickets sealed there are
// opened here. The newest of both seals.
func (r *Ring) Merge(exported []byte) error { return r.take(exported, true) }

// Replace is Merge for a ring that has sealed nothing yet: it forgets its own secrets.
// A router that is often started again would otherwise push those out that tickets
// were sealed with.
func (r *Ring) Replace(exported []byte) error { return r.take(exported, false) }

func (r *Ring) take(exported []byte, keepOwn bool) error {
	rest, ok := bytes.CutPrefix(exported, ringHeader)
	if !ok || len(rest)%secretSize != 0 || len(rest) > mostExported*secretSize {
		return ErrNotExported
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.options.Now()
	var all []secret
	if keepOwn || len(rest) == 0 {
		all = slices.Clone(r.secrets)
	}
	before := len(all)
	for ; len(rest) > 0; rest = rest[secretSize:] {
		s := secret{created: time.Unix(0, int64(binary.BigEndian.Uint64(rest)))}
		copy(s.value[:], rest[8:])
		if s.created.After(now) {
			s.created = now // a clock that was put back must not keep a secret forever
		}
		if !slices.ContainsFunc(all, func(o secret) bool { return o.value == s.value }) {
			all = append(all, s)
		}
	}
	if len(all) == before {
		return nil // nothing new: two rings that tell each other come to an end
	}
	slices.SortFunc(all, func(a, b secret) int {
		// Of the same age any, but for both generations the same.
		return cmp.Or(b.created.Compare(a.created), bytes.Compare(a.value[:], b.value[:]))
	})
	r.setLocked(all, now)
	return nil
}
