package limit

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Rates limits the requests per second for each key: a token bucket a key. What a
// key is (the host, the host and the visitor) is the caller's choice.
//
// It keeps a bounded number of buckets. A bucket that is full again is as good as
// none, so those go first; when all are in use, the one unused for longest is
// forgotten.
//
// Keys are kept as 64-bit hashes with a secret seed: an entry has one size whatever
// the network sends, and two keys that share a bucket can't be looked for.
type Rates struct {
	seed    maphash.Seed
	setting atomic.Pointer[setting]
	refused atomic.Uint64
	shards  [shards]shard
}

// Rate is a token bucket: Burst requests at once, and PerSecond in the long run.
// Zero PerSecond means no limit; Burst is at least 1.
type Rate struct {
	PerSecond float64
	Burst     int
}

// setting is a Rate in use. Buckets compare the pointer to see that it has changed.
type setting struct {
	limit  rate.Limit
	burst  int
	refill time.Duration // from empty to full
}

func newSetting(r Rate) *setting {
	s := &setting{limit: rate.Limit(r.PerSecond), burst: max(r.Burst, 1)}
	s.refill = seconds(float64(s.burst) / r.PerSecond)
	return s
}

// seconds is a duration without overflow.
func seconds(s float64) time.Duration {
	if s >= float64(math.MaxInt64)/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}

// shards keep cores apart; each has a part of the keys.
const shards = 16

type shard struct {
	mu      sync.Mutex
	most    int
	buckets map[uint64]*bucket // guarded by mu
	newest  *bucket            // guarded by mu; by last use
	oldest  *bucket            // guarded by mu
	largest int                // guarded by mu; size of buckets since it was made
}

// bucket is one key's.
type bucket struct {
	key          uint64
	tokens       *rate.Limiter
	setting      *setting // that tokens was last given
	used         time.Time
	newer, older *bucket
}

// NewRates returns a limit of r for each key, remembering at most so many keys
// (rounded up to a multiple of 16).
func NewRates(r Rate, keys int) *Rates {
	limits := &Rates{seed: maphash.MakeSeed()}
	limits.SetRate(r)
	for i := range limits.shards {
		s := &limits.shards[i]
		s.most = max((keys+shards-1)/shards, 1)
		s.buckets = map[uint64]*bucket{}
	}
	return limits
}

// SetRate changes the limit for all keys. What they have used stays used.
func (r *Rates) SetRate(rate Rate) { r.setting.Store(newSetting(rate)) }

// Allow takes a token of key's bucket. When there is none, retry is how long it
// takes until there is one, provided that nobody else takes it.
func (r *Rates) Allow(key []byte, now time.Time) (ok bool, retry time.Duration) {
	current := r.setting.Load()
	if current.limit <= 0 {
		return true, 0
	}
	hash := maphash.Bytes(r.seed, key)
	ok, retry = r.shards[hash%shards].allow(hash, now, current)
	if !ok {
		r.refused.Add(1)
	}
	return ok, retry
}

// Refused is how many requests were refused since the start.
func (r *Rates) Refused() uint64 { return r.refused.Load() }

// Keys is how many buckets are remembered.
func (r *Rates) Keys() int {
	n := 0
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}

func (s *shard) allow(key uint64, now time.Time, current *setting) (ok bool, retry time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[key]
	if b == nil {
		s.forgetFull(now, current)
		if len(s.buckets) >= s.most {
			s.forget(s.oldest)
		}
		b = &bucket{key: key, tokens: rate.NewLimiter(current.limit, current.burst), setting: current}
		s.buckets[key] = b
		s.largest = max(s.largest, len(s.buckets))
	} else {
		s.unlink(b)
	}
	s.linkNewest(b)
	b.used = now
	s.forgetFull(now, current) // with every request, so that what a flood left behind goes after it
	if b.setting != current {
		b.setting = current
		b.tokens.SetLimitAt(now, current.limit)
		b.tokens.SetBurstAt(now, current.burst)
	}
	if b.tokens.AllowN(now, 1) {
		return true, 0
	}
	missing := 1 - b.tokens.TokensAt(now)
	// One nanosecond more than it takes: rounding must not make who waits exactly
	// that long come too early.
	return false, max(seconds(missing/float64(current.limit)), 0) + 1
}

// forgetFull forgets the bucket unused for longest, if it has become full since.
func (s *shard) forgetFull(now time.Time, current *setting) {
	if b := s.oldest; b != nil && now.Sub(b.used) >= current.refill {
		s.forget(b)
	}
}

func (s *shard) forget(b *bucket) {
	s.unlink(b)
	delete(s.buckets, b.key)
	if s.largest > keptBuckets && len(s.buckets) < s.largest/8 {
		smaller := make(map[uint64]*bucket, len(s.buckets))
		for key, b := range s.buckets {
			smaller[key] = b
		}
		s.buckets, s.largest = smaller, len(smaller)
	}
}

// keptBuckets is how many entries' room in a map is not worth giving back.
const keptBuckets = 1024

func (s *shard) linkNewest(b *bucket) {
	b.older, b.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = b
	} else {
		s.oldest = b
	}
	s.newest = b
}

func (s *shard) unlink(b *bucket) {
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		s.newest = b.older
	}
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		s.oldest = b.newer
	}
	b.newer, b.older = nil, nil
}
