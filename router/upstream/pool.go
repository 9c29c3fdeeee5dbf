package upstream

import (
	"context"
	"sync"
	"time"
)

// Pool keeps idle connections to vassals that speak HTTP.
type Pool struct {
	dialer *Dialer
	now    func() time.Time

	mu   sync.Mutex
	idle map[poolKey][]*Pooled // guarded by mu; most recently used last
	free []*Pooled             // guarded by mu; closed, for use again
}

// poolKey: a connection to a generation of a vassal serves that one only. The
// address is not enough, another process may listen there by now. Nor is it with
// TLS, where two names behind one address are two vassals.
type poolKey struct {
	address    string
	generation uint64
	tls        string // TLS.key; "" without TLS
}

// Pooled is a connection that came from a Pool and goes back to it, by Put or
// Discard.
type Pooled struct {
	*Conn
	// Reused tells that it carried a request before.
	Reused bool

	key   poolKey
	since time.Time // idle since
	until time.Time // not to be used after
}

// NewPool returns an empty Pool that measures idle time by the clock now. Run has
// to run for idle connections to end.
func NewPool(d *Dialer, now func() time.Time) *Pool {
	return &Pool{dialer: d, now: now, idle: make(map[poolKey][]*Pooled)}
}

// Take returns an open connection that was idle for less than fresh, or a closed
// one to dial. The address is given as a string or, where that is empty, as
// bytes. Who can't repeat the request wants to be certain that the connection is still
// there, as far as that is possible.
func (p *Pool) Take(address string, bytes []byte, generation uint64, fresh time.Duration, certain bool) *Pooled {
	return p.TakeTLS(nil, address, bytes, generation, fresh, certain)
}

// TakeTLS is Take for connections behind TLS: the caller dials a closed one and
// then calls StartTLS with t. An open one was made with the same t, or one that
// asks for the same in every respect. Nil means without TLS.
func (p *Pool) TakeTLS(t *TLS, address string, bytes []byte, generation uint64, fresh time.Duration, certain bool) *Pooled {
	key := poolKey{address: address, generation: generation}
	if t != nil {
		key.tls = t.key
	}
	for {
		c := p.pop(key, bytes, fresh)
		if c == nil {
			return p.closed(key, bytes)
		}
		if !c.Stale(certain) {
			c.Reused = true
			return c
		}
		p.Discard(c)
	}
}

func (p *Pool) pop(key poolKey, bytes []byte, fresh time.Duration) *Pooled {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[key]
	if key.address == "" {
		list = p.idle[poolKey{string(bytes), key.generation, key.tls}]
	}
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	now := p.now()
	if now.Sub(last.since) > fresh || now.After(last.until) {
		return nil
	}
	list[len(list)-1] = nil
	p.idle[last.key] = list[:len(list)-1]
	return last
}

func (p *Pool) closed(key poolKey, bytes []byte) *Pooled {
	if key.address == "" {
		key.address = string(bytes)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var c *Pooled
	if n := len(p.free); n > 0 {
		c = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		c = &Pooled{Conn: p.dialer.NewConn()}
	}
	c.key = key
	c.Reused = false
	return c
}

// Put keeps c, whose response was read to its end, for at most d.
func (p *Pool) Put(c *Pooled, d time.Duration) {
	if d <= 0 {
		p.Discard(c)
		return
	}
	c.Deadline.Clear()
	c.since = p.now()
	c.until = c.since.Add(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle[c.key] = append(p.idle[c.key], c)
}

// Discard closes c.
func (p *Pool) Discard(c *Pooled) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < 64 {
		p.free = append(p.free, c)
		return
	}
	c.Release()
}

// Retire closes the idle connections to generations of that address older than
// generation.
func (p *Pool) Retire(address string, generation uint64) {
	p.remove(func(c *Pooled) bool { return c.key.address == address && c.key.generation < generation })
}

// Run closes connections that were idle for too long, and all at its end.
func (p *Pool) Run(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now := p.now()
			p.remove(func(c *Pooled) bool { return now.After(c.until) })
		case <-ctx.Done():
			p.remove(func(*Pooled) bool { return true })
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, c := range p.free {
				c.Release()
			}
			p.free = nil
			return
		}
	}
}

func (p *Pool) remove(over func(*Pooled) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, list := range p.idle {
		kept := list[:0]
		for _, c := range list {
			if over(c) {
				c.Release()
			} else {
				kept = append(kept, c)
			}
		}
		clear(list[len(kept):])
		if len(kept) == 0 {
			delete(p.idle, key)
		} else {
			p.idle[key] = kept
		}
	}
}
