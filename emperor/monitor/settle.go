package monitor

import "time"

// settled is what is reported of one path, beside what the last scans saw of it. A
// difference is reported only once it has lasted: half of a save, and the moment in
// which an editor has moved the old file away and not yet made the new one, never
// reach a reader.
type settled struct {
	stamp   Stamp     // what is reported; zero: not there
	known   bool      // false until the first report
	missing time.Time // since when a reported file has not been seen; zero: it was
}

// take compares an observation with what is reported. It returns whether the report
// changed and, if the path must be looked at again without any event, in how long.
func (s *settled) take(o observation, now time.Time, debounce time.Duration) (changed bool, again time.Duration) {
	if s.known && o.stamp == s.stamp {
		s.missing = time.Time{}
		return false, 0
	}
	switch {
	case o.young(now, debounce):
		s.missing = time.Time{}
		return false, max(debounce-now.Sub(o.changed).Abs(), time.Millisecond)
	case o.stamp == Stamp{} && s.known:
		if s.missing.IsZero() {
			s.missing = now
		}
		if waited := now.Sub(s.missing); waited < debounce {
			return false, debounce - waited
		}
	}
	s.stamp, s.known, s.missing = o.stamp, true, time.Time{}
	return true, 0
}

// identity is the inode that moves along when a file is renamed.
type identity struct{ device, number uint64 }

func (s Stamp) identity() identity {
	if s.Link != (Inode{}) {
		return identity{s.Link.Device, s.Link.Number}
	}
	return identity{s.File.Device, s.File.Number}
}
