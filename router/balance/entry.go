package balance

import "time"

// Entry is one address of a Book, for who finds out about it beside the requests. It
// keeps the Book from forgetting the address.
type Entry struct {
	book  *Book
	state *state
}

// Entry returns the one for the address, whether it is in a Group or not.
func (b *Book) Entry(address string) *Entry {
	return &Entry{book: b, state: b.state(address)}
}

// Look is one attempt to find out. Done must follow, at most once.
type Look struct {
	entry *Entry
	epoch uint64 // of the state when it began
}

// Look begins one.
func (e *Entry) Look() Look { return Look{entry: e, epoch: e.state.epoch.Load()} }

// Done notes what was found. An address that fails is passed over for grace at least,
// in every Group and whatever the Group's own grace; a next Look that fails too
// extends that and is no Change. With looks that follow within grace no request has to
// find out that the address still fails.
func (l Look) Done(r Result, grace time.Duration) Change {
	s := l.entry.state
	if r == Unknown || r == Works && !s.bad.Load() {
		return Change{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.bad.Load()
	switch {
	case l.epoch != s.epoch.Load():
		// A request or another Look has found a failure since this one began.
	case r == Works && was:
		s.recover()
		return Change{Recovered: true}
	case r == Fails:
		now := l.entry.book.now()
		s.since = now
		s.epoch.Add(1)
		s.bad.Store(true)
		s.failures++
		if until := now.Add(grace); until.After(s.until) {
			s.until = until
		}
		if !was {
			return Change{Failed: true, Grace: grace}
		}
	}
	return Change{}
}
